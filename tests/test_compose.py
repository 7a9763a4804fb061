"""From overrides to cases: products in memory equal Hydra's own composition; axes; units."""

from __future__ import annotations

import json
from typing import Any

import hydra
import numpy as np
import pytest
from omegaconf import OmegaConf

from infercost import evaluate
from infercost.compose import ComposedCase, Options
from infercost.evaluation import typed_axis
from infercost.grid import Grid
from infercost.options.question import Question, ask
from infercost.options.witnesses import adapter
from infercost.paths import CONF
from infercost.provenance import canonical
from infercost.specs.case import GROUPS

PRODUCT = [
    "hardware=h100-sxm,mi300x,tpu-v5e",
    "model=llama-3.1-70b,deepseek-v3",
    "workload=fixed-lengths,azure-2023-code",
    "trend=none,reasoning",
    "economics=owner,rental",
    "plan=single-device,tensor-parallel-8",
    "calibration=typical,ideal",
    "hardware.tdp=650 W",
    "plan.pp=2",
    "batch=7",
]
FIXED = [text for text in PRODUCT if "." in text.partition("=")[0]] + ["batch=7"]


def cases_of(*overrides: str) -> list[ComposedCase]:
    return list(Options(ask(list(overrides))).cases())


@pytest.fixture(scope="module")
def product() -> list[ComposedCase]:
    return cases_of(*PRODUCT)


# --- products in memory against full compositions


def test_a_product_has_every_combination_once(product: list[ComposedCase]) -> None:
    """3 x 2 x 2 x 2 x 2 x 2 x 2 = 192."""
    assert len(product) == 192
    assert len({tuple(case.options.values()) for case in product}) == 192


@pytest.mark.parametrize("index", [0, 1, 40, 77, 100, 133, 150, 191])
def test_a_case_of_a_product_equals_a_full_compose(product: list[ComposedCase], index: int) -> None:
    """Each option was composed once, beside others than these; Hydra alone gives the same."""
    case = product[index]
    several = ("direction", "mitigation")
    chosen = [f"{g}={name}" for g, name in case.options.items() if g not in several]
    chosen += [f"+{g}@{g}.{case.options[g]}={case.options[g]}" for g in several]
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        composed = hydra.compose("config", overrides=[*chosen, *FIXED])
    plain: Any = OmegaConf.to_container(composed, resolve=True)
    assert case.raw == plain
    for group in GROUPS:
        assert getattr(case.case, group) == adapter(group).validate_python(plain[group])
    assert case.case.batch == 7


def test_cases_follow_the_order_of_the_groups_and_of_the_lists(product: list[ComposedCase]) -> None:
    """The last group varies fastest; options keep the order in which they were named."""
    assert [case.options["calibration"] for case in product[:4]] == ["typical", "ideal"] * 2
    hardware = [case.options["hardware"] for case in product]
    assert list(dict.fromkeys(hardware)) == ["h100-sxm", "mi300x", "tpu-v5e"]


def test_an_override_concerns_every_option_of_its_group(product: list[ComposedCase]) -> None:
    assert {case.case.hardware.tdp for case in product} == {650.0}
    assert {case.case.plan.pp for case in product} == {2}


@pytest.mark.parametrize(
    ("override", "compositions"), [("batch=1,2,4,8", 0), ("hardware.name=a:b", 3)]
)
def test_hydra_composes_once_per_option_of_the_longest_list(
    monkeypatch: pytest.MonkeyPatch, override: str, compositions: int
) -> None:
    """A compose costs 50 to 100 ms: 3 devices x 3 models take 3, not 9, and no batch takes any.

    Where no override needs Hydra's grammar, files tell everything.
    """
    calls: list[list[str]] = []
    compose = hydra.compose

    def counted(name: str, overrides: list[str], **kwargs: Any) -> Any:
        calls.append(overrides)
        return compose(name, overrides=overrides, **kwargs)

    monkeypatch.setattr(hydra, "compose", counted)
    options = Options(
        ask(["hardware=h100-sxm,h200-sxm,b200-sxm", "model=glob(llama-3.1*)", override])
    )
    assert len(list(options.cases())) == 9
    assert len(calls) == compositions


def test_an_option_is_typed_once_and_shared(product: list[ComposedCase]) -> None:
    devices = {id(case.case.hardware) for case in product}
    assert len(devices) == 3


def test_composing_leaves_hydra_free_for_others() -> None:
    """A caller's own Hydra application can start after ours."""
    cases_of("batch=1")
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        assert hydra.compose("config").batch > 0


# --- questions


def test_without_overrides_the_question_is_one_point() -> None:
    question = ask([])
    assert (question.size, question.options, question.axes) == (1, {}, ())


def test_options_values_and_axes_are_told_apart() -> None:
    question = ask(
        ["hardware=h100-sxm,b200-sxm", "plan.tp=8", "batch=1,8", "plan.formats.weights=bf16,fp8"]
    )
    assert question.options == {"hardware": ("h100-sxm", "b200-sxm")}
    assert question.fixed == ("plan.tp=8",)
    assert [axis.name for axis in question.axes] == ["batch"]
    assert [axis.name for axis in question.labels] == ["plan.formats.weights"]


def test_the_size_is_the_product_of_options_and_axes() -> None:
    """2 devices x 3 batches x 2 formats x 4 degrees = 48 points."""
    overrides = ["hardware=h100-sxm,b200-sxm", "batch=1,8,64", "plan.formats.kv=bf16,fp8"]
    question = ask([*overrides, "plan.tp=1,2,4,8"])
    assert question.size == 48
    assert len(evaluate([*overrides, "plan.tp=1,2,4,8"])) == 48


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("batch=1,8,64", (1, 8, 64)),
        ("batch=choice(1,8,64)", (1, 8, 64)),
        ("batch=range(1,65,16)", (1, 17, 33, 49)),
        ("batch=sort(8,1,4)", (1, 4, 8)),
        ("+batch=1,2", (1, 2)),
    ],
)
def test_a_sweep_in_any_of_hydras_forms_is_an_axis(text: str, values: tuple[int, ...]) -> None:
    (axis,) = ask([text]).axes
    assert axis.values == {"batch": values}


def test_one_value_is_no_axis() -> None:
    assert ask(["batch=8"]).axes == ()
    assert ask(["batch=choice(8)"]).size == 1


def test_a_glob_chooses_options_in_alphabetical_order() -> None:
    names = ask(["model=glob(llama-3.1*)"]).options["model"]
    assert names == ("llama-3.1-405b", "llama-3.1-70b", "llama-3.1-8b")


def test_a_glob_can_leave_out() -> None:
    names = ask(["model=glob(llama-3.1*,exclude=*8b)"]).options["model"]
    assert names == ("llama-3.1-405b", "llama-3.1-70b")


@pytest.mark.parametrize(
    "overrides",
    [["batch=1,2", "batch=8"], ["batch=4", "batch=8"], ["batch=1,2", "++batch=8"]],
)
def test_a_later_override_of_the_same_key_wins(overrides: list[str]) -> None:
    """As in Hydra, so that a user's override beats a study's."""
    (case,) = cases_of(*overrides)
    assert case.case.batch == 8


def test_a_later_list_replaces_an_earlier_one() -> None:
    question = ask(["batch=1,2", "model=llama-3.1-8b", "batch=4,8,16", "model=glob(llama-3.1*)"])
    assert question.size == 3 * 3


# --- axes


def grid_of(*overrides: str) -> Grid:
    question = ask(list(overrides))
    options = Options(question)
    composed = next(options.cases())
    return Grid(tuple(typed_axis(options, composed, axis) for axis in question.axes))


def test_values_with_units_become_si() -> None:
    """2 TB/s = 2e12 B/s; 16 Gbit/s = 2e9 B/s."""
    grid = grid_of(
        "hardware.memory.hbm.bandwidth=2 TB/s,4 TB/s",
        "hardware.scale_out.bandwidth_out=16 Gbit/s,8 GB/s",
    )
    first, second = (next(iter(axis.values.values())) for axis in grid.axes)
    np.testing.assert_array_equal(first, [2e12, 4e12])
    np.testing.assert_array_equal(second, [2e9, 8e9])


def test_a_fixed_value_with_a_unit_becomes_si() -> None:
    (case,) = cases_of("hardware.memory.hbm.capacity=1 TiB")
    assert case.case.hardware.tier.capacity == 2**40


def test_each_axis_is_a_dimension_of_its_own_before_the_requests() -> None:
    arrays = grid_of("batch=1,8,64", "plan.tp=1,2").arrays()
    assert arrays["batch"].shape == (3, 1, 1)
    assert arrays["plan.tp"].shape == (1, 2, 1)


def test_rows_follow_the_axes_with_the_last_fastest() -> None:
    frame = evaluate(["batch=1,8", "plan.tp=2,4"])
    assert list(zip(frame["batch"], frame["tp"], strict=True)) == [(1, 2), (1, 4), (8, 2), (8, 4)]


def test_a_swept_field_is_a_column_in_si() -> None:
    frame = evaluate(["hardware.memory.hbm.bandwidth=2 TB/s,4 TB/s"])
    assert frame["hardware.memory.hbm.bandwidth"].tolist() == [2e12, 4e12]


def test_an_axis_gives_what_its_values_give_one_by_one() -> None:
    path = "hardware.memory.hbm.bandwidth"
    swept = evaluate([f"{path}=2 TB/s,4 TB/s", "batch=1,8"])
    for bandwidth in ("2 TB/s", "4 TB/s"):
        for batch in (1, 8):
            single = evaluate([f"{path}={bandwidth}", f"batch={batch}"])
            number = float(bandwidth.split()[0]) * 1e12
            row = swept[(swept[path] == number) & (swept["batch"] == batch)]
            assert row["tpot_s"].item() == pytest.approx(single["tpot_s"].item(), rel=1e-12)


def test_a_field_that_an_option_leaves_out_can_be_an_axis() -> None:
    """Llama has no attention window; the model knows the field."""
    grid = grid_of("model.mixers.full.window=1024,4096")
    np.testing.assert_array_equal(grid.axes[0].values["model.mixers.full.window"], [1024, 4096])


# --- axes over text


def test_a_text_axis_makes_cases() -> None:
    cases = cases_of("plan.formats.weights=bf16,fp8")
    assert [case.case.plan.formats.weights for case in cases] == ["bf16", "fp8"]
    assert [case.labels for case in cases] == [
        {"plan.formats.weights": "bf16"},
        {"plan.formats.weights": "fp8"},
    ]


def test_a_text_axis_is_a_column() -> None:
    """Weights of half the width take half the memory: (70.55e9 x 2 B) / 8 devices, then 1 B."""
    frame = evaluate(["plan.formats.weights=bf16,fp8", "model=llama-3.1-70b"])
    assert frame["plan.formats.weights"].tolist() == ["bf16", "fp8"]
    wide, narrow = frame["weight_memory_b"]
    assert wide == pytest.approx(2 * narrow)
    assert wide == pytest.approx(70.55e9 * 2 / 8, rel=0.01)


def test_two_text_axes_are_crossed() -> None:
    cases = cases_of("plan.formats.weights=bf16,fp8", "plan.formats.kv=bf16,fp8")
    formats = [(c.case.plan.formats.weights, c.case.plan.formats.kv) for c in cases]
    assert formats == [("bf16", "bf16"), ("bf16", "fp8"), ("fp8", "bf16"), ("fp8", "fp8")]


def test_a_text_axis_leaves_the_composed_option_as_it_was() -> None:
    options = Options(ask(["plan.formats.weights=fp8,fp4"]))
    before = repr(options.raw)
    list(options.cases())
    assert repr(options.raw) == before


def test_truth_values_are_a_text_axis() -> None:
    cases = cases_of("model.tied_embeddings=true,false")
    assert [case.case.model.tied_embeddings for case in cases] == [True, False]


# --- mounting, and the way to disk


def test_another_memory_can_be_mounted_by_an_override() -> None:
    (case,) = cases_of("hardware=h100-sxm", "memory@hardware.memory.hbm=hbm3e")
    assert case.case.hardware.tier.technology == "HBM3e"
    assert case.case.hardware.tier.bandwidth == 3.35e12  # the device's own


def test_options_survive_the_way_to_plain_data() -> None:
    question = ask(["hardware=h100-sxm,b200-sxm", "model=llama-3.1-8b"])
    options = Options(question)
    again = Options(question, options.to_plain())
    assert [c.case for c in again.cases()] == [c.case for c in options.cases()]


def test_order_survives_data_sorted_by_name() -> None:
    """Parts and manifests are JSON with sorted keys; options of one case apply as listed."""
    words = ["mitigation=disaggregation+chunked-prefill", "direction=pnm+hbf"]
    question = ask([*words, "model=llama-3.1-70b"])
    options = Options(question)
    (case,) = Options(question, json.loads(canonical(options.to_plain()))).cases()
    assert list(case.case.mitigation) == ["disaggregation", "chunked-prefill"]
    assert list(case.case.direction) == ["pnm", "hbf"]


def test_plain_data_can_hold_one_option_of_a_group() -> None:
    question = ask(["hardware=h100-sxm,b200-sxm", "model=llama-3.1-8b"])
    plain = Options(question).to_plain("hardware", ("b200-sxm",))
    (case,) = Options(Question({}), plain).cases()
    assert case.options["hardware"] == "b200-sxm"
