"""Every option of every group: composes, is sourced, and agrees with what is published."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from pydantic import BaseModel

from infercost.compose import ComposedCase, Options
from infercost.operators.base import Layout
from infercost.operators.stack import kv_bytes_per_token, parameters
from infercost.options.question import Question, ask, option_names
from infercost.options.witnesses import missing_witnesses
from infercost.paths import CONF, ROOT
from infercost.specs.case import GROUPS
from infercost.specs.fields import SourcedSpec
from infercost.specs.link import Link, Topology
from infercost.specs.memory import Memory
from infercost.specs.workload import TraceLengths
from infercost.studies import plan_study

MODELS = option_names((CONF,), "model")
HARDWARE = option_names((CONF,), "hardware")
SRAM = ("cerebras-wse-3", "d-matrix-corsair", "groq-lpu")
"""Machines whose main memory is SRAM: 1 to 4 FLOP/B, swept in microseconds."""
DRAM = [name for name in HARDWARE if name not in SRAM]
# economics/operation is what owner and rental share, with no basis of its own.
NAMES = {
    group: [name for name in option_names((CONF,), group) if name != "operation"]
    for group in GROUPS
}
ALL = [(group, name) for group, names in NAMES.items() for name in names]
FILES = sorted(file for file in CONF.rglob("*.yaml") if file.parent != CONF)


@pytest.fixture(scope="module")
def cases() -> dict[tuple[str, str], ComposedCase]:
    """A case with each option of each group, the others as in config.yaml."""
    every = Options(ask([f"{group}={','.join(NAMES[group])}" for group in GROUPS]))
    plain = every.to_plain()
    usual = {group: list(names) for group, names in Options(ask([])).chosen.items()}

    def case(group: str, name: str) -> ComposedCase:
        chosen = {**usual, group: [name]}
        return next(Options(Question({}), {**plain, "chosen": chosen}).cases())

    return {(group, name): case(group, name) for group, name in ALL}


@pytest.fixture(scope="module")
def sources() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((CONF / "sources.yaml").read_text())
    return content


# --- composition


@pytest.mark.parametrize(("group", "name"), ALL, ids=map("=".join, ALL))
def test_every_option_composes(
    cases: dict[tuple[str, str], ComposedCase], group: str, name: str
) -> None:
    assert cases[group, name].options[group] == name


@pytest.mark.parametrize(("group", "name"), ALL, ids=map("=".join, ALL))
def test_every_number_of_an_option_has_a_source(
    cases: dict[tuple[str, str], ComposedCase], group: str, name: str
) -> None:
    case = cases[group, name]
    assert missing_witnesses(getattr(case.case, group), case.raw[group]) == []


RANGED = [
    f"{group}={name}@{end}"
    for group in ("direction", "mitigation")
    for name in option_names((CONF,), group)
    if "\nranges:" in (CONF / group / f"{name}.yaml").read_text()
    for end in ("best", "worst")
]


@pytest.mark.parametrize("asked", RANGED)
def test_an_option_is_there_at_both_ends_of_what_is_disputed(asked: str) -> None:
    """A number that stands in a range alone has the range's source."""
    assert list(Options(ask([asked])).cases())


def test_a_number_at_an_end_is_witnessed_by_its_range() -> None:
    """speculation-eagle states no overhead per sequence beside its range."""
    composed = next(iter(Options(ask(["mitigation=speculation-eagle@worst"])).cases()))
    sources = composed.raw["mitigation"]["speculation-eagle"]["sources"]
    assert sources["overhead_per_sequence"] == sources["ranges"]


@pytest.mark.parametrize(
    ("group", "kind"), [("memory", Memory), ("link", Link), ("topology", Topology)]
)
def test_memories_links_and_topologies_keep_to_their_specs(
    group: str, kind: type[BaseModel]
) -> None:
    """They are part of a device; one that no device mounts yet is checked here alone."""
    for name in option_names((CONF,), group):
        content = yaml.safe_load((CONF / group / f"{name}.yaml").read_text())
        content.pop("defaults", None)  # one generation builds on another
        assert set(content) <= set(kind.model_fields), name


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_file_names_are_kebab_case(file: Any) -> None:
    """Lower case, digits and dots, joined by hyphens; `_` starts what others build on."""
    assert re.fullmatch(r"_?[a-z0-9]+([.-][a-z0-9]+)*\.yaml", file.name)


@pytest.mark.parametrize("group", GROUPS)
def test_names_are_told_apart(cases: dict[tuple[str, str], ComposedCase], group: str) -> None:
    """Two options of one group never bear the same name in a figure."""
    chosen = [getattr(case.case, group) for (g, _), case in cases.items() if g == group]
    if group in ("direction", "mitigation"):  # combinations of options by name
        chosen = [direction for combined in chosen for direction in combined.values()]
    names = [option.name for option in chosen]
    assert len(names) == len(set(names))


# --- witnesses


def witnesses_in(content: Any) -> Iterator[str]:
    """Every witness of a configuration file, at any depth."""
    if isinstance(content, dict):
        for key, value in content.items():
            if key == "sources":
                yield from value.values()
            else:
                yield from witnesses_in(value)


WITNESSES = [
    (file, witness) for file in FILES for witness in witnesses_in(yaml.safe_load(file.read_text()))
]
FREE = re.compile(r"(assumed|derived): \S")
"""Witnesses in words rather than by a key of sources.yaml."""


def cited(witness: str, keys: set[str]) -> set[str]:
    """Keys of sources.yaml in a witness: the leading one, and those in the words."""
    words = set(re.findall(r"[a-z0-9][a-z0-9.-]*[a-z0-9]", witness))
    return words & keys


def test_every_witness_is_a_source_or_says_what_else_it_is(sources: dict[str, Any]) -> None:
    unknown = [
        f"{file.parent.name}/{file.stem}: {witness}"
        for file, witness in WITNESSES
        if not FREE.match(witness)
        and re.sub(r" \(recalled\)$", "", witness).partition(",")[0] not in sources
    ]
    assert unknown == []


@pytest.mark.parametrize("name", sorted(file.stem for file in (CONF / "study").glob("*.yaml")))
def test_every_study_can_be_planned(name: str) -> None:
    """What a study names, options, axes, inputs of draws and ties, is there."""
    assert plan_study(name).parts


def test_every_source_is_used(sources: dict[str, Any]) -> None:
    keys = set(sources)
    used = set().union(*(cited(witness, keys) for _, witness in WITNESSES))
    # Studies state prices of the day, tests and tables of reference what was measured: all name
    # their sources in words.
    texts = [*(CONF / "study").glob("*.yaml"), *(ROOT / "tests").glob("test_*.py")]
    texts += (ROOT / "data" / "reference").glob("*.csv")
    used |= set().union(*(cited(text.read_text(), keys) for text in texts))
    assert sorted(keys - used) == []


def test_every_source_says_what_it_is(sources: dict[str, Any]) -> None:
    assert [key for key, about in sources.items() if not about.get("title")] == []


def test_sources_are_in_order(sources: dict[str, Any]) -> None:
    assert list(sources) == sorted(sources)


# --- models against their cards


def layout(cases: dict[tuple[str, str], ComposedCase], name: str) -> Layout:
    return Layout(cases["model", name].case)


@pytest.mark.parametrize("name", MODELS)
def test_parameters_are_within_a_percent_of_the_card(
    cases: dict[tuple[str, str], ComposedCase], name: str
) -> None:
    """Or the option says why they are not."""
    published = cases["model", name].case.model.published
    ratio = float(parameters(layout(cases, name))) / published.params
    if published.exception:
        assert ratio == pytest.approx(1, abs=0.12)
    else:
        assert ratio == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("name", MODELS)
def test_an_exception_is_claimed_only_where_it_is_needed(
    cases: dict[tuple[str, str], ComposedCase], name: str
) -> None:
    published = cases["model", name].case.model.published
    ratio = float(parameters(layout(cases, name))) / published.params
    if published.exception:
        assert abs(ratio - 1) > 0.01


def has_kv(name: str) -> bool:
    content = yaml.safe_load((CONF / "model" / f"{name}.yaml").read_text())
    return "kv_bytes_per_token" in content["published"]


@pytest.mark.parametrize("name", [*filter(has_kv, MODELS)])
def test_kv_bytes_per_token_are_those_published(
    cases: dict[tuple[str, str], ComposedCase], name: str
) -> None:
    """At 2 B per element, whatever the format the model was published in."""
    model = cases["model", name].case.model
    wide = model.model_copy(update={"formats": model.formats.model_copy(update={"kv": "bf16"})})
    case = cases["model", name].case.model_copy(update={"model": wide})
    assert float(kv_bytes_per_token(Layout(case))) == model.published.kv_bytes_per_token


def test_kv_cache_of_a_dense_card(cases: dict[tuple[str, str], ComposedCase]) -> None:
    """Llama-3.1-70B: 80 layers x 8 KV heads x 128 x 2 (K, V) x 2 B = 327,680 B, by hand."""
    assert kv_bytes_per_token(layout(cases, "llama-3.1-70b")) == 80 * 8 * 128 * 2 * 2


def test_kv_cache_of_latent_attention(cases: dict[tuple[str, str], ComposedCase]) -> None:
    """DeepSeek-V3: 61 layers x (512 latent + 64 rotary) x 2 B = 70,272 B, by hand."""
    assert kv_bytes_per_token(layout(cases, "deepseek-v3")) == 61 * (512 + 64) * 2


@pytest.mark.parametrize(
    ("name", "billions"),
    [("deepseek-v3", 37), ("mixtral-8x7b", 12.9), ("qwen3-235b-a22b", 22), ("kimi-k2", 32)],
)
def test_active_parameters_of_sparse_models(
    cases: dict[tuple[str, str], ComposedCase], name: str, billions: float
) -> None:
    """Model cards: 37 B, 12.9 B, 22 B and 32 B active per token."""
    active = float(parameters(layout(cases, name), active=True))
    assert active == pytest.approx(billions * 1e9, rel=0.03)


@pytest.mark.parametrize("name", MODELS)
def test_active_parameters_do_not_exceed_all(
    cases: dict[tuple[str, str], ComposedCase], name: str
) -> None:
    assert parameters(layout(cases, name), active=True) <= parameters(layout(cases, name))


# --- devices against common sense


def rate_in_16_bits(peaks: Mapping[str, float]) -> float:
    """GeForce multiplies fp16 twice as fast as bf16, accumulating in fp16; Apple has fp16 alone."""
    return max(peaks.get("bf16", 0.0), peaks.get("fp16", 0.0))


@pytest.mark.parametrize("name", DRAM)
def test_the_ridge_point_of_a_device_is_that_of_an_accelerator(
    cases: dict[tuple[str, str], ComposedCase], name: str
) -> None:
    """In 16 bits from 20 FLOP/B (M1 Max) and 37 (H20: 148 TFLOP/s over 4 TB/s) to hundreds.

    A link's rate taken for a memory's, or bits for bytes, falls outside.
    """
    hardware = cases["hardware", name].case.hardware
    ridge = rate_in_16_bits(hardware.peak_dense) / hardware.tier.bandwidth
    assert 15 < ridge < 1000


NEURAL = {"phone", "snapdragon-8-elite"}
"""Devices whose neural unit multiplies int8 beside a GPU that does the rest."""


@pytest.mark.parametrize("name", DRAM)
def test_no_format_is_faster_than_its_width_allows(
    cases: dict[tuple[str, str], ComposedCase], name: str
) -> None:
    """At most 2 x (8 bit) or 8 x (fp4 of Blackwell Ultra) the 16-bit rate: more is sparse.

    Sheets round: L40S prints 733 to 362. Only int8 may be slower than bf16, as in Blackwell Ultra;
    phones have int8 from a unit of its own.
    """
    peaks = dict(cases["hardware", name].case.hardware.peak_dense)
    if name in NEURAL:
        peaks.pop("int8")
    ratios = {name: peak / rate_in_16_bits(peaks) for name, peak in peaks.items()}
    assert min(ratios.get("fp16", 1.0), ratios.get("bf16", 1.0)) in (1.0, 0.5)
    assert 1.0 <= ratios.get("fp8", 1.0) <= 2.05
    assert ratios.get("int8", 1.0) <= 2.05
    assert 1.0 <= ratios.get("fp4", 1.0) <= 8.0


@pytest.mark.parametrize("name", DRAM)
def test_memory_is_read_through_in_a_sensible_time(
    cases: dict[tuple[str, str], ComposedCase], name: str
) -> None:
    """Capacity over bandwidth: 24 ms for H100, up to 1.4 s for the DDR5 of a server's socket.

    Bits taken for bytes are off by 8.
    """
    tier = cases["hardware", name].case.hardware.tier
    slowest = 0.1 if tier.technology.startswith(("HBM", "GDDR")) else 1.5
    assert 5e-3 < tier.capacity / tier.bandwidth < slowest


@pytest.mark.parametrize("name", HARDWARE)
def test_scale_up_is_faster_than_scale_out_and_slower_than_memory(
    cases: dict[tuple[str, str], ComposedCase], name: str
) -> None:
    hardware = cases["hardware", name].case.hardware
    assert hardware.scale_out.bandwidth_out <= hardware.scale_up.bandwidth_out
    assert hardware.scale_up.bandwidth_out < hardware.tier.bandwidth


@pytest.mark.parametrize("name", HARDWARE)
def test_power_at_full_load_is_the_tdp(
    cases: dict[tuple[str, str], ComposedCase], name: str
) -> None:
    """Idle, arithmetic at peak and memory at full rate share the TDP: the stated derivation."""
    hardware = cases["hardware", name].case.hardware
    memory = sum(m.bandwidth * m.access_energy for m in hardware.memory.values())
    total = hardware.idle_power + hardware.compute_power + memory
    assert total == pytest.approx(hardware.tdp, rel=1e-3)


@pytest.mark.parametrize("name", HARDWARE)
def test_a_device_costs_what_some_years_of_rent_do(
    cases: dict[tuple[str, str], ComposedCase], name: str
) -> None:
    """Price over rent between one and six years: per hour and per month differ by 730."""
    hardware = cases["hardware", name].case.hardware
    years = hardware.price / hardware.rental_price / (365.25 * 86400)
    assert 1 < years < 6


# --- traces


TRACES = [
    "agent-magagent",
    "agent-mini-swe",
    "arxiv-summarization",
    "azure-2023-code",
    "azure-2023-conversation",
    "image-text",
    "mooncake-conversation",
    "mooncake-synthetic",
    "reasoning-deepseek-r1",
    "sharegpt",
    "sharegpt-arrivals",
]


def trace(cases: dict[tuple[str, str], ComposedCase], name: str) -> TraceLengths:
    workload = cases["workload", name].case.workload
    assert isinstance(workload, TraceLengths)
    return workload


@pytest.mark.parametrize("name", TRACES)
def test_a_trace_has_the_checksum_that_its_option_states(
    cases: dict[tuple[str, str], ComposedCase], name: str
) -> None:
    workload = trace(cases, name)
    content = (ROOT / workload.file).read_bytes()
    assert hashlib.sha256(content).hexdigest() == workload.sha256


@pytest.mark.parametrize("name", TRACES)
def test_the_readme_of_the_traces_states_the_same_checksum(
    cases: dict[tuple[str, str], ComposedCase], name: str
) -> None:
    workload = trace(cases, name)
    file = (ROOT / workload.file).name
    (row,) = (
        line
        for line in (ROOT / "data/traces/README.md").read_text().splitlines()
        if line.startswith(f"| {file} ")
    )
    assert workload.sha256 in row
    requests = pq.read_metadata(ROOT / workload.file).num_rows
    assert f" {requests:,} " in row


def test_every_trace_belongs_to_an_option(cases: dict[tuple[str, str], ComposedCase]) -> None:
    stated = {(ROOT / trace(cases, name).file).name for name in TRACES}
    assert stated == {file.name for file in (ROOT / "data/traces").glob("*.parquet")}


# --- neutral choices


def test_the_trend_none_adds_nothing(cases: dict[tuple[str, str], ComposedCase]) -> None:
    trend = cases["trend", "none"].case.trend
    assert (trend.prompt_tokens, trend.output_tokens) == (0, 0)


def test_ideal_calibration_is_the_physical_floor(
    cases: dict[tuple[str, str], ComposedCase],
) -> None:
    ideal = cases["calibration", "ideal"].case.calibration
    assert ideal.compute_efficiency == ideal.memory_efficiency == ideal.network_efficiency == 1
    assert ideal.attention_memory_efficiency == ideal.attention_compute_efficiency == 1
    assert ideal.decode_overhead == ideal.prefill_overhead == ideal.step_overhead == 0
    assert ideal.rank_overhead == ideal.sequence_overhead == 0
    assert ideal.half_rate_tokens == ideal.kv_rereads == 0


def test_sourced_specs_name_where_their_numbers_come_from(
    cases: dict[tuple[str, str], ComposedCase],
) -> None:
    """Memory and links carry the sources of their technology below those of the device."""
    hardware = cases["hardware", "h100-sxm"].case.hardware
    parts: list[SourcedSpec] = [hardware, hardware.tier, hardware.scale_up, hardware.scale_out]
    assert all(part.sources for part in parts)


@pytest.mark.parametrize("name", option_names((CONF,), "topology"))
def test_every_topology_can_be_mounted_on_a_link(name: str) -> None:
    """`+topology@hardware.scale_up.topology=NAME` is all it takes, with sources of its own."""
    mount = f"+topology@hardware.scale_up.topology={name}"
    hardware = next(iter(Options(ask(["hardware=h100-sxm", mount])).cases())).case.hardware
    assert hardware.scale_up.topology.kind.replace("_", "-") == name
    assert hardware.scale_up.topology.sources
