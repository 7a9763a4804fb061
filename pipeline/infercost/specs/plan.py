"""How a model is laid on devices."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from infercost.errors import nearest
from infercost.specs.fields import (
    CountField,
    CountOrZeroField,
    DurationField,
    FractionField,
    NonNegativeField,
    SourcedSpec,
    Spec,
    TokensField,
    TokensOrZeroField,
    WholeTokensField,
)
from infercost.specs.formats import BITS, WIDER
from infercost.specs.prefix_cache import PrefixCache

NATIVE = "native"


def _stored(name: str) -> str:
    if name != NATIVE and name not in BITS:
        raise ValueError(f"unknown number format '{name}'. {nearest(name, [*BITS, NATIVE])}")
    return name


def _computed(name: str) -> str:
    if name != NATIVE and name not in WIDER:
        raise ValueError(f"no matrix unit computes in '{name}'. {nearest(name, [*WIDER, NATIVE])}")
    return name


StoredFormat = Annotated[str, AfterValidator(_stored)]
ComputeFormat = Annotated[str, AfterValidator(_computed)]


class PlanFormats(Spec):
    """Number formats per tensor class; `native` is what the model was published in."""

    weights: StoredFormat
    """Another format than the model's own is that of embeddings, head and routers too; mitigations
    such as `fp8` and `w4` leave those as they were."""
    experts: StoredFormat
    kv: StoredFormat
    activations: StoredFormat
    """The residual stream, and what devices send one another. Narrow `compute` converts inputs of
    products alone: sums over devices stay as wide as this."""
    compute: ComputeFormat
    dispatch: StoredFormat
    """Activations on their way to the experts; `native` is the activations' own."""
    combine: StoredFormat
    """Results on their way back from the experts; `native` is the activations' own."""


TensorClass = Literal["weights", "experts", "kv", "context", "activations"]
"""What a memory holds: dense weights, routed experts, caches of requests, a context that all
requests share, activations."""


class Placement(Spec):
    """Which tier of memory holds what. With one tier nothing but the shared context matters."""

    order: dict[TensorClass, Annotated[list[str], Field(min_length=1)]] = {}
    """Tiers by name, in the order in which a class fills them. Classes named here go first, in this
    order; for others the map is sought under which a token takes least time of devices."""
    spares_wearing: bool = False
    """Whether what is written lies on a tier that wears out only where others are full, whatever
    that costs. If not, it lies where a token takes least time while memories live long enough."""
    expert_hit_rate: FractionField | None = None
    """Share of reads of routed experts that find theirs on the fastest tier that holds any; none
    stated: as large as the share of experts that lie there."""
    prefetch_accuracy: FractionField = 0.0
    """Share of routed experts that are predicted, and on their way before the router names them; 0
    is no prefetch. Wrong guesses are read in vain."""
    shared_context: TokensOrZeroField = 0.0
    """Tokens at the head of every prompt whose cache is computed beforehand, kept once and only
    read; a request brings the rest. Longer than a prompt, it is the whole prompt. Steps that keep
    no cache compute it anew each time."""
    context_rereads: FractionField = 1.0
    """How far sequences read the shared context again: 1 each for itself, 0 once for all."""
    kv_block: TokensField = 16.0
    """Tokens whose cache of one layer lies together in memory."""


class Plan(SourcedSpec):
    """Parallelism of one replica, on tp * pp * dp devices.

    Attention and dense blocks are split over `tp` devices and repeated in `dp` groups, each with
    its share of the batch (attention data parallelism). Routed experts are spread over `ep` of the
    stage's tp * dp devices and split over what remains. `pp` stages follow one another.
    """

    name: str
    tp: CountField
    pp: CountField
    dp: CountField
    ep: CountField
    kv_sharding: Literal["heads", "batch", "sequence"]
    """How a decode cache is split where devices outnumber KV heads: copies of each head on every
    device that shares it, each device the heads of its part of the batch, or each device its part
    of the tokens of every sequence."""
    prefill_batch: CountField
    """Prompts that one prefill pass takes together, per data-parallel group."""
    prefill_chunk: WholeTokensField
    """Most tokens in one pass of prefill; longer prompts take several, and re-read the weights."""
    phases: Literal["colocated", "disaggregated"]
    """Whether prefill interrupts decode on the same devices, or runs on a pool of its own: replicas
    alike, side by side, which hand the caches of prompts over."""
    overlap: FractionField
    """Share of communication that runs behind computation where there is enough of it."""
    admission_sigma: NonNegativeField
    """KV room is kept for the mean total context in flight plus so many standard deviations."""
    formats: PlanFormats
    exchange: Literal["copies", "merged", "gather"] = "copies"
    """How tokens reach experts on other data-parallel groups: a copy to each expert that they
    visit, as kernels for low latency do; one to each scale-up domain that holds some, handed on
    inside, as kernels for large batches do; or all tokens gathered everywhere and the results
    reduced and scattered."""
    staged_rows: CountField | None = None
    """Rows of a product from which weights kept narrower than its arithmetic are first written to
    memory in the format of the arithmetic, by a kernel of their own, and then read back. None
    stated: products of any size unpack them on chip."""
    spares: CountOrZeroField = 0
    """Devices that stand by for a replica's failed ones, within reach of the others."""
    placement: Placement = Placement()
    prefix_cache: PrefixCache = PrefixCache()
    min_memory_life: DurationField | None = None
    """Least life of a memory that wears out; none stated: the life that the economics assume."""
