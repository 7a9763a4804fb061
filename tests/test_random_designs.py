"""Laws that every row keeps, whatever options are put together: all groups, plans and batches."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from infercost import SpecError
from infercost.evaluation import evaluate
from infercost.options.question import option_names
from infercost.paths import CONF
from probes import examples

LARGE = ("b200-sxm", "gb300-nvl72", "mi355x", "tpu-v7")
"""Devices that most models find room on."""
PARTS = ("board", "host", "idle", "cooling")
SHARES = (
    *("memory_share", "availability", "prefix_hit_rate", "stale_messages", "quality_loss"),
    *("decode_clock", "decode_voltage", "sustained_clock"),
)


def options(group: str) -> st.SearchStrategy[str]:
    return st.sampled_from([name for name in option_names((CONF,), group) if name != "none"])


@st.composite
def designs(draw: st.DrawFn) -> list[str]:
    """A device and a model, and some of everything else."""
    hardware = draw(st.sampled_from(LARGE) | options("hardware"))
    words = [f"hardware={hardware}", f"model={draw(options('model'))}"]
    for group in ("workload", "trend", "plan", "economics", "calibration"):
        if draw(st.booleans()):
            words.append(f"{group}={draw(options(group))}")
    for group in ("direction", "mitigation"):
        names = draw(st.lists(options(group), max_size=2, unique=True))
        words += [f"+{group}=[{','.join(names)}]"] if names else []
    for name, most in (("tp", 4), ("pp", 2), ("dp", 3), ("ep", 5)):
        if name == "tp" or draw(st.booleans()):
            words.append(f"plan.{name}={2 ** draw(st.integers(0, most))}")
    return words


def rows(words: list[str], *more: str) -> pd.DataFrame:
    """The points of a design that suits itself; the others are refused in words."""
    try:
        return evaluate([*words, *more])
    except SpecError as error:
        assert str(error)
        assume(False)
        raise


@settings(max_examples=examples(40))
@given(designs(), st.sampled_from(["1,2", "8,4096", "64,100000"]))
def test_every_number_of_every_row_is_possible(words: list[str], batches: str) -> None:
    found = rows(words, f"batch={batches}")
    numbers = found.select_dtypes("float")
    assert not np.isinf(numbers).any().any()
    assert not (numbers < 0).any().any()
    good = found[found.feasible]
    assert (good.limited_by.astype(str) == "").all()
    assert (found[~found.feasible].limited_by.astype(str) != "").all()
    for name in SHARES:
        assert not (good[name] > 1 + 1e-9).any(), name
    assert not (good.decode_step_s > good.decode_step_upper_s * (1 + 1e-9)).any()
    assert not (good.decode_step_s < good.decode_step_lower_s * (1 - 1e-9)).any()
    for family in ("decode", "energy", "cost"):
        shares = good.filter(regex=f"^{family}_stress_").sum(axis=1)
        assert np.allclose(shares, 1.0, rtol=1e-9), family
    parts = sum(good[f"{part}_energy_per_mtoken_j"] for part in PARTS)
    assert np.allclose(parts, good.energy_per_mtoken_j, rtol=1e-9, equal_nan=True)
    per_device = good.throughput_per_device_per_s * good.devices_with_spares
    assert np.allclose(per_device, good.throughput_per_s, rtol=1e-9, equal_nan=True)


@settings(max_examples=examples(15))
@given(designs(), st.integers(1, 200))
def test_neither_neighbours_nor_the_order_of_axes_move_a_bit(words: list[str], batch: int) -> None:
    others = f"batch={2 * batch},{batch},{batch + 1}"
    alone = rows(words, "plan.overlap=0.5", f"batch={batch}")
    first = rows(words, "plan.overlap=0.5,1", others)
    second = rows(words, others, "plan.overlap=1,0.5")[list(first.columns)]
    for grid in (first, second):
        here = grid[(grid.batch == batch) & (grid["plan.overlap"] == 0.5)]
        for name in alone.columns:
            a, b = alone[name].iloc[0], here[name].iloc[0]
            assert a == b or (pd.isna(a) and pd.isna(b)), name


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("hardware.memory.hbm.bandwidth=3000 GB/s", "hardware.memory.hbm.bandwidth=3 TB/s"),
        ("hardware.memory.hbm.capacity=64 GiB", "hardware.memory.hbm.capacity=68.719476736 GB"),
        ("hardware.scale_out.bandwidth_out=400 Gbit/s", "hardware.scale_out.bandwidth_out=50 GB/s"),
        ("hardware.scale_up.alpha=2500 ns", "hardware.scale_up.alpha=2.5 us"),
        ("hardware.tdp=0.7 kW", "hardware.tdp=700 W"),
        ("economics.life=4 year", "economics.life=35064 h"),
    ],
)
def test_what_a_unit_is_called_moves_nothing(one: str, other: str) -> None:
    """A year is 365.25 days of 24 h: four are 35,064 h."""
    words = ["model=llama-3.1-70b", "plan.tp=8", "plan.dp=2"]
    a, b = rows(words, one), rows(words, other)
    assert a.feasible.all()
    numbers = list(a.select_dtypes("number").columns)
    np.testing.assert_allclose(a[numbers], b[numbers], rtol=1e-12)
