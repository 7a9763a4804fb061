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
        super().__init__(f"{where}: {fault}" + (f". {remedy}" if remedy else ""))


class SpecErrors(SpecError):
    """Several faults found in one pass, one line each."""

    def __init__(self, faults: Iterable[SpecError]) -> None:
        self.faults = tuple(faults)
        first = self.faults[0]
        super().__init__(first.place, first.key, first.fault, first.remedy)
        self.args = ("\n".join(str(fault) for fault in self.faults),)


def nearest(word: str, known: Iterable[str]) -> str:
    """A remedy that names the known word nearest to `word`, or all of them where none is near."""
    options = sorted(known)
    close = difflib.get_close_matches(word, options, n=1, cutoff=0.6)
    if close:
        return f"Did you mean '{close[0]}'?"
    return f"Known: {', '.join(options)}" if options else ""
