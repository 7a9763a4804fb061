"""What a serving stack reaches of the data sheet."""

from __future__ import annotations

from typing import Annotated, Any, get_type_hints

from pydantic import AfterValidator, create_model

from infercost.errors import nearest
from infercost.specs.fields import (
    EfficiencyField,
    FractionField,
    LatencyField,
    NonNegativeField,
    PositiveField,
    SourcedSpec,
    Spec,
)
from infercost.specs.formats import known_format

SHARES = (
    "memory_efficiency",
    "compute_efficiency",
    "attention_memory_efficiency",
    "attention_compute_efficiency",
    "expert_efficiency",
    "expert_streaming",
    "network_efficiency",
    "kv_rereads",
    "pipeline_overlap",
)
"""Parameters between 0 and 1, whose odds s / (1 - s) a factor multiplies."""
AMOUNTS = (
    "half_rate_tokens",
    "unpacking_flops",
    "score_bytes",
    "decode_overhead",
    "prefill_overhead",
    "rank_overhead",
    "sequence_overhead",
)
"""Parameters that a factor multiplies as they are."""
PARAMETERS = (*SHARES, *AMOUNTS)


def _known_parameter(name: str) -> str:
    if name not in PARAMETERS:
        raise ValueError(f"'{name}' takes no factor. {nearest(name, PARAMETERS)}")
    return name


Factors = dict[Annotated[str, AfterValidator(_known_parameter)], PositiveField]
"""Factors on parameters: on the odds of `SHARES`, on `AMOUNTS` as they are."""


class Numbers(Spec):
    """Efficiencies and fixed times."""

    memory_efficiency: EfficiencyField
    """Share of peak bandwidth that streams of weights and activations reach."""
    compute_efficiency: EfficiencyField
    """Share of dense peak that large matrix products reach."""
    attention_memory_efficiency: EfficiencyField
    """Share of peak bandwidth that the KV cache is read at."""
    attention_compute_efficiency: EfficiencyField
    """Share of dense peak that the causal attention of a prefill reaches."""
    expert_efficiency: EfficiencyField
    """What grouped products of routed experts reach of the same rates: small, uneven groups, and
    a busiest device that the others wait for."""
    expert_streaming: FractionField = 1.0
    """How far `expert_efficiency` holds where weights' bandwidth binds, as its exponent: 1 as where
    arithmetic binds, 0 not at all, since uneven groups leave tiles empty but read each weight once.
    """
    network_efficiency: EfficiencyField
    """Share of a link's bandwidth that collectives reach."""
    half_rate_tokens: NonNegativeField
    """Rows at which a product of a prefill reaches half of its efficiency (tiles, waves)."""
    score_bytes: NonNegativeField
    """Bytes of traffic for each query-key pair and head of a prefill: 0 where attention is fused,
    8 to 16 where scores are written out, read for the softmax, and read again."""
    unpacking_flops: NonNegativeField = 0.0
    """FLOPs of a product's peak whose time it takes in decode to unpack one weight stored in less
    than a byte. Without matrix units it is what binds; with them their peak hides it."""
    kv_rereads: FractionField
    """How far decode reads a shared KV head again for each of its query heads: 0 once, 1 each."""
    decode_overhead: LatencyField
    """Launch and drain of one operator of a decode pass."""
    prefill_overhead: LatencyField
    """Launch and drain of one operator of a prefill pass."""
    rank_overhead: LatencyField
    """Synchronisation of an all-reduce, for each rank beyond the first."""
    sequence_overhead: LatencyField
    """Host and sampling work per sequence and decode pass."""
    step_overhead: LatencyField
    """Host work once per pass: scheduling, sampling, bookkeeping."""
    pipeline_overlap: FractionField
    """How far the chunks of a prefill follow one another through the stages of a pipeline: 1 as
    closely as dependencies allow, 0 one chunk at a time."""
    memory_utilisation: EfficiencyField
    """Share of a device's memory that the stack may fill with weights, KV and activations."""
    matmul_overhead: LatencyField = 0.0
    """Fixed time of a product beyond the launch: prologue, and the kernel that quantises input."""
    expert_overhead: LatencyField = 0.0
    """The same of one grouped product of routed experts: sorting and gathering of tokens too."""
    attention_overhead: LatencyField = 0.0
    """The same of a decode attention core: splits of the context and their reduction."""
    prefill_attention_overhead: LatencyField = 0.0
    """The same of a prefill attention core."""
    elementwise_overhead: LatencyField = 0.0
    """The same of a normalisation, and of the rotary embedding or activation function near it."""
    depth_overhead: LatencyField = 0.0
    """Time per entry of the inner dimension, which the blocks of a product walk one by one."""
    half_rate_rows: NonNegativeField = 0.0
    """Rows at which a product of either phase reaches half of its efficiency (height of a tile)."""
    half_rate_group: NonNegativeField = 0.0
    """The same of one expert's rows in a grouped product, whose tiles are lower."""
    input_passes: NonNegativeField = 0.0
    """How often quantising moves a product's input: one pass reads 16 bits, writes 8."""
    context_tile: NonNegativeField = 0.0
    """Cached tokens that a decode attention reads at least of each sequence and KV head."""
    group_rereads: FractionField = 0.0
    """One over the query heads that one read of a shared KV head serves; 0 serves them all."""
    kv_ramp: LatencyField = 0.0
    """Time that a long stream of KV loses until it runs at its efficiency."""
    kv_ramp_half: LatencyField = 0.0
    """Ideal time of a stream of KV that loses half of `kv_ramp`."""
    half_rate_prompt: NonNegativeField = 0.0
    """Prompt tokens at which prefill attention reaches half of its efficiency."""
    half_rate_head: NonNegativeField = 0.0
    """Width of a head at which prefill attention reaches half of its efficiency: the softmax costs
    the same at any width."""
    collective_overhead: LatencyField = 0.0
    """Fixed time of a collective beyond the link's latency."""
    collective_ramp: NonNegativeField = 0.0
    """Latencies that a large message loses until it moves at `network_efficiency`."""
    collective_ramp_half: NonNegativeField = 0.0
    """Ideal time, in latencies, of a message that loses half of `collective_ramp`."""
    layer_launch: LatencyField = 0.0
    """Host's time to launch one layer, while devices run what it launched before: no pass is faster
    than all of its launches. 0 where graphs or a compiler launch it at once."""


NUMBERS = tuple(Numbers.model_fields)
"""Every number of a calibration."""

_OPTIONAL: dict[str, Any] = {
    name: (kind | None, None) for name, kind in get_type_hints(Numbers, include_extras=True).items()
}
FormatNumbers: Any = create_model("FormatNumbers", __base__=Spec, **_OPTIONAL)
"""Those of `Numbers` that differ with a number format of the weights."""

EXPERT_NUMBERS = (
    "expert_efficiency",
    "expert_streaming",
    "expert_overhead",
    "half_rate_group",
)
"""Numbers that routed experts have for themselves."""
ExpertNumbers: Any = create_model(
    "ExpertNumbers", __base__=Spec, **{name: _OPTIONAL[name] for name in EXPERT_NUMBERS}
)
"""Those that differ with a number format of the experts' weights."""


class Calibration(Numbers, SourcedSpec):
    """Efficiencies and fixed times of one class of system and era of software.

    `ideal` is efficiency 1 and no fixed time: the physical floor. No calibration passes it, since
    an efficiency is at most 1 and no time is negative.
    """

    name: str
    architectures: dict[str, Factors] = {}
    """By architecture of the device: kernels are written for it, and it sustains its own share."""
    softwares: dict[str, Factors] = {}
    """By era of software, of the calibration that is common to all: what a stack that nobody
    measured on a family of devices takes over from the same software on others."""
    formats: dict[Annotated[str, AfterValidator(known_format)], FormatNumbers] = {}
    """Numbers that differ with the number format of the weights: kernels and dequantisation."""
    experts: dict[Annotated[str, AfterValidator(known_format)], ExpertNumbers] = {}
    """Those of routed experts by the format of their own weights, above `formats`."""
