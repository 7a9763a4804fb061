"""The studies of the workload side: they say what their rows say, and meet the paper's table."""

from __future__ import annotations

from typing import Any

import pytest

from studied import aggregates, computed, draws_every_figure, fills_every_sentence

STUDIES = ("six-trends", "prefix-cache", "anatomies")


@pytest.mark.parametrize("name", STUDIES)
def test_every_sentence_is_filled(name: str) -> None:
    fills_every_sentence(name, least=3)


@pytest.mark.parametrize("name", STUDIES)
def test_every_figure_is_drawn(name: str) -> None:
    draws_every_figure(name)


# The paper's primary cells (Ma & Patterson 2026, table 2), and whether a request presses there at
# dose 1: one image and 2048 retrieved tokens are too few.
PRIMARY = {
    ("moe", "capacity"): True,
    ("moe", "bandwidth"): True,
    ("moe", "latency"): True,
    ("reasoning", "capacity"): True,
    ("reasoning", "bandwidth"): True,
    ("multimodal", "capacity"): False,
    ("multimodal", "bandwidth"): False,
    ("long-context", "capacity"): True,
    ("long-context", "bandwidth"): True,
    ("rag", "capacity"): False,
    ("rag", "bandwidth"): False,
    ("diffusion", "compute"): True,
}


@pytest.mark.parametrize("cell", PRIMARY, ids="-".join)
def test_a_primary_cell_of_the_table_is_pressed(cell: tuple[str, str]) -> None:
    """At dose 1, or at ten times of it where that is less than a quarter more."""
    verdicts: Any = aggregates("six-trends")["verdicts"].set_index(["trend", "resource"])
    found = verdicts.loc[cell]
    assert found.paper == "x"
    assert found.agrees == PRIMARY[cell]
    assert found.pressed_from <= (1 if PRIMARY[cell] else 10)


def test_diffusion_presses_on_nothing_but_compute() -> None:
    verdicts: Any = aggregates("six-trends")["verdicts"].set_index("trend").loc["diffusion"]
    assert set(verdicts[verdicts.ratio >= 1.25].resource) == {"compute"}


def test_a_larger_prefix_cache_never_finds_less() -> None:
    hits = aggregates("prefix-cache")["hits"]
    for _, rows in hits.groupby(["workload", "cache"]):
        assert rows.sort_values("size_tb").prefix_hit_rate.is_monotonic_increasing


def test_no_policy_beats_foresight() -> None:
    hits = aggregates("prefix-cache")["hits"]
    rates = hits.pivot_table("prefix_hit_rate", ["model", "workload", "size_tb"], "policy")
    assert (rates.belady >= rates.lru - 1e-12).all()


def test_best_batches_and_sizes_lie_inside_their_ranges() -> None:
    _, version = computed("prefix-cache")
    rows = version.rows()
    assert rows[rows.best & rows.feasible].batch.between(2, 384).all()
    best = aggregates("prefix-cache")["best_size"]
    assert (best.size_tb < 100).all()


def test_states_do_not_grow_and_caches_do() -> None:
    """Batch for batch, a state costs a step the same at any context."""
    rows: Any = aggregates("anatomies")["by_anatomy"].set_index(["model", "prompt"])
    assert rows.loc[("falcon-mamba-7b", 131072), "kv_kb_per_token"] == 0
    share = rows.kv
    assert share[("falcon-mamba-7b", 131072)] == pytest.approx(share[("falcon-mamba-7b", 1024)])
    assert share[("llama-3.1-8b", 131072)] > 0.9
    assert rows.loc[("llada-8b", 1024), "compute"] > 0.9
