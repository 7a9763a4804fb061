"""Units at the door: text such as `3.35 TB/s` becomes a number in SI, and nothing else does.

The definitions are ours. Stock pint takes bytes as dimensionless, reads `Gb` as gilbert and knows
neither FLOP, token, USD nor kgCO2e; it also costs half a second at start-up. The table below is
closed, so that a spelling outside it is an error and never a guess. The tests rebuild it in pint
and compare every unit.

Inside the package a quantity is a float in: s, B, FLOP, token, USD, J, W, kgCO2e, m2, K.
"""

from __future__ import annotations

import math
import re
from functools import cache
from typing import TypeGuard

from infercost.errors import as_written, closest

BASE = ("s", "B", "FLOP", "token", "USD", "J", "kgCO2e", "m", "K")
"""Dimensions. The joule is taken as base (kg does not occur); bit = 1/8 B; W = J/s."""

Dimension = tuple[int, ...]
DIMENSIONLESS: Dimension = (0,) * len(BASE)


def _base(**exponents: int) -> Dimension:
    return tuple(exponents.get(name, 0) for name in BASE)


_DECIMAL = {"p": 1e-12, "n": 1e-9, "u": 1e-6, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
_LARGE = {"": 1.0} | {p: _DECIMAL[p] for p in "kMGT"} | {"P": 1e15, "E": 1e18}
_BINARY = {f"{p}i": 1024.0**n for n, p in enumerate("KMGTP", start=1)}
_SMALL = {"": 1.0} | {p: _DECIMAL[p] for p in "punm"}
_YEAR = 365.25 * 86400.0


def _prefixed(
    symbol: str, prefixes: dict[str, float], scale: float, dimension: Dimension
) -> dict[str, tuple[float, Dimension]]:
    return {p + symbol: (factor * scale, dimension) for p, factor in prefixes.items()}


UNITS: dict[str, tuple[float, Dimension]] = {
    **_prefixed("s", _SMALL, 1.0, _base(s=1)),
    "min": (60.0, _base(s=1)),
    "h": (3600.0, _base(s=1)),
    "day": (86400.0, _base(s=1)),
    "month": (_YEAR / 12.0, _base(s=1)),
    "year": (_YEAR, _base(s=1)),
    **_prefixed("B", _LARGE | _BINARY, 1.0, _base(B=1)),
    **_prefixed("bit", _LARGE | _BINARY, 0.125, _base(B=1)),
    **_prefixed("FLOP", _LARGE, 1.0, _base(FLOP=1)),
    **_prefixed("token", {"": 1.0, "k": 1e3, "M": 1e6}, 1.0, _base(token=1)),
    **_prefixed("USD", {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9}, 1.0, _base(USD=1)),
    **_prefixed("J", _SMALL | _LARGE, 1.0, _base(J=1)),
    **_prefixed("W", {"m": 1e-3, **_LARGE}, 1.0, _base(J=1, s=-1)),
    **_prefixed("Wh", _LARGE, 3600.0, _base(J=1)),
    "gCO2e": (1e-3, _base(kgCO2e=1)),
    "kgCO2e": (1.0, _base(kgCO2e=1)),
    "tCO2e": (1e3, _base(kgCO2e=1)),
    "m": (1.0, _base(m=1)),
    "mm": (1e-3, _base(m=1)),
    "m2": (1.0, _base(m=2)),
    "mm2": (1e-6, _base(m=2)),
    "cm2": (1e-4, _base(m=2)),
    "K": (1.0, _base(K=1)),
}

_MISREAD = {
    "Gb": "GB for bytes or Gbit for bits",
    "Tb": "TB for bytes or Tbit for bits",
    "Mb": "MB for bytes or Mbit for bits",
    "Kb": "kB for bytes or kbit for bits",
    "KB": "kB (1000 B) or KiB (1024 B)",
    "GBps": "GB/s",
    "TBps": "TB/s",
    "MBps": "MB/s",
    "GBPS": "GB/s for bytes or Gbit/s for bits",
    "Gbps": "Gbit/s",
    "Tbps": "Tbit/s",
    "FLOPS": "FLOP/s",
    "GFLOPS": "GFLOP/s",
    "TFLOPS": "TFLOP/s",
    "PFLOPS": "PFLOP/s",
    "TOPS": "TFLOP/s (a multiply-add is two)",
    "sec": "s",
    "hour": "h",
    "hours": "h",
    "days": "day",
    "years": "year",
    "tokens": "token",
    "$": "USD",
    "µs": "us",
    "μs": "us",
    "b": "B for bytes or bit for bits",
    "%": "a fraction such as 0.2",
    "degC": "K (add 273.15)",
    "°C": "K (add 273.15)",
    "C": "K (add 273.15)",
}

_NUMBER = re.compile(
    r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*(?![\d.,_])(.*?)\s*\Z", re.DOTALL
)


class UnitError(ValueError):
    """Text that is not a quantity of the expected dimension: the fault, and what to write."""

    def __init__(self, fault: str, remedy: str = "") -> None:
        self.fault, self.remedy = fault, remedy
        super().__init__(f"{fault}. {remedy}" if remedy else fault)


@cache
def unit(text: str) -> tuple[float, Dimension]:
    """Scale to SI and dimension of a unit expression such as `pJ/bit` or `USD/kW/month`.

    A product is written with `*`, a quotient with `/`, read from left to right. Raises `UnitError`
    for a symbol outside the table, or none beside a sign.
    """
    scale, dimension = 1.0, DIMENSIONLESS
    signs = ["*", *re.findall(r"[*/]", text)]
    for sign, symbol in zip(signs, re.split(r"[*/]", text), strict=True):
        symbol = symbol.strip()
        if symbol == "1":
            continue
        if not symbol:
            raise UnitError(f"unit '{text}' lacks a symbol beside '*' or '/'")
        if symbol not in UNITS:
            raise UnitError(f"unknown unit '{symbol}'", _hint(symbol))
        factor, exponents = UNITS[symbol]
        power = -1 if sign == "/" else 1
        scale *= factor**power
        dimension = tuple(d + power * e for d, e in zip(dimension, exponents, strict=True))
    return scale, dimension


def _hint(symbol: str) -> str:
    if symbol in _MISREAD:
        return f"Write {_MISREAD[symbol]}"
    near = closest(symbol, UNITS, cutoff=0.75)  # units are short: half of one is not near
    return f"Did you mean '{near}'?" if near else ""


def is_number(value: object) -> TypeGuard[int | float]:
    """Whether a value is a number; yes and no are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


_EXTREME = 1e100
"""Nothing is so large, or so small, in SI units; sums and products of what is stay finite."""


def parse(value: object, expected: str) -> float:
    """The number of SI units in `value`, a text such as `80 GB`, where `expected` names the unit.

    A bare number is refused: data sheets mix GB with GiB and Gbit. Raises `UnitError`.
    """
    _, wanted = unit(expected)
    example = f"Write for example '{_EXAMPLES.get(expected, '1 ' + expected)}'"
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise UnitError(f"{as_written(value)} is not a quantity in {expected}", example)
    if not isinstance(value, str):
        raise UnitError(f"{value!r} has no unit", example)
    match = _NUMBER.match(value)
    if not match:
        raise UnitError(f"'{value}' cannot be read as a number with a unit", example)
    number, symbol = match.groups()
    if not symbol:
        raise UnitError(f"'{value}' has no unit", example)
    try:
        scale, dimension = unit(symbol)
    except UnitError as error:
        raise UnitError(error.fault, error.remedy or example) from None
    if dimension != wanted:
        raise UnitError(
            f"'{value}' cannot be read in {expected}: it is {describe(dimension)}, "
            f"not {describe(wanted)}",
            example,
        )
    result = float(number) * scale
    if not math.isfinite(result):
        raise UnitError(f"'{value}' is not finite")
    if result and not 1 / _EXTREME < abs(result) < _EXTREME:
        raise UnitError(f"'{value}' is beyond any such quantity", example)
    return result


_EXAMPLES = {
    "s": "2.5 us",
    "B": "80 GB",
    "B/s": "3.35 TB/s",
    "FLOP/s": "989 TFLOP/s",
    "W": "700 W",
    "J/B": "3.9 pJ/bit",
    "USD": "30000 USD",
    "USD/s": "2.5 USD/h",
    "USD/J": "0.08 USD/kWh",
    "USD/W/s": "130 USD/kW/month",
    "kgCO2e": "150 kgCO2e",
    "kgCO2e/B": "0.86 kgCO2e/GB",
    "kgCO2e/J": "0.369 kgCO2e/kWh",
    "USD/B": "10 USD/GB",
    "K": "368 K",
}

_WORDS = {
    "s": "a time",
    "B": "an amount of data",
    "B/s": "a data rate",
    "FLOP": "a count of FLOPs",
    "FLOP/s": "a rate of FLOPs",
    "W": "a power",
    "J": "an energy",
    "J/B": "an energy per byte",
    "USD": "an amount of money",
    "USD/s": "money per time",
    "USD/J": "money per energy",
    "kgCO2e": "an amount of carbon",
    "kgCO2e/B": "carbon per byte",
    "kgCO2e/J": "carbon per energy",
    "USD/B": "money per byte",
    "K": "a temperature",
    "1": "a bare number",
}


def describe(dimension: Dimension) -> str:
    """A dimension in words where it has them, else as a product of base units."""
    for expression, words in _WORDS.items():
        if unit(expression)[1] == dimension:
            return words
    up = "*".join(f"{b}^{e}" if e > 1 else b for b, e in zip(BASE, dimension, strict=True) if e > 0)
    down = "/".join(
        f"{b}^{-e}" if e < -1 else b for b, e in zip(BASE, dimension, strict=True) if e < 0
    )
    return f"{up or '1'}/{down}" if down else up


_SHOWN = [
    *((factor, prefix) for prefix, factor in reversed(_LARGE.items()) if prefix),
    (1.0, ""),
    *((_DECIMAL[prefix], prefix) for prefix in "munp"),
]


def show(value: float, symbol: str, digits: int = 4) -> str:
    """`value` in SI with the prefix that leaves one to three digits before the point.

    Prefixes are those that `UNITS` has for the symbol, so that `parse` reads the text again. Of a
    square a prefix counts twice (mm2 is no milli of m2), so that squares are shown as they are.
    """
    head, slash, tail = symbol.partition("/")
    whole = UNITS.get(head, (math.nan,))[0]
    scales = [
        (factor, prefix)
        for factor, prefix in _SHOWN
        if math.isclose(UNITS.get(prefix + head, (0.0,))[0], factor * whole)
    ]
    if head not in UNITS or not math.isfinite(value) or value == 0:
        return f"{value:.{digits}g} {'' if symbol == '1' else symbol}".rstrip()
    factor, prefix = next(
        (s for s in scales if abs(value) >= s[0] * (1 - 0.5 * 10.0**-digits)), scales[-1]
    )
    return f"{value / factor:.{digits}g} {prefix}{head}{slash}{tail}"
