"""Units at the door: what is read, what is refused with which hint, and agreement with pint."""

from __future__ import annotations

import math
import re

import pint
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infercost.units import BASE, UNITS, UnitError, describe, parse, show, unit

# --- facts of the parser


@pytest.mark.parametrize(
    ("text", "expected", "si"),
    [
        ("3.35 TB/s", "B/s", 3.35e12),
        ("80 GB", "B", 80e9),
        ("80 GiB", "B", 80 * 2**30),
        ("1 KiB", "B", 1024),
        ("1 kB", "B", 1000),
        ("400 Gbit/s", "B/s", 400e9 / 8),
        ("989.4 TFLOP/s", "FLOP/s", 989.4e12),
        ("2.5 us", "s", 2.5e-6),
        ("90 min", "s", 90 * 60),
        ("5 year", "s", 5 * 365.25 * 24 * 3600),
        ("1 month", "s", 365.25 * 24 * 3600 / 12),
        ("3.9 pJ/bit", "J/B", 3.9e-12 * 8),
        ("2 USD/h", "USD/s", 2 / 3600),
        ("0.08 USD/kWh", "USD/J", 0.08 / 3.6e6),
        ("130 USD/kW/month", "USD/W/s", 130 / 1000 / (365.25 * 86400 / 12)),
        ("30 kUSD", "USD", 30_000),
        ("0.369 kgCO2e/kWh", "kgCO2e/J", 0.369 / 3.6e6),
        ("860 gCO2e/GB", "kgCO2e/B", 0.860 / 1e9),
        ("1.2 tCO2e", "kgCO2e", 1200),
        ("132 kW", "W", 132_000),
        ("1 Mtoken", "token", 1e6),
    ],
)
def test_a_quantity_is_read_in_si(text: str, expected: str, si: float) -> None:
    assert parse(text, expected) == pytest.approx(si, rel=1e-14)


def test_a_square_millimetre_is_a_millionth_of_a_square_metre() -> None:
    scale, dimension = unit("mm2")
    assert scale == 1e-6
    assert dict(zip(BASE, dimension, strict=True))["m"] == 2


def test_a_watt_is_a_joule_per_second() -> None:
    assert unit("W") == unit("J/s")


def test_a_watt_hour_is_3600_joules() -> None:
    assert unit("Wh") == unit("W*h")
    assert unit("Wh")[0] == 3600


def test_a_byte_is_eight_bits() -> None:
    assert unit("B")[0] == 8 * unit("bit")[0]
    assert unit("B")[1] == unit("bit")[1]


def test_quotients_are_read_from_left_to_right() -> None:
    """USD/kW/month is USD/(kW*month), not USD/(kW/month)."""
    assert parse("6 USD/W/s", "USD/W/s") == 6
    assert unit("USD/W/s")[1] == unit("USD/J")[1]


@pytest.mark.parametrize("text", ["2TB/s", " 2 TB/s ", "2.0 TB/s", "+2e0 TB/s", "2 TB / s"])
def test_spaces_and_signs_do_not_matter(text: str) -> None:
    assert parse(text, "B/s") == 2e12


def test_decimal_and_binary_prefixes_differ() -> None:
    """1 GiB = 1.073741824 GB: the trap that the spelling closes."""
    assert parse("1 GiB", "B") / parse("1 GB", "B") == pytest.approx(1.073741824)


# --- pint as an oracle


@pytest.fixture(scope="module")
def registry() -> pint.UnitRegistry:
    """Pint, with byte, FLOP, token, USD and kgCO2e as dimensions and the rest from SI.

    Definitions are written out again, from prefixes and a few relations, not taken from our table.
    """
    ureg = pint.UnitRegistry(None)
    for prefix, value in {
        "p": "1e-12",
        "n": "1e-9",
        "u": "1e-6",
        "m": "1e-3",
        "c": "1e-2",
        "k": "1e3",
        "M": "1e6",
        "G": "1e9",
        "T": "1e12",
        "P": "1e15",
        "E": "1e18",
        "Ki": "2**10",
        "Mi": "2**20",
        "Gi": "2**30",
        "Ti": "2**40",
        "Pi": "2**50",
    }.items():
        ureg.define(f"{prefix}- = {value}")
    for line in (
        "s = [time]",
        "B = [data]",
        "FLOP = [operations]",
        "token = [tokens]",
        "USD = [money]",
        "gCO2e = [carbon]",
        "J = [energy]",
        "metre = [length] = m",
        "K = [temperature]",
        "min = 60 * s",
        "h = 60 * min",
        "day = 24 * h",
        "year = 365.25 * day",
        "month = year / 12",
        "bit = B / 8",
        "W = J / s",
        "Wh = W * h",
        "tCO2e = 1000000 * gCO2e",
        "mm = 1e-3 * metre",
        "m2 = metre ** 2",
        "mm2 = (1e-3 * metre) ** 2",
        "cm2 = (1e-2 * metre) ** 2",
    ):
        ureg.define(line)
    return ureg


def in_pint(registry: pint.UnitRegistry, expression: str) -> tuple[float, tuple[int, ...]]:
    """Scale to SI and exponents of our base units, as pint has them."""
    quantity = registry.Quantity(1.0, expression).to_base_units()
    names = {"[time]": "s", "[data]": "B", "[operations]": "FLOP", "[tokens]": "token"}
    names |= {"[money]": "USD", "[energy]": "J", "[carbon]": "kgCO2e", "[length]": "m"}
    names |= {"[temperature]": "K"}
    exponents = {names[name]: int(power) for name, power in quantity.dimensionality.items()}
    # Our base of carbon is the kilogram, pint's here the gram.
    scale = quantity.magnitude / 1000.0 ** exponents.get("kgCO2e", 0)
    return scale, tuple(exponents.get(base, 0) for base in BASE)


@pytest.mark.parametrize("symbol", sorted(UNITS))
def test_every_unit_agrees_with_pint(registry: pint.UnitRegistry, symbol: str) -> None:
    scale, dimension = in_pint(registry, symbol)
    assert unit(symbol) == (pytest.approx(scale, rel=1e-12), dimension)


COMPOUNDS = """
TB/s GB/s MB/s GiB/s TiB/s Gbit/s Tbit/s kbit/s Mibit/s TFLOP/s GFLOP/s PFLOP/s EFLOP/s pJ/bit
nJ/B pJ/FLOP J/token W*h kW*h kWh/day GWh/year USD/h USD/year USD/kWh USD/MWh USD/GB USD/GiB
USD/kW/month USD/W/s MUSD/MW kgCO2e/kWh gCO2e/kWh kgCO2e/GB gCO2e/GiB tCO2e/year kgCO2e/cm2
USD/mm2 GB/s/W TFLOP/s/kW FLOP/B FLOP/bit token/s token/J Mtoken/day USD/Mtoken GB/mm2 GB/s/mm2
W/cm2 J/s W/Wh B*FLOP/s kB/token us/token 1/s
"""


@pytest.mark.parametrize("expression", COMPOUNDS.split())
def test_every_compound_agrees_with_pint(registry: pint.UnitRegistry, expression: str) -> None:
    scale, dimension = in_pint(registry, expression)
    assert unit(expression) == (pytest.approx(scale, rel=1e-12), dimension)


@given(st.lists(st.sampled_from(sorted(UNITS)), min_size=1, max_size=4), st.data())
def test_any_expression_agrees_with_pint(
    registry: pint.UnitRegistry, symbols: list[str], data: st.DataObject
) -> None:
    signs = [data.draw(st.sampled_from("*/")) for _ in symbols[1:]]
    expression = symbols[0] + "".join(s + u for s, u in zip(signs, symbols[1:], strict=True))
    scale, dimension = in_pint(registry, expression)
    assert unit(expression) == (pytest.approx(scale, rel=1e-12), dimension)


def test_stock_pint_would_misread_a_gigabit() -> None:
    """Why the table is ours: pint takes Gb for a gilbert, a magnetomotive force."""
    stock = pint.UnitRegistry()
    assert stock.Quantity("1 Gb").dimensionality == {"[current]": 1}
    assert stock.Quantity("80 GB").dimensionless


# --- refusals, each with its hint


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("400 Gb/s", "Write GB for bytes or Gbit for bits"),
        ("3350 GBps", "Write GB/s"),
        ("400 Gbps", "Write Gbit/s"),
        ("3 GBPS", "Write GB/s for bytes or Gbit/s for bits"),
        ("5 KB/s", "Write kB (1000 B) or KiB (1024 B)"),
        ("5 b/s", "Write B for bytes or bit for bits"),
        ("5 TB/sec", "Write s"),
        ("5 TB/hour", "Write h"),
        ("5 tb/s", "Did you mean 'TB'?"),
        ("5 TBs", "Did you mean 'TB'?"),
        ("5 bytes/s", "Write for example '3.35 TB/s'"),
        ("3.35 T", "Write for example '3.35 TB/s'"),
    ],
)
def test_a_unit_outside_the_table_is_refused_with_what_to_write(text: str, hint: str) -> None:
    with pytest.raises(UnitError, match="unknown unit") as caught:
        parse(text, "B/s")
    assert caught.value.remedy == hint


@pytest.mark.parametrize(
    ("text", "expected", "hint"),
    [
        ("989 TFLOPS", "FLOP/s", "Write TFLOP/s"),
        ("1979 TOPS", "FLOP/s", "Write TFLOP/s (a multiply-add is two)"),
        ("989 Tflop/s", "FLOP/s", "Did you mean 'TFLOP'?"),
        ("2.5 µs", "s", "Write us"),  # micro sign
        ("2.5 μs", "s", "Write us"),  # Greek letter
        ("5 years", "s", "Write year"),
        ("700 w", "W", "Did you mean 'W'?"),
        ("700 watt", "W", "Write for example '700 W'"),
        ("1 kwh", "J", "Did you mean 'kWh'?"),
        ("30000 $", "USD", "Write USD"),
        ("30000 usd", "USD", "Did you mean 'USD'?"),
        ("150 kgCO2", "kgCO2e", "Did you mean 'kgCO2e'?"),
        ("20 %", "1", "Write a fraction such as 0.2"),
    ],
)
def test_common_misspellings_have_a_hint(text: str, expected: str, hint: str) -> None:
    with pytest.raises(UnitError, match="unknown unit") as caught:
        parse(text, expected)
    assert caught.value.remedy == hint


@pytest.mark.parametrize("value", ["80", "80 ", 80, 80.0, 0, math.nan, math.inf, -math.inf])
def test_a_bare_number_is_refused(value: object) -> None:
    with pytest.raises(UnitError, match=r"has no unit. Write for example '80 GB'"):
        parse(value, "B")


@pytest.mark.parametrize("text", ["nan GB", "inf GB", "-inf GB", "NaN", "GB", "", "eighty GB"])
def test_text_without_a_number_is_refused(text: str) -> None:
    with pytest.raises(UnitError, match=r"cannot be read as a number with a unit. Write for exam"):
        parse(text, "B")


@pytest.mark.parametrize("text", ["1,000 GB", "1_000 GB", "1.2.3 GB", "1..2 GB"])
def test_a_number_has_no_separators(text: str) -> None:
    with pytest.raises(UnitError, match="cannot be read as a number with a unit"):
        parse(text, "B")


def test_a_number_too_large_for_a_float_is_refused() -> None:
    with pytest.raises(UnitError, match="'1e400 GB' is not finite"):
        parse("1e400 GB", "B")


@pytest.mark.parametrize(
    ("value", "shown"),
    [(True, "true"), (False, "false"), (None, "nothing"), ([1], r"\[1\]"), ({}, "{}")],
)
def test_what_is_no_quantity_is_refused(value: object, shown: str) -> None:
    with pytest.raises(UnitError, match=f"{shown} is not a quantity in B. Write for example"):
        parse(value, "B")


@pytest.mark.parametrize("text", ["80 GB/", "80 GB//s", "80 GB*", "80 /s", "80 GB**s", "80 *"])
def test_a_sign_without_a_symbol_is_refused(text: str) -> None:
    """`80 GB/` is a slip of `80 GB/s`, not 80 GB."""
    with pytest.raises(UnitError, match="lacks a symbol"):
        parse(text, "B")


@pytest.mark.parametrize(
    ("text", "expected", "words"),
    [
        ("2.4 TB", "B/s", "it is an amount of data, not a data rate"),
        ("3.35 TB/s", "B", "it is a data rate, not an amount of data"),
        ("989 TFLOP", "FLOP/s", "it is a count of FLOPs, not a rate of FLOPs"),
        ("700 J", "W", "it is an energy, not a power"),
        ("0.08 USD/kW", "USD/J", "it is s*USD/J, not money per energy"),
        ("3.9 pJ", "J/B", "it is an energy, not an energy per byte"),
        ("150 kgCO2e/GB", "kgCO2e", "it is carbon per byte, not an amount of carbon"),
        ("5 1", "s", "it is a bare number, not a time"),
        ("814 mm2", "s", "it is m^2, not a time"),
        ("1 FLOP/B/B", "s", "it is FLOP/B^2, not a time"),
        ("1 1/token", "s", "it is 1/token, not a time"),
    ],
)
def test_a_wrong_dimension_is_named_in_words(text: str, expected: str, words: str) -> None:
    with pytest.raises(UnitError, match=re.escape(words)):
        parse(text, expected)


def test_every_dimension_has_words() -> None:
    assert all(describe(dimension) for _, dimension in UNITS.values())


# --- the way out


@pytest.mark.parametrize(
    ("value", "symbol", "text"),
    [
        (3.35e12, "B/s", "3.35 TB/s"),
        (80e9, "B", "80 GB"),
        (999.6e9, "B/s", "999.6 GB/s"),  # four digits still fit
        (999.96e9, "B/s", "1 TB/s"),  # they would read 1000 GB/s
        (1e18, "B", "1 EB"),
        (0.5, "B", "0.5 B"),
        (-5e12, "B", "-5 TB"),
        (0.0, "B", "0 B"),
        (2.5e-6, "s", "2.5 us"),
        (0.0425, "s", "42.5 ms"),
        (3600.0, "s", "3600 s"),  # seconds have no kilo
        (31.2e-12, "J/B", "31.2 pJ/B"),
        (38_580.0, "USD", "38.58 kUSD"),
        (0.35, "USD", "0.35 USD"),
        (2.5 / 3600, "USD/s", "0.0006944 USD/s"),
        (1234.5, "token/s", "1.234 ktoken/s"),
        (150.0, "kgCO2e", "150 kgCO2e"),
        (8.14e-4, "m2", "0.000814 m2"),  # milli of m2 is not mm2
        (295.2, "FLOP/B", "295.2 FLOP/B"),
        (0.25, "1", "0.25"),
        (math.nan, "s", "nan s"),
        (math.inf, "B", "inf B"),
    ],
)
def test_a_value_is_shown_with_a_fitting_prefix(value: float, symbol: str, text: str) -> None:
    assert show(value, symbol) == text


@given(
    st.floats(min_value=1e-12, max_value=1e21),
    st.sampled_from(["B", "B/s", "FLOP", "FLOP/s", "J", "W", "s", "USD", "kgCO2e", "J/B", "USD/s"]),
)
def test_what_is_shown_is_read_again(value: float, symbol: str) -> None:
    """To the four digits that are shown."""
    assert parse(show(value, symbol), symbol) == pytest.approx(value, rel=5.1e-4)
