"""Draw at load: power below every cap, energy the sum of its parts, both against measurements."""

from __future__ import annotations

import csv
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from infercost.compose import Options
from infercost.cost import Evaluation
from infercost.equations import clocking
from infercost.evaluation import evaluate
from infercost.grid import Grid
from infercost.options.question import ask
from infercost.passes.load_power import Drawn, at_load
from infercost.registry import metrics
from infercost.terms import Terms
from probes import examples, number

TABLE = Path(__file__).parents[1] / "data/reference/energy_measurements.csv"
CALIBRATION = "nvidia-datacentre-vllm-2025"
"""Times are those of the stack that was measured: ML.ENERGY serves by vLLM of 2025 on H100, and
none of its runs is among the measurements that this calibration was fitted to."""
PARTS = ("board", "host", "idle", "cooling")
SLACK = 1 + 1e-9


def test_half_the_core_power_at_a_clock_by_hand() -> None:
    """v = 0.6, s = 0.75: V = 0.6 + 0.4 · 0.75 = 0.9, and 0.75 · 0.81 = 0.6075 of the power."""
    assert clocking.core_power_share(0.75, 0.6) == pytest.approx(0.6075)
    assert clocking.clock_under_cap(0.6075, 0.6, 0.2) == pytest.approx(0.75, rel=1e-12)


def test_at_fixed_voltage_the_clock_falls_with_the_power() -> None:
    assert clocking.clock_under_cap(np.array([0.5, 1.0, 2.0]), 1.0, 0.2) == pytest.approx(
        [0.5, 1.0, 1.0]
    )


@given(room=st.floats(0, 2), voltage=st.floats(0.3, 1.0))
def test_a_clock_under_a_cap_draws_what_the_cap_leaves(room: float, voltage: float) -> None:
    clock = float(clocking.clock_under_cap(room, voltage, 0.05))
    assert 0.05 <= clock <= 1
    if clock > 0.05:
        drawn = float(clocking.core_power_share(clock, voltage))
        assert drawn == pytest.approx(min(room, 1.0), rel=1e-6)


def point(*overrides: str) -> Evaluation:
    options = Options(ask(list(overrides), ()))
    return Evaluation(Grid(()).bind(next(iter(options.cases())).case))


def test_memory_power_is_that_of_its_bits_alone() -> None:
    """A step that memory binds throughout moves 3.35 TB/s at 3.9 pJ/bit: 104.52 W, a seventh of

    what an H100 draws at it.
    """
    ideal = ("calibration=ideal", "plan=single-device", "workload=snapshot", "batch=16")
    at = point("hardware=h100-sxm", "model=llama-3.1-8b", *ideal)
    power = np.asarray(metrics()["decode_memory_power_w"].evaluate(at)).item()
    assert power == pytest.approx(3.35e12 * 8 * 3.9e-12, rel=1e-12)


# A pass of 1 s, 0.6 of them bound by arithmetic; at rest 70 W, rated 700 W, of which 0.3 whatever
# is done, and twice the energy of arithmetic. The clock falls with the power, to a fifth at the
# least. Joules asked: 2 · 100 of arithmetic, 210 W · 1 s, 60 moved: 470.
ROW = Terms(compute=0.6, weights=0.4)
WORK = Terms(compute=100.0, weights=60.0)


def drawn(tdp: float, dynamic: Terms = WORK, ceiling: float | None = None) -> Drawn:
    hardware = point().case.hardware
    load = hardware.power
    assert load is not None
    update = {
        **{"rated": 700.0, "active_share": 0.3, "arithmetic_ratio": 2.0},
        **{"voltage_floor": 1.0, "clock_floor": 0.2},
    }
    changed = {"power": load.model_copy(update=update), "tdp": tdp, "idle_power": 70.0}
    return at_load(
        hardware.model_copy(update=changed), ROW, dynamic, tdp if ceiling is None else ceiling
    )


@pytest.mark.parametrize(
    ("tdp", "dynamic", "joules", "slowdown", "clock"),
    [
        (700.0, WORK, 470, 0, 1),
        # Room for (400 - 70 - 60) of 410 W of the core: 0.6 s take 410 / 270 of it, and its power.
        (400.0, WORK, 60 + 270 * (1 + 0.6 * 140 / 270), 0.6 * 140 / 270, 270 / 410),
        # 1070 J asked, 630 allowed at nominal: room for 220 of 570 W.
        (
            350.0,
            Terms(compute=400.0, weights=60.0),
            60 + 220 * (1 + 0.6 * 350 / 220),
            0.6 * 350 / 220,
            220 / 570,
        ),
        # No room: a fifth of the clock, 60 + 82 · 3.4 = 338.8 J, for which 50 W take 6.776 s.
        (120.0, WORK, 338.8, 5.776, 0.2),
        # Traffic alone takes more than the limit: nothing is left to the core, and 800 J are least.
        (400.0, Terms(compute=100.0, weights=700.0), 800, 2.4, 0.2),
    ],
)
def test_a_cap_by_hand(
    tdp: float, dynamic: Terms, joules: float, slowdown: float, clock: float
) -> None:
    found = drawn(tdp, dynamic)
    assert number(found.energy.total) == pytest.approx(joules, rel=1e-6)
    assert number(found.slowdown) == pytest.approx(slowdown, rel=1e-6)
    assert number(found.clock) == pytest.approx(clock, rel=1e-6)


def test_heat_holds_watts_not_joules() -> None:
    """Over 2 s a ceiling of 200 W leaves 260 J of 680; a pass without arithmetic asks for none."""
    hardware, load = point().case.hardware, point().case.hardware.power
    assert load is not None
    update = {"rated": 700.0, "active_share": 0.3, "arithmetic_ratio": 2.0}
    changed = {"power": load.model_copy(update=update), "tdp": 700.0, "idle_power": 70.0}
    slow = at_load(hardware.model_copy(update=changed), ROW.times(2.0), WORK, 200.0)
    assert number(slow.energy.total) == pytest.approx(260)
    assert number(drawn(700.0, Terms(weights=60.0)).energy.total) == pytest.approx(270)


def test_energy_by_what_asks_for_it() -> None:
    """Arithmetic 200 and 0.6 · 210; traffic 60 and 0.4 · 210. Under heat's ceiling of 400 W, 330 J:

    170 of the 310 that are asked above what work needs at the least.
    """
    found = drawn(700.0).energy
    assert (number(found["compute"]), number(found["weights"])) == pytest.approx((326, 144))
    held = drawn(700.0, ceiling=400.0)
    assert number(held.energy["compute"]) == pytest.approx(100 + 226 * 170 / 310)
    assert number(held.energy["weights"]) == pytest.approx(60 + 84 * 170 / 310)
    assert number(held.slowdown) == 0


@settings(max_examples=examples(25), phases=[Phase.explicit, Phase.generate])
@given(
    hardware=st.sampled_from(["h100-sxm", "mi300x", "tpu-v5e", "rtx-4090", "gb200-nvl72"]),
    cap=st.floats(0.12, 1.5),
    batch=st.sampled_from([1, 16, 256]),
    calibration=st.sampled_from(["ideal", "typical", CALIBRATION]),
    utilisation=st.floats(0.05, 1.0),
)
def test_no_cap_is_exceeded_and_energy_is_the_sum_of_its_parts(
    hardware: str, cap: float, batch: int, calibration: str, utilisation: float
) -> None:
    tdp = round(cap * tdp_of(hardware), 6)
    at = point(
        f"hardware={hardware}",
        f"hardware.tdp={tdp:.6f} W",
        "model=llama-3.1-8b",
        "plan=base",
        f"batch={batch}",
        f"calibration={calibration}",
        f"economics.utilisation={utilisation}",
    )
    values = {
        name: float(np.ravel(m.evaluate(at))[0]) for name, m in metrics().items() if name in USED
    }
    assert values["device_power_w"] <= tdp * SLACK
    assert values["decode_power_w"] <= tdp * SLACK
    assert values["device_peak_power_w"] <= tdp * SLACK
    assert values["device_power_w"] <= values["device_peak_power_w"] * SLACK
    parts = sum(values[f"{part}_energy_per_mtoken_j"] for part in PARTS)
    assert parts == pytest.approx(values["energy_per_mtoken_j"], rel=1e-12)


USED = {
    "device_power_w",
    "decode_power_w",
    "device_peak_power_w",
    "energy_per_mtoken_j",
    *(f"{part}_energy_per_mtoken_j" for part in PARTS),
}


@cache
def tdp_of(hardware: str) -> float:
    return float(np.ravel(point(f"hardware={hardware}", "plan=base").case.hardware.tdp)[0])


def test_a_lower_cap_is_never_faster() -> None:
    caps = ["200 W", "300 W", "450 W", "600 W", "700 W", "1 kW"]
    frame = evaluate([f"hardware.tdp={','.join(caps)}", "batch=1,256"])
    for _, rows in frame.groupby("batch"):
        for column in ("tpot_s", "ttft_s"):
            times = rows.sort_values("hardware.tdp")[column].to_numpy()
            assert np.all(np.diff(times) <= 1e-15)
            assert times[-2] == times[-1], "above the rated limit nothing is left to gain"


def test_a_cap_lowers_clock_and_voltage_and_is_told() -> None:
    """V = v + (1 - v) s: 1 at the rated 700 W, lower with every watt less."""
    caps = "hardware.tdp=700 W,500 W,350 W,250 W"
    frame = evaluate([caps, "batch=256"]).sort_values("hardware.tdp", ascending=False)
    clock, voltage = frame["decode_clock"].to_numpy(), frame["decode_voltage"].to_numpy()
    assert clock[0] == voltage[0] == 1.0
    assert np.all(np.diff(clock) <= 0)
    assert clock[-1] < 1
    floor = float(point().case.hardware.power.voltage_floor)  # type: ignore[union-attr]
    assert voltage == pytest.approx(floor + (1 - floor) * clock)


def test_energy_of_links_by_hand() -> None:
    """Two devices, 160 all-reduces of 64 rows of 8192 elements: what is sent, at the link's J/B.

    Per token: bytes of a device, times two devices, over the 64 sequences of a step.
    """
    at = point("plan.tp=2", "batch=64", "workload=snapshot", "calibration=ideal")
    sent = float(np.ravel(metrics()["decode_device_sent_b"].evaluate(at))[0])
    per_byte = float(at.case.hardware.scale_up.transfer_energy)
    found = float(np.ravel(metrics()["decode_link_energy_per_moutput_j"].evaluate(at))[0])
    assert found == pytest.approx(sent * per_byte * 2 / 64 * 1e6, rel=1e-9)


def test_time_at_the_rated_limit_is_that_without_a_model_of_load() -> None:
    """Calibrations were fitted under the rated limit: their rates contain what it slows."""
    at = point("batch=256", f"calibration={CALIBRATION}")
    hardware = at.case.hardware.model_copy(update={"power": None})
    bare = Evaluation(at.case.model_copy(update={"hardware": hardware, "base": None}))
    assert np.array_equal(np.asarray(at.tpot), np.asarray(bare.tpot))
    assert np.all(np.asarray(at.decode.energy.total) > np.asarray(bare.decode.energy.total))


def rows(use: str) -> list[dict[str, str]]:
    with TABLE.open() as file:
        return [row for row in csv.DictReader(file) if row["use"] == use]


def predicted(row: dict[str, str], calibration: str) -> tuple[float, float]:
    """J per output token and W per device of a published run."""
    eight = "fp8" if row["weights"] == "fp8" else "native"
    at = point(
        f"hardware={row['hardware']}",
        f"model={row['model']}",
        "workload=fixed-lengths",
        f"workload.prompt_tokens={row['prompt_tokens']}",
        f"workload.output_tokens={row['output_tokens']}",
        "plan=base",
        f"plan.tp={row['devices']}",
        f"plan.ep={row['ep']}",
        f"plan.formats.weights={row['weights']}",
        f"plan.formats.experts={eight}",
        f"batch={row['batch']}",
        f"calibration={calibration}",
    )
    found = metrics()["board_energy_per_mtoken_j"].evaluate(at), at.device_seconds
    energy, seconds = (float(np.ravel(value)[0]) for value in found)
    return energy / 1e6, energy / 1e6 / seconds


@cache
def errors(use: str) -> dict[str, np.ndarray]:
    """Of J/token and of power: predicted over measured less one, row by row."""
    joules, watts = [], []
    for row in rows(use):
        energy, power = predicted(row, CALIBRATION)
        joules.append(energy / float(row["energy_per_output_token_j"]) - 1)
        watts.append(power / (float(row["power_w"]) / float(row["devices"])) - 1)
    return {"joules": np.abs(joules), "watts": np.abs(watts)}


def test_table_is_consistent_with_itself() -> None:
    """J/token · token/s = W, within a twentieth: steady state and whole run differ."""
    for row in (*rows("fit"), *rows("validate")):
        product = float(row["energy_per_output_token_j"]) * float(row["output_tokens_per_s"])
        assert product == pytest.approx(float(row["power_w"]), rel=0.05), row["id"]


def test_fit_and_validation_share_no_model() -> None:
    assert not {r["model"] for r in rows("fit")} & {r["model"] for r in rows("validate")}


def test_energy_of_twenty_of_the_measurements_set_aside() -> None:
    """J/token, predicted time included, within 25 % for twenty of the 31 set aside, as asked.

    The two numbers of the draw were fitted to the other half alone. Its form (which times draw
    active power) was chosen with both halves in view: this half is no pristine hold-out. Most of
    those outside are off in time, not in power: Qwen3-30B-A3B, too slow.
    """
    found = errors("validate")["joules"]
    assert len(found) == 31
    assert np.sum(found <= 0.25) >= 20


def test_power_of_the_measurements_set_aside() -> None:
    """Mean power of a board: most of the error of time cancels. Same reserve as for J/token."""
    found = errors("validate")["watts"]
    assert np.median(found) <= 0.12
    assert np.all(found <= 0.25)


def test_energy_and_power_of_another_device() -> None:
    """B200, dense and sparse models, one to four devices: no number of the draw or of time saw it.

    Within 25 % in J/token for 20 of 38 at least, and in power for 30. Most of those outside are
    Qwen3-8B at eight sequences and more, whose passes are too fast by half: host time of a stack
    that was new on B200 shows beside a small model.
    """
    found = errors("device")
    assert len(found["joules"]) == 38
    assert np.sum(found["joules"] <= 0.25) >= 20
    assert np.median(found["joules"]) <= 0.2
    assert np.sum(found["watts"] <= 0.25) >= 30


@pytest.mark.parametrize("hardware", ["a100-sxm-80gb", "rtx-6000-ada", "rtx-3090"])
def test_power_of_other_families(hardware: str) -> None:
    """Mean power of a board (inference-energy), the two numbers of H100's draw taken over: 15 %.

    J/token cannot be held against these runs, whose prompts are not published.
    """
    family = "nvidia-workstation-vllm-2026" if hardware.startswith("rtx") else CALIBRATION
    runs = [row for row in rows("power") if row["hardware"] == hardware]
    assert runs
    for row in runs:
        _, drawn = predicted(row, family)
        assert drawn == pytest.approx(float(row["power_w"]), rel=0.15), row["id"]


def test_power_of_the_measurements_of_the_fit() -> None:
    """On their own half the shipped numbers are no worse than on the other, one run apart.

    That one, of Qwen3-235B, is 26 % off.
    """
    found = errors("fit")["watts"]
    assert len(found) == 28
    assert np.median(found) <= 0.08
    assert np.sum(found > 0.25) <= 1


def test_drafts_do_not_add_up_to_a_clock() -> None:
    """A step of several passes has no clock above the nominal one; without a cap it is at it."""
    found = evaluate(["model=llama-3.1-8b", "+mitigation=[speculation-eagle]", "plan.tp=1"])
    assert found.feasible.all()
    assert found.decode_clock.tolist() == [1.0]
    assert found.decode_voltage.tolist() == [1.0]


def test_a_cap_does_not_slow_units_near_memory() -> None:
    """At batch 1 and 5 weights are worked on in memory, whose units the device's clock does not
    run: a cap of 150 of 700 W adds nothing, and more sequences take no less time."""
    base = ["hardware=h200-sxm", "model=phi-4", "plan=single-device", "direction=pim-bank-all"]
    for batch in (1, 5):
        capped, free = (
            number(point(*base, f"batch={batch}", f"hardware.tdp={watts} W").step_time)
            for watts in (150, 700)
        )
        assert capped == pytest.approx(free, rel=1e-9)
    steps = [
        number(point(*base, f"batch={n}", "hardware.tdp=150 W").step_time) for n in (1, 2, 3, 5, 8)
    ]
    assert steps == sorted(steps)
