"""`infercost catalogue`, `options` and `metrics`: what can be asked, and what comes out."""

from __future__ import annotations

import argparse
from typing import Any

from infercost.commands.arguments import add_config_dir, add_json
from infercost.commands.output import print_json, print_table
from infercost.errors import SpecError, nearest


def add_parser(commands: Any) -> None:
    """Declare the commands."""
    parser = commands.add_parser(
        "metrics",
        help="columns of every result: unit, symbol, meaning",
        description="Columns of every result: unit, symbol, meaning. A name ends in its SI unit."
        " WORDs choose those in whose name or meaning all of them occur.",
        epilog="examples: infercost metrics tpot_s | infercost metrics cost prompt",
    )
    parser.add_argument("words", nargs="*", metavar="WORD")
    add_json(parser)
    parser.set_defaults(run=run_metrics)
    parser = commands.add_parser(
        "options",
        help="options of every group, or of one",
        description="Names that overrides and studies may choose, your own included.",
    )
    parser.add_argument("group", nargs="?", help="such as hardware or model; default: all")
    add_json(parser)
    add_config_dir(parser)
    parser.set_defaults(run=run_options)
    parser = commands.add_parser(
        "catalogue",
        help="search options, show their values with sources, say what a field means",
        description="GROUP lists its options, GROUP/OPTION shows every value of one and its source,"
        " GROUP.FIELD... says what a field means, and words search names, titles and texts of all.",
        epilog="examples: infercost catalogue blackwell | infercost catalogue hardware/h100-sxm |"
        " infercost catalogue hardware.scale_up.alpha",
    )
    parser.add_argument("words", nargs="*", metavar="WORD")
    parser.add_argument(
        "--unchecked", action="store_true", help="only values that are assumed or recalled"
    )
    add_json(parser)
    add_config_dir(parser)
    parser.set_defaults(run=run_catalogue)


def run_metrics(arguments: argparse.Namespace) -> int:
    """Print what every column means, or those that words name."""
    from infercost.quantities import quantities

    known = quantities()
    words = [word.casefold() for word in arguments.words]
    found = [
        q for q in known if all(w in f"{q.column} {q.symbol} {q.meaning}".casefold() for w in words)
    ]
    if not found:
        remedy = nearest(arguments.words[0], [q.column for q in known])
        raise SpecError("metrics", " ".join(arguments.words), "no column matches", remedy)
    if arguments.json:
        print_json(
            [
                {"name": q.column, "unit": q.unit, "symbol": q.symbol, "meaning": q.meaning}
                for q in found
            ]
        )
    else:
        rows = [[q.column, q.unit, q.symbol, q.meaning] for q in found]
        print_table("", ["column", "unit", "symbol", "meaning"], rows)
    return 0


def run_options(arguments: argparse.Namespace) -> int:
    """Print the options of a group, or of all."""
    from infercost.options.question import option_names
    from infercost.paths import config_dirs, option_groups

    dirs = config_dirs(tuple(arguments.config_dir))
    groups = option_groups()
    if arguments.group and arguments.group not in groups:
        raise SpecError(
            "options", arguments.group, "no such group", nearest(arguments.group, groups)
        )
    chosen = [arguments.group] if arguments.group else groups
    found = {group: option_names(dirs, group) for group in chosen}
    if arguments.json:
        print_json(found)
    else:
        for group, names in found.items():
            print(f"{group}:")
            print("".join(f"  {name}\n" for name in names), end="")
    return 0


def run_catalogue(arguments: argparse.Namespace) -> int:
    """Print options that match, or one option, or one field."""
    from infercost.paths import config_dirs
    from infercost.specs.case import GROUPS

    dirs = config_dirs(tuple(arguments.config_dir))
    words: list[str] = arguments.words
    one = words[0] if len(words) == 1 else ""
    if "/" in one:
        return _print_option(dirs, one, arguments)
    if "." in one and one.partition(".")[0] in GROUPS:
        return _print_field(dirs, one, arguments)
    return _print_matches(dirs, words, arguments)


def _print_matches(dirs: Any, words: list[str], arguments: argparse.Namespace) -> int:
    from infercost.lookup import entries, matching
    from infercost.paths import option_groups

    groups = option_groups()
    if len(words) == 1 and words[0] in groups:
        groups, words = words, []
    found = matching(entries(dirs, groups), words)
    if not found:
        known = [entry.name for entry in entries(dirs, groups)]
        raise SpecError("catalogue", " ".join(words), "no option matches", nearest(words[0], known))
    if arguments.json:
        print_json(
            [{"group": e.group, "name": e.name, "title": e.title, "about": e.about} for e in found]
        )
    else:
        rows = [[f"{entry.group}/{entry.name}", _told(entry)] for entry in found]
        print_table("", ["option", "what it is"], rows)
        print("infercost catalogue GROUP/OPTION shows the values of one, with their sources")
    return 0


_SENTENCES = 140
"""Letters of what a table says of an option."""


def _told(entry: Any) -> str:
    """Title and comment of an option, cut at a word; of a title that is its name the comment."""
    from textwrap import shorten

    title = "" if entry.title == entry.name else entry.title
    said = f"{title}: {entry.about}" if title and entry.about else title or entry.about
    return shorten(said, _SENTENCES, placeholder=" ...")


def _print_option(dirs: Any, named: str, arguments: argparse.Namespace) -> int:
    from infercost.lookup import cited, sources, statements
    from infercost.paths import option_groups

    group, _, name = named.partition("/")
    groups = option_groups()
    if group not in groups:
        raise SpecError("catalogue", named, f"'{group}' is no group", nearest(group, groups))
    stated = statements(dirs, group, name)
    if arguments.unchecked:
        stated = [value for value in stated if value.unchecked]
    known = sources(dirs)
    keys = cited((value.witness for value in stated), known)
    if arguments.json:
        values = [{**vars(value), "unchecked": value.unchecked} for value in stated]
        print_json({"values": values, "sources": {key: known[key] for key in keys}})
        return 0
    rows = [[value.path, value.value, value.witness, value.place] for value in stated]
    print_table(named, ["field", "value", "witness", "stands in"], rows)
    if keys:
        rows = [[key, known[key]["title"], known[key].get("url", "")] for key in keys]
        print_table("Sources", ["key", "title", "link"], rows)
    return 0


def _print_field(dirs: Any, path: str, arguments: argparse.Namespace) -> int:
    from infercost.lookup import field_meaning

    field = field_meaning(path, dirs)
    if arguments.json:
        print_json(vars(field))
        return 0
    unit = f" ({field.unit})" if field.unit not in ("", "1") else ""
    kinds = f" (of kind {' or '.join(field.kinds)})" if field.kinds else ""
    print(f"{field.path}{unit}: {field.meaning or 'as its name says'}{kinds}")
    if field.entries:
        print_table("Kinds of an entry", ["kind", "what it is"], [list(e) for e in field.entries])
    if field.below:
        print(f"fields below: {', '.join(field.below)}")
    return 0
