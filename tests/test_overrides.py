"""Overrides read without Hydra are what its grammar makes of them, or are left to it."""

from __future__ import annotations

from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType, QuotedString
from hydra.errors import HydraException
from hypothesis import given
from hypothesis import strategies as st

from infercost.options.overrides import PlainOverride, plain_override

SIGNS = {OverrideType.CHANGE: "", OverrideType.ADD: "+", OverrideType.FORCE_ADD: "++"}


def by_hydra(text: str) -> Override | None:
    """Nothing where the grammar refuses it."""
    try:
        return OverridesParser.create().parse_override(text)
    except HydraException:
        return None


def meaning(override: Override | PlainOverride) -> tuple[Any, ...]:
    """What a question reads of an override. Numbers with their type: 1 is not 1.0, nor true."""
    swept = override.is_sweep_override()
    if isinstance(override, PlainOverride):
        signs, value = override.signs, override.written
    else:
        signs = SIGNS[override.type]
        value = tuple(override.sweep_iterator(plain)) if swept else override.value()
    return signs, override.key_or_group, override.package, swept, repr(value)


def plain(value: Any) -> Any:
    return value.text if isinstance(value, QuotedString) else Override._convert_value(value)


BLANKS = st.sampled_from(["", "", "", " ", "\t", "  "])
SOME = """
a w4 h100-sxm llama-3.1-70b true False NULL nan -inf 0 -7 007 1_000 1__0 +5 1. .5 -1.5e-3 1e9 2E+03
80 GB hbf@best a+b a/b 50% x*y _ - + . | 1-2 3d 1.2.3 e5
"""
WORDS = st.sampled_from(SOME.split())
NUMBERS = st.sampled_from(["0", "1", "-3", "10", "2.5", "0.1", "-0.25", "1e1", "1_0"])
SPACED = st.lists(WORDS, min_size=2, max_size=3).map(" ".join)
QUOTED = st.text("ab 1,[]{}()=:@#", max_size=6).flatmap(
    lambda text: st.sampled_from([f"'{text}'", f'"{text}"'])
)


def joined(elements: st.SearchStrategy[str], least: int) -> st.SearchStrategy[str]:
    """Elements with commas, and perhaps blanks, between."""
    each = st.tuples(BLANKS, elements, BLANKS).map("".join)
    return st.lists(each, min_size=least, max_size=4).map(",".join)


PAIRS = st.tuples(st.sampled_from(["low", "b-c", "true", "1", "'d'"]), BLANKS, BLANKS)


def nested(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    pair = st.tuples(PAIRS, inner).map(lambda p: f"{p[0][0]}{p[0][1]}:{p[0][2]}{p[1]}")
    return joined(inner, 0).map("[{}]".format) | joined(pair, 0).map("{{{}}}".format)


ELEMENTS = st.recursive(WORDS | SPACED | QUOTED, nested, max_leaves=6)
VALUES = (
    ELEMENTS
    | joined(ELEMENTS, 1)
    | st.tuples(st.sampled_from(["choice", "range", "glob", "f"]), BLANKS, joined(ELEMENTS, 0)).map(
        lambda call: f"{call[0]}{call[1]}({call[2]})"
    )
    | joined(NUMBERS, 1).map("range({})".format)
)
SET = st.sampled_from(["batch", "+batch", "++a.b", "a.b-c.d_e", "direction.h3.x", "m@h.m.b"])
KEYS = SET | SET | st.sampled_from(["+++a", "+a@b", "a.b@c", "a@", "@b", "~a", "a.0.b", "a..b"])
TEXTS = st.tuples(KEYS, BLANKS, st.just("="), BLANKS, VALUES, BLANKS).map("".join)
NOISE = st.text("abc019_ \t-+.,'\"[]{}()=:$\\@%*/|?é", max_size=12).map("a={}".format)


@given(TEXTS | NOISE)
def test_both_readers_agree_on_what_is_read_without_hydra(text: str) -> None:
    told = plain_override(text)
    if told is not None:
        known = by_hydra(text)
        assert known is not None, "Hydra refuses it"
        assert meaning(told) == meaning(known)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a.b=80 GB", "80 GB"),
        ("a.b= 4 TB/s ", "4 TB/s"),
        ("a.b='x, y'", "x, y"),
        ("a.b=007", "007"),
        ("a.b=1e9", 1e9),
        ("a.b=-1", -1),
        ("a.b=1_000", 1000),
        ("a.b=TRUE", True),
        ("a.b=Null", None),
        ("a=[]", []),
        ("a=[b, true, [c]]", ["b", True, ["c"]]),
        ("a.b={uniform: [1 USD, 2 USD]}", {"uniform": ["1 USD", "2 USD"]}),
        ("batch=1,2", (1, 2)),
        ("batch=choice(8)", (8,)),
        ("batch=range(1,8,3)", (1, 4, 7)),
        ("batch=range(3)", (0, 1, 2)),
        ("a.b=range(0,0.3,0.1)", (0.0, 0.1, 0.2)),
        ("a.b=1 TB/s,2 TB/s", ("1 TB/s", "2 TB/s")),
        ("+a.b=hbf@best", "hbf@best"),
        ("direction.3d-stack.x=2", 2),
        ("memory@hardware.memory.hbm=hbm3e", "hbm3e"),
    ],
)
def test_values_that_need_no_hydra(text: str, value: object) -> None:
    told = plain_override(text)
    assert told is not None
    assert repr(told.written) == repr(value)
    assert told.is_sweep_override() == isinstance(value, tuple)


@pytest.mark.parametrize(
    "text",
    [
        "a.b=${c}",
        "a.b='${c}'",
        "a.b@c=d",
        "a@b@c=d",
        "~a",
        "a.b=",
        "a.b=nan",
        "a=b:c",
        r"a='it\'s'",
        r"a=b\,c",
        "a=glob(b*)",
        "a=interval(1,2)",
        "a=int(1.5)",
        "a=range(1,9,0)",
        "a=range(9,1)",
        "a=range(0,1e9)",
        "a=b,",
        "a=[b",
        "a=[b] ",
        "a={1:b}",
        "a=é",
        "a.b.=c",
        "=a",
        "",
    ],
)
def test_what_is_left_to_hydra(text: str) -> None:
    assert plain_override(text) is None
