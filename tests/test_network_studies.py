"""The studies of the interconnect: they run, say what their rows say, and reach published cells."""

from __future__ import annotations

import numpy as np
import pytest

from studied import aggregates, computed, draws_every_figure, fills_every_sentence, told

STUDIES = ("limit-study", "sync-latency", "topology", "capacity-vs-network")


@pytest.mark.parametrize("name", STUDIES)
def test_every_sentence_is_filled(name: str) -> None:
    fills_every_sentence(name, least=3)


@pytest.mark.parametrize("name", STUDIES)
def test_every_figure_is_drawn(name: str) -> None:
    draws_every_figure(name)


# --- LIMINAL --------------------------------------------------------------------------------------

CELLS = {
    (8, 4096): 86,
    (8, 131072): 80,
    (32, 4096): 290,
    (32, 131072): 271,
    (128, 4096): 776,
    (128, 131072): 743,
}
"""Llama-3.1-405B on HBM3, batch 1, tokens/s of a user (arXiv:2507.14397)."""


def by_hand(tp: int, context: int) -> float:
    """(405e9 + 258,048 · context) / (tp · 4 TiB/s) + 126 · s; s = 0.6 µs on 8 devices, else 4.5."""
    moved = 405e9 + 258_048 * context
    return 1 / (moved / (tp * 4 * 2**40) + 126 * (0.6e-6 if tp == 8 else 4.5e-6))


def test_six_published_cells_within_a_percent() -> None:
    table = aggregates("limit-study")["published"].set_index(["tp", "context"])
    assert len(table) == 6
    for (tp, context), rate in CELLS.items():
        found = table.loc[(tp, context), "user_throughput_per_s"]
        assert found == pytest.approx(rate, rel=0.01)
        assert found == pytest.approx(by_hand(tp, context), rel=0.01)
    assert told("limit-study", 0)["worst"] < 0.01


def test_the_findings_of_liminal_hold() -> None:
    """(i) hundreds of GB; (ii) bandwidth sets the rate; (iii) a microsecond is what counts; (iv)
    DRAM serves more a device than SRAM; (v) 2,000 in reach, 10,000 of the large model not."""
    sizes, bandwidth, sync, dram, reach = (told("limit-study", n) for n in range(1, 6))
    assert 405 < sizes["one"] < sizes["eight"] < 1000
    assert 4 < bandwidth["gain"] < 4.5
    assert sync["slow_share"] > 0.9 > sync["mid_share"] > 0.5 > sync["fast_share"]
    assert dram["ratio"] > 3
    assert reach["small"] > 2000 > reach["large"]
    assert reach["ceiling"] < 10_000 < reach["small_ceiling"]


def test_other_cells_of_the_same_model() -> None:
    """Llama-3.1-70B, not read in the paper but by its formula, on 8 devices of HBM3 at 4k: W 70e9,
    163,840 B a token, 80 layers: 486 tokens/s (which is recalled of the paper)."""
    _, version = computed("limit-study")
    rows = version.rows()
    one = rows[
        (rows["model"] == "llama-3.1-70b")
        & (rows["batch"] == 1)
        & (rows["tp"] == 8)
        & (rows["pp"] == 1)
        & (rows["workload.context"] == 4096)
        & np.isclose(rows["hardware.scale_up.alpha"], 0.3e-6)
        & (rows["hardware.memory.hbm.bandwidth"] < 5e12)
        & (rows["hardware.memory.hbm.capacity"] == 96e9)
    ]
    moved = (70e9 + 163_840 * 4096) / (8 * 4 * 2**40)
    assert float(one["user_throughput_per_s"].iloc[0]) == pytest.approx(
        1 / (moved + 80 * 0.6e-6), rel=0.015
    )


# --- The others -----------------------------------------------------------------------------------


def test_lower_latency_and_more_bandwidth_never_slow_a_user() -> None:
    """At the best degree of tensor parallelism."""
    table = aggregates("sync-latency")["best"]
    for _, rows in table.groupby(["model", "calibration"]):
        rates = rows.pivot(
            index="alpha_us", columns="bandwidth_tb_per_s", values="user_throughput_per_s"
        )
        assert (np.diff(rates.sort_index().to_numpy(), axis=0) <= 1e-9).all()
        assert (np.diff(rates.sort_index(axis=1).to_numpy(), axis=1) >= -1e-9).all()


def test_capacity_and_network_never_make_a_token_dearer() -> None:
    table = aggregates("capacity-vs-network")["at_a_time_per_token"]
    for _, rows in table.groupby(["model", "tpot_ms"]):
        cost = rows.pivot(
            index="alpha_us", columns="capacity_gb", values="decode_cost_per_moutput_usd"
        ).sort_index()
        steps = np.diff(cost.sort_index(axis=1).to_numpy(), axis=1)
        assert (steps[~np.isnan(steps)] <= 1e-9).all()
        steps = np.diff(cost.to_numpy(), axis=0)
        assert (steps[~np.isnan(steps)] >= -1e-9).all()


def test_a_switch_serves_a_user_faster_than_a_ring() -> None:
    """And one that adds at least as fast as one that does not, at every time of a hop."""
    table = aggregates("topology")["by_topology"]
    rates = table.pivot(
        index=["model", "hop_us"], columns="topology", values="user_throughput_per_s"
    )
    assert (rates["switch"] > rates["torus_2d"]).all()
    assert (rates["torus_2d"] > rates["ring"]).all()
    for kind in ("switch", "fat_tree"):
        assert (rates[f"reducing_{kind}"] >= rates[kind]).all()
