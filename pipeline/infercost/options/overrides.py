"""Overrides read as Hydra's grammar reads them, without Hydra, whose parser takes 150 ms to import.

Texts, numbers, lists, mappings, sweeps (`1,2`, `choice(..)`, `range(..)`), additions (`+`, `++`)
and mounts (`memory@hardware.memory.hbm=hbm3e`) are read here. Anything else (an interpolation, an
escape, a colon in a text, a glob, a deletion, a fault) is left to Hydra. `tests/test_overrides.py`
holds both against each other.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NoReturn

LONGEST_RANGE = 1_000_000
"""Values of a range that an axis has room for."""


@dataclass(frozen=True)
class PlainOverride:
    """An override with those attributes of Hydra's that a question reads."""

    input_line: str
    key_or_group: str
    written: Any
    """What it sets; of a sweep the values of the axis."""
    swept: bool = False
    signs: str = ""
    """`+` adds a key, `++` adds or changes one."""
    package: str | None = None
    """Where it mounts an option."""

    def is_delete(self) -> bool:
        """It sets."""
        return False

    def is_sweep_override(self) -> bool:
        """Whether it names the values of an axis."""
        return self.swept

    def value(self) -> Any:
        """What it sets."""
        return self.written


class _Untold(Exception):
    """Something that is left to Hydra."""


_PATH = r"[A-Za-z]\w*(?:\.(?:[A-Za-z_]|\d+[A-Za-z_-])[\w-]*)*"
_KEY = re.compile(
    rf"(?P<signs>\+{{0,2}})(?:(?P<group>[A-Za-z]\w*)@)?(?P<key>{_PATH})=[ \t]*", re.ASCII
)
_CALL = re.compile(r"(choice|range)[ \t]*\([ \t]*", re.ASCII)
_QUOTED = re.compile(r"'[^'\\$]*'|\"[^\"\\$]*\"")
_TEXT = re.compile(r"[A-Za-z0-9_/+.%*@| \t-]+")
_NAME = re.compile(r"([A-Za-z_][\w-]*)[ \t]*:[ \t]*", re.ASCII)
"""The key of a mapping."""
_BLANK = re.compile(r"[ \t]*")
_WHOLE = r"(?:0|[1-9](?:_?\d)*)"
_POINT = rf"(?:{_WHOLE}\.|{_WHOLE}?\.\d(?:_?\d)*)"
_INT = re.compile(rf"[+-]?{_WHOLE}", re.ASCII)
_FLOAT = re.compile(rf"[+-]?(?:(?:{_POINT}|{_WHOLE})[eE][+-]?\d(?:_?\d)*|{_POINT})", re.ASCII)
_WORDS = {"true": True, "false": False, "null": None}
_NUMBERS = re.compile(r"[+-]?(?:inf|nan)", re.IGNORECASE)


def plain_override(text: str) -> PlainOverride | None:
    """An override as Hydra's grammar reads it; nothing where it takes that grammar."""
    found = _KEY.match(text)
    if found is None or not text.isascii():
        return None
    try:
        swept, written = _Reader(text, found.end()).value()
    except _Untold:
        return None
    group, key = found["group"], found["key"]
    if group:
        return PlainOverride(text, group, written, swept, found["signs"], key)
    return PlainOverride(text, key, written, swept, found["signs"])


class _Reader:
    """Reads a value from its first character to the last; every method leaves off behind its own.

    Blanks are skipped where Hydra's tokens hold them: behind `=`, `,` and openers, before `,` and
    closers.
    """

    def __init__(self, text: str, at: int) -> None:
        self.text, self.at = text, at

    def value(self) -> tuple[bool, Any]:
        """Whether it is a sweep, and the value, or those of the sweep."""
        call = self._taken(_CALL)
        if call is not None:
            given = tuple(self._elements(")"))
            if None in given:  # no argument of Hydra's functions
                raise _Untold
            return self._ended(True, given if call[1] == "choice" else _ranged(given))
        given = tuple(self._elements(""))
        return self._ended(len(given) > 1, given if len(given) > 1 else given[0])

    def _ended(self, swept: bool, value: Any) -> tuple[bool, Any]:
        if self.at < len(self.text):
            raise _Untold
        return swept, value

    def _elements(self, closer: str) -> Iterator[Any]:
        """One value or more with commas between, up to `closer` or the end."""
        yield self._element()
        while not self._closed(closer):
            self._expect(",")
            yield self._element()

    def _closed(self, closer: str) -> bool:
        if not closer:
            return self.at == len(self.text)
        blank = _BLANK.match(self.text, self.at)
        assert blank is not None
        if not self.text.startswith(closer, blank.end()):
            return False
        self.at = blank.end() + 1
        return True

    def _expect(self, sign: str) -> None:
        self._taken(_BLANK)
        if not self.text.startswith(sign, self.at):
            raise _Untold
        self.at += 1
        self._taken(_BLANK)

    def _element(self) -> Any:
        opener = self.text[self.at : self.at + 1]
        if opener in ("[", "{"):
            self._expect(opener)
            return self._list() if opener == "[" else self._mapping()
        quoted = self._taken(_QUOTED)
        if quoted is not None:
            return quoted[0][1:-1]
        found = self._taken(_TEXT)
        return _word(found[0].strip(" \t")) if found is not None else _leave()

    def _list(self) -> list[Any]:
        return [] if self._closed("]") else list(self._elements("]"))

    def _mapping(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while not found or not self._closed("}"):
            if found:
                self._expect(",")
            name = self._taken(_NAME)
            if name is None or name[1].lower() in _WORDS or _NUMBERS.fullmatch(name[1]):
                raise _Untold
            found[name[1]] = self._element()
        return found

    def _taken(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        found = pattern.match(self.text, self.at)
        self.at = found.end() if found is not None else self.at
        return found


def _leave() -> NoReturn:
    raise _Untold


def _word(text: str) -> Any:
    """A text without quotes: a number or a truth value if it is one as a whole."""
    if not text or _NUMBERS.fullmatch(text):
        raise _Untold
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    if _INT.fullmatch(text):
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text


def _ranged(given: tuple[Any, ...]) -> tuple[Any, ...]:
    """Values of `range(stop)`, `range(start, stop)` or `range(start, stop, step)`."""
    if not all(type(number) in (int, float) for number in given) or len(given) > 3:
        raise _Untold
    start, stop, step = (0, *given, 1) if len(given) == 1 else (*given, 1)[:3]
    if not step or not 0 < (float(stop) - float(start)) / step <= LONGEST_RANGE:
        raise _Untold
    if all(type(number) is int for number in given):
        return tuple(range(start, stop, step))
    return tuple(_decimals(Decimal(start), Decimal(stop), Decimal(step)))


def _decimals(at: Decimal, stop: Decimal, step: Decimal) -> Iterator[float]:
    """Summed up as Hydra does it, so that every value has its bits."""
    while at < stop if step > 0 else at > stop:
        yield float(at)
        at += step
