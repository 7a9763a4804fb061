"""What a shell offers on a tab: commands and options as declared, and names of options and studies.

Imported only while a shell completes; a prompt must not wait for the cost model.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from infercost.options.question import option_names
from infercost.paths import config_dirs, option_groups

GROUPS = (
    *("hardware", "model", "workload", "trend", "plan", "economics", "calibration", "direction"),
    *("mitigation", "serving"),
)
"""Groups that overrides choose from."""
ADDED = ("+direction", "+mitigation")
"""Groups that a default lists nothing of, as explain takes them."""
SCALARS = ("batch",)
_LAST = re.compile(r"^(.*[=\[,+])?([^=\[,+]*)$", re.DOTALL)
"""What stands before the name that is being typed, and the name so far."""


def complete(parser: argparse.ArgumentParser) -> None:
    """Answer a shell that asks, and end; nothing if none does."""
    import argcomplete

    attach(parser)
    # Without files where something else is meant: completers know better.
    argcomplete.autocomplete(parser, always_complete_options="long")


def attach(parser: argparse.ArgumentParser, command: str = "") -> None:
    """Give every argument whose values are known its completer."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, inner in action.choices.items():
                attach(inner, f"{command} {name}".strip())
        else:
            found = COMPLETERS.get(f"{command} {action.dest}") or COMPLETERS.get(action.dest)
            if found is not None and action.choices is None:
                action.completer = found  # type: ignore[attr-defined]


def overrides(prefix: str, parsed_args: Any, **_: Any) -> list[str]:
    """`key=value` words: groups, then the names of their options, in lists too.

    A design of `compare` holds several in one word: the last is completed.
    """
    before, space, word = prefix.rpartition(" ")
    key, equals, value = word.partition("=")
    found: Iterator[str]
    if equals:
        found = (f"{key}={text}" for text in _values(key, value, _dirs(parsed_args)))
    elif "." in word:
        found = _fields(word)
    else:
        found = (f"{name}=" for name in (*GROUPS, *ADDED, *SCALARS) if name.startswith(word))
    return [f"{before}{space}{text}" for text in found]


def _values(key: str, value: str, dirs: tuple[Path, ...]) -> Iterator[str]:
    group = key.lstrip("+~")
    if group not in GROUPS:
        return
    if key.startswith("+") and not value.startswith("["):
        value = f"[{value}"
    match = _LAST.match(value)
    assert match is not None  # which any text does
    head, typed = match.group(1) or "", match.group(2)
    taken = set(re.split(r"[\[,+]", head))
    for name in option_names(dirs, group):
        if name.startswith(typed) and name not in taken:
            yield f"{head}{name}"


def _fields(word: str) -> Iterator[str]:
    """Fields of specs by dotted path: a field with fields below ends in a dot."""
    from infercost.errors import SpecError
    from infercost.lookup import field_meaning

    path, _, typed = word.rpartition(".")
    try:
        below = field_meaning(path).below
        for name in below:
            if name.startswith(typed):
                yield f"{path}.{name}{'.' if field_meaning(f'{path}.{name}').below else '='}"
    except SpecError:
        return


def named(group: str) -> Callable[..., list[str]]:
    """A completer of the names of a group's options."""

    def names(prefix: str, parsed_args: Any, **_: Any) -> list[str]:
        return _starting(option_names(_dirs(parsed_args), group), prefix)

    return names


def groups(prefix: str, **_: Any) -> list[str]:
    """Groups of options, as `infercost options` lists them."""
    return _starting(option_groups(), prefix)


def options(prefix: str, parsed_args: Any, **_: Any) -> list[str]:
    """GROUP/OPTION."""
    group, slash, name = prefix.partition("/")
    if not slash:
        return [f"{found}/" for found in groups(prefix)]
    return [f"{group}/{found}" for found in named(group)(name, parsed_args)]


def versions(prefix: str, parsed_args: Any, **_: Any) -> list[str]:
    """Published studies, and after STUDY/ their versions and tags."""
    root = Path(getattr(parsed_args, "root", None) or "data/datasets")
    study, slash, _name = prefix.partition("/")
    folder = root / study if slash else root
    found = sorted(entry.name for entry in folder.glob("[!.]*") if entry.is_dir())
    return _starting((f"{study}/{name}" for name in found) if slash else found, prefix)


def metrics(prefix: str, **_: Any) -> list[str]:
    """Columns of results."""
    from infercost.registry import metrics as known

    return _starting(known(), prefix)


def profiles(prefix: str, **_: Any) -> list[str]:
    """Profiles of the workflow."""
    from infercost.paths import ROOT

    found = ROOT.glob("workflow/profiles/*/config.yaml")
    return _starting(sorted(file.parent.name for file in found), prefix)


def _starting(names: Iterable[str], prefix: str) -> list[str]:
    return [name for name in names if name.startswith(prefix)]


def _dirs(parsed_args: Any) -> tuple[Path, ...]:
    given = getattr(parsed_args, "config_dir", None) or []
    return config_dirs(tuple(map(str, given if isinstance(given, list) else [given])))


COMPLETERS: dict[str, Callable[..., list[str]]] = {
    "overrides": overrides,
    "compare first": overrides,
    "compare second": overrides,
    "explain trace": metrics,
    "breakeven metric": metrics,
    "fleet scenario": named("fleet"),
    "options group": groups,
    "catalogue words": options,
    "study study": named("study"),
    "study profile": profiles,
    "answer study": named("study"),
    "claims names": named("claim"),
    "explorer study": versions,
    "datasets list study": versions,
    "datasets gc study": versions,
    "datasets show version": versions,
    "datasets diff before": versions,
    "datasets diff after": versions,
    "datasets diff metric": metrics,
    "datasets verify version": versions,
    "datasets export version": versions,
    "datasets tag version": versions,
}
"""By command and argument, or by argument alone."""
