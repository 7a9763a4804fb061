"""What a serving stack reaches of the data sheet."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator

from infercost.specs.fields import (
    EfficiencyField,
    FractionField,
    LatencyField,
    NonNegativeField,
    SourcedSpec,
    Spec,
)
from infercost.specs.formats import known_format


class FormatEfficiency(Spec):
    """Efficiencies with weights of one format: kernels and dequantisation differ by format."""

    memory_efficiency: EfficiencyField
    compute_efficiency: EfficiencyField


class Calibration(SourcedSpec):
    """Efficiencies and fixed times of one class of system and era of software.

    `ideal` is efficiency 1 and no fixed time: the physical floor. No calibration passes it, since
    an efficiency is at most 1 and no time is negative.
    """

    name: str
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
    network_efficiency: EfficiencyField
    """Share of a link's bandwidth that collectives reach."""
    half_rate_tokens: NonNegativeField
    """Rows at which a product of a prefill reaches half of its efficiency (tiles, waves)."""
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
    memory_utilisation: EfficiencyField
    """Share of a device's memory that the stack may fill with weights, KV and activations."""
    formats: dict[Annotated[str, AfterValidator(known_format)], FormatEfficiency] = {}
    """Efficiencies by weight format, where they differ from the rest."""
