"""`infercost new`: a commented option to start from, in a folder of the user's own."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any

from infercost.commands.arguments import add_json
from infercost.commands.output import print_json
from infercost.errors import SpecError

KINDS = {
    "chip": ("hardware", "infercost explain hardware={name} --config-dir {folder}"),
    "model": ("model", "infercost explain model={name} --config-dir {folder}"),
    "workload": ("workload", "infercost explain workload={name} --config-dir {folder}"),
    "trend": ("trend", "infercost explain trend={name} --config-dir {folder}"),
    "direction": ("direction", "infercost explain +direction=[{name}] --config-dir {folder}"),
    "mitigation": ("mitigation", "infercost explain +mitigation=[{name}] --config-dir {folder}"),
    "study": ("study", "make study STUDY={name} CONFIG_DIR={folder}"),
}
"""Kind of thing -> its group, and the command that uses the new option."""

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")


def add_parser(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "new",
        help="a commented option of your own to start from",
        description="Write a commented YAML that works as it stands, and say how to use it.",
        epilog="examples: infercost new chip x1 | infercost new model my-model --from config.json",
    )
    parser.add_argument("kind", choices=list(KINDS))
    parser.add_argument("name", help="name of the option: small letters, digits, '.', '_', '-'")
    parser.add_argument(
        "--config-dir",
        type=Path,
        default=Path("mine"),
        metavar="DIR",
        help="folder of your own options (default: mine)",
    )
    parser.add_argument(
        "--from",
        dest="source",
        type=Path,
        metavar="CONFIG_JSON",
        help="of a model: read the dimensions from Hugging Face's config.json",
    )
    add_json(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Write the option unless its name is taken, and print the next command."""
    from importlib import resources

    from infercost.options.question import option_names
    from infercost.paths import CONF, shown

    kind, name, folder = arguments.kind, arguments.name, arguments.config_dir
    group, usage = KINDS[kind]
    if not _NAME.fullmatch(name):
        remedy = "Use small letters, digits, '.', '_' and '-', a letter or digit first"
        raise SpecError(f"new {kind}", name, "cannot be the name of an option", remedy)
    if name in option_names((CONF, folder), group):
        raise SpecError(f"new {kind}", name, f"is a {group} already", "Choose another name")
    if arguments.source is not None and kind != "model":
        remedy = "Only a model is read from a file: infercost new model NAME --from config.json"
        raise SpecError(f"new {kind}", "--from", "sets nothing", remedy)
    target = folder / group / f"{name}.yaml"
    if arguments.source is not None:
        about = _from_config(arguments.source, name, target)
    else:
        template = resources.files("infercost.templates").joinpath(f"{kind}.yaml")
        text = template.read_text(encoding="utf-8").replace("NAME", name)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
        about = ""
    then = usage.format(name=name, folder=folder)
    if arguments.json:
        print_json({"file": shown(target.absolute()), "next": then})
    else:
        print(f"{shown(target.absolute())}\n{about}next: {then}")
    return 0


def _from_config(source: Path, name: str, target: Path) -> str:
    """Write a model from a config.json and say what its dimensions come to."""
    import infercost
    from infercost.templates.hugging_face import model_option

    text = model_option(source, name, 1.0)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8")
    try:
        row = infercost.evaluate([f"model={name}"], (str(target.parents[1]),)).iloc[0]
    except SpecError:
        target.unlink()
        raise
    total, active = float(row.parameter_count), float(row.active_parameter_count)
    target.write_text(model_option(source, name, total), encoding="utf-8")
    visited = "" if active == total else f", of which a token visits {active / 1e9:.3g}"
    return f"{total / 1e9:.4g} billion parameters{visited}: compare with the model's card\n"
