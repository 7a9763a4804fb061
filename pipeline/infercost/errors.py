"""Errors that a user can act on: each names the place, the fault and the next step."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class SpecError(ValueError):
    """A configuration, override or data file that cannot be taken as it stands.

    `place` is the file (with line, where known) or the override; `key` the dotted path inside it;
    `fault` what is wrong; `remedy` what to write instead. One error is one line.
    """

    def __init__(self, place: str, key: str, fault: str, remedy: str = "") -> None:
        self.place, self.key, self.fault, self.remedy = place, key, fault, remedy
        where = f"{place}: {key}" if key else place
        line = f"{where}: {fault}" + (f". {remedy}" if remedy else "")
        super().__init__(" ".join(line.split()))


class NoEffect(UserWarning):
    """An override or an axis that changes no number of the points that were asked for."""


class SpecErrors(SpecError):
    """Several faults found in one pass, one line each."""

    def __init__(self, faults: Iterable[SpecError]) -> None:
        self.faults = tuple(faults)
        first = self.faults[0]
        super().__init__(first.place, first.key, first.fault, first.remedy)
        self.args = ("\n".join(str(fault) for fault in self.faults),)


def closest(word: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """The known word spelt most like `word`, in whatever case; empty where none is near."""
    options = {option.casefold(): option for option in sorted(known, reverse=True)}
    close = difflib.get_close_matches(word.casefold(), options, n=1, cutoff=cutoff)
    return options[close[0]] if close else ""


_NAMED = 20
"""Words that a remedy names at most."""


def nearest(word: str, known: Iterable[str]) -> str:
    """A remedy that names the known word nearest to `word`, or some of them where none is near."""
    options = sorted(known)
    close = closest(word, options)
    holding = [option for option in options if word and word.casefold() in option.casefold()]
    if close or len(holding) == 1:
        return f"Did you mean '{close or holding[0]}'?"
    more = f" and {len(options) - _NAMED} more" if len(options) > _NAMED else ""
    return f"Known: {', '.join(options[:_NAMED])}{more}" if options else ""


_WRITTEN = {True: "true", False: "false", None: "nothing"}
_LONGEST = 60


def as_written(value: object) -> str:
    """A refused value about as its author wrote it, cut where it is long."""
    if value is None or isinstance(value, bool):
        return _WRITTEN[value]
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
