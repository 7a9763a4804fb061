"""What an operator is, and what it may ask of the case around it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np

from infercost.arrays import Array, Bytes, Count, Flops, FlopsPerSecond, Ratio, as_array
from infercost.equations.near_memory import attention_exchange, product_exchange
from infercost.equations.transformer import (
    activation_bytes,
    matmul_flops,
    residual_bytes,
    spilled_bytes,
)
from infercost.errors import SpecError
from infercost.network.messages import Message, Network
from infercost.operators.dose import dosed
from infercost.operators.scaling import scaled
from infercost.passes.reached import calibration_of
from infercost.specs.case import Case, stored_format, tables_format
from infercost.specs.formats import WIDER, bytes_per_element
from infercost.specs.plan import NATIVE
from infercost.workloads.media import cross_positions

Kind = Literal["matmul", "experts", "decode_attention", "prefill_attention", "elementwise"]
"""What a kernel does, as far as a calibration tells kernels apart."""
HEAD = "language model head"
ROUTER = "router"
WIDE = (HEAD, ROUTER)
"""Products whose weights narrow checkpoints leave wide."""
"""The product that makes logits, from a table of its own or that of the embeddings."""


@dataclass(frozen=True)
class Operator:
    """One kernel on one device: `count` times per pass, numbers for one time.

    `traffic` is what it moves to and from memory: of `weights`, `kv` and `activations`. `rows` are
    the rows of a product with each weight matrix, `depth` its inner dimension (of attention: the
    width of a head), `sharing` the query heads of one KV head, `scores` the query-key pairs times
    heads of a prefill, `context` the tokens that a sequence attends to: what a stack's efficiency
    depends on.
    """

    name: str
    count: Array
    flops: Flops
    traffic: dict[str, Bytes]
    peak: FlopsPerSecond
    kind: Kind
    rows: Count = 1.0
    sharing: Count = 1.0
    scores: Count = 0.0
    depth: Count = 1.0
    context: Count = 1.0
    written: dict[str, Bytes] = field(default_factory=dict)
    run: Bytes | None = None
    shared: Ratio = 0.0
    dependent: Count | None = None
    exchange: Callable[[Count], Bytes] | None = None
    packed: Count = 0.0
    """Weights that are stored in less than a byte and unpacked for the product."""
    conversion: Flops = 0.0
    """FLOPs of its peak whose time it takes to convert what is stored in a narrower format."""

    def of_copies(self, copies: Count) -> Operator:
        """The operator with `copies` sets of weights, of which each row visits one."""
        traffic = {**self.traffic, "weights": self.traffic["weights"] * copies}
        exchange = self.exchange
        if exchange is None:
            return replace(self, traffic=traffic)
        return replace(self, traffic=traffic, exchange=lambda units: exchange(units / copies))


@dataclass(frozen=True)
class Block:
    """Operators and messages that follow one another and may overlap: a group of like layers."""

    name: str
    operators: tuple[Operator, ...]
    messages: tuple[Message, ...] = ()


@dataclass(frozen=True)
class Pass:
    """One forward pass of one data-parallel group.

    `tokens` are its query tokens, of `sequences` sequences. `kv_read(w)` is the number of cached
    tokens read and `pairs(w)` of query-key pairs, both under a window w. `decode` passes read a
    cache that earlier passes wrote. `shared(w)` is the part of the cached tokens read that is a
    context of all requests.
    """

    tokens: Count
    sequences: Count
    kv_read: Callable[[float], Count]
    pairs: Callable[[float], Count]
    decode: bool
    logits: Count = 1.0
    """Rows per sequence that need logits."""
    encoded: Count = 0.0
    """Positions of an encoder, or tokens of text, that each sequence attends to across; in a pass
    of an encoder those of one segment."""
    encodes: Count = 0.0
    """Positions whose keys and values the pass makes, of all sequences together."""
    encoder: str = ""
    """The encoder that runs in place of the model; none means the model."""
    shared: Callable[[float], Ratio] = lambda window: 0.0


@dataclass(frozen=True)
class Cache:
    """What a mixer keeps per token and layer on one device, and how far back it looks.

    A device keeps it for one in `ways` of the sequences of its data-parallel group, or for one in
    `ways` of the tokens of each where they are not kept whole. What does not
    grow with the context has a window of one token: a recurrent state, the keys of an encoder. A
    prefix of S tokens is kept in min(S, window) times `bytes_per_token`, so that a state is kept
    whole for every prefix to be found again, however short.
    """

    bytes_per_token: Bytes
    window: float
    ways: Count = 1.0
    whole: bool = True
    grows: bool = True
    """Whether bytes are per token of context, up to the window; else per sequence."""

    def sequences(self, sequences: Count) -> Count:
        """Sequences of the group whose cache the busiest device holds; parts of them add up.

        One device holds them all, be they expected ones such as those that have not left early.
        """
        ways = as_array(self.ways)
        shared = sequences / ways
        if not self.whole or not np.any(ways > 1.0):
            return shared
        return np.where(ways > 1.0, np.ceil(shared), shared)


def fixed_cache(per_sequence: Bytes) -> Cache:
    """A cache of so many bytes per sequence, whatever its context."""
    return Cache(per_sequence, 1.0, grows=False)


@dataclass(frozen=True)
class MixerKind:
    """What a kind of mixer must say of itself. `tp` devices share one layer."""

    elements: Callable[[Layout, Any, Count], Count]
    """Weight entries on one device."""
    caches: Callable[[Layout, Any, Count], tuple[Cache, ...]]
    """What one device keeps for one layer."""
    operators: Callable[[Layout, Any, Array, Pass], tuple[Operator, ...]]
    core_width: Callable[[Any], Count]
    """Elements per token that enter or leave the core, over all heads."""
    heads: Callable[[Any], Count]
    """Devices that the layer can be split over at most."""
    split_width: Callable[[Any], Count] = lambda mixer: 0.0
    """Elements per token of a KV head that the devices sharing it project in parts."""


class Layout:
    """A case as operators see it: the trend's model, bytes per element, peaks, and the network."""

    def __init__(self, case: Case) -> None:
        self.case = dosed(scaled(case))
        self.calibration = calibration_of(self.case)
        self.network = Network(case.hardware, self.calibration)

    @cached_property
    def weights(self) -> float:
        """Bytes per element of dense weights, scales included."""
        return bytes_per_element(stored_format(self.case, "weights"))

    @cached_property
    def tables(self) -> float:
        """Of embeddings, head and routers, which narrow checkpoints often leave as they were."""
        wide = tables_format(self.case)
        return self.weights if wide is None else bytes_per_element(wide)

    @cached_property
    def experts(self) -> float:
        """Bytes per element of routed experts' weights."""
        return bytes_per_element(stored_format(self.case, "experts"))

    @cached_property
    def kv(self) -> float:
        """Bytes per element of caches."""
        return bytes_per_element(stored_format(self.case, "kv"))

    @cached_property
    def state(self) -> float:
        """Bytes per element of recurrent states."""
        return bytes_per_element(self.case.model.formats.state)

    @cached_property
    def activations(self) -> float:
        """Bytes per element of activations."""
        return bytes_per_element(stored_format(self.case, "activations"))

    @cached_property
    def dispatch(self) -> float:
        """Bytes per element of tokens on their way to experts."""
        return bytes_per_element(stored_format(self.case, "dispatch"))

    @cached_property
    def combine(self) -> float:
        """Bytes per element of experts' results on their way back."""
        return bytes_per_element(stored_format(self.case, "combine"))

    @cached_property
    def peak(self) -> Array:
        """Dense rate of products, FLOP/s per device."""
        return _peak(self.case, compute_format(self.case))

    @cached_property
    def peak_tables(self) -> Array:
        """Of head and routers, whose inputs stay as wide as they do where they are left so."""
        wide = tables_format(self.case)
        if wide is None:
            return self.peak
        own = _peak(self.case, _available(self.case, wide if wide in WIDER else "bf16"))
        return np.minimum(self.peak, own)

    @cached_property
    def peak_attention(self) -> Array:
        """Dense rate of scores and weighted sums, FLOP/s per device."""
        return _peak(self.case, attention_format(self.case))

    def hidden_sum(self, tokens: Count, count: Count = 1.0) -> Message:
        """All-reduce of the hidden state of `tokens` over the tensor-parallel group."""
        rows = activation_bytes(tokens, self.case.model.d_model, self.activations)
        return self.network.all_reduce("all-reduce", count, rows, self.case.plan.tp)

    def spilled(self, tokens: Count, width: Count) -> Bytes:
        """Memory traffic of activation rows: what does not stay on chip."""
        traffic = activation_bytes(tokens, width, self.activations)
        return spilled_bytes(traffic, self.case.hardware.on_chip)

    def matmul(
        self,
        name: str,
        count: Array,
        tokens: Count,
        elements: Count,
        width: Count,
        depth: Count = 1.0,
        size: Bytes | None = None,
    ) -> Operator:
        """A product of `tokens` rows with a dense weight matrix of `depth` input entries; `width`
        is its rows in and out. An entry takes `size`, that of the weights where none is said."""
        size = self.weights if size is None else size
        return Operator(
            name,
            count,
            matmul_flops(tokens, elements),
            {
                "weights": elements * size,
                "activations": self.spilled(tokens, width),
            },
            self.peak,
            "matmul",
            rows=tokens,
            depth=depth,
            packed=self.packed(elements, size),
            exchange=self.exchange(tokens, width, elements, 1.0),
        )

    def wide_matmul(
        self, name: str, count: Array, tokens: Count, elements: Count, width: Count, depth: Count
    ) -> Operator:
        """One of those products, head or router, in the format in which it was left."""
        product = self.matmul(name, count, tokens, elements, width, depth, self.tables)
        return replace(product, peak=self.peak_tables)

    def packed(self, elements: Count, size: Bytes) -> Count:
        """Weights of `size` bytes that are unpacked before they are multiplied."""
        narrow = size < 1.0 and compute_format(self.case) != "fp4"
        return elements if narrow else 0.0

    @cached_property
    def encoded(self) -> Count:
        """Positions of encoders that each request attends to across."""
        return cross_positions(self.case)

    def exchange(
        self, rows: Count, width: Count, elements: Count, products: Count
    ) -> Callable[[Count], Bytes]:
        """What crosses a channel where units near memory share `products` products of weights."""

        def crossed(units: Count) -> Bytes:
            each = product_exchange(rows, width, elements, units / products)
            return each * self.activations

        return crossed

    def core_exchange(self, rows: Count, pieces: Count) -> Callable[[Count], Bytes]:
        """What crosses a channel where units near memory work on `pieces` caches or states."""

        def crossed(units: Count) -> Bytes:
            return attention_exchange(rows, pieces, units) * self.activations

        return crossed

    def block_run(self, bytes_per_token: Bytes) -> Bytes:
        """Bytes of cache that lie together in memory: a block of tokens of one layer."""
        return bytes_per_token * self.case.plan.placement.kv_block

    def normalisation(
        self, name: str, count: Array, tokens: Count, d_model: Count | None = None
    ) -> Operator:
        """A normalisation fused with its residual sum, of the model's width unless said."""
        width = self.case.model.d_model if d_model is None else d_model
        traffic = residual_bytes(tokens, width, self.activations)
        spilled = spilled_bytes(traffic, self.case.hardware.on_chip)
        return Operator(name, count, 0.0, {"activations": spilled}, self.peak, "elementwise")


def core_kind(step: Pass) -> Kind:
    """What a calibration takes the core of a mixer for: attention of either phase.

    A scan of states is one too: decode streams states as attention streams its cache, a prefill
    multiplies small matrices chunk by chunk as attention does block by block.
    """
    return "decode_attention" if step.decode else "prefill_attention"


def compute_format(case: Case) -> str:
    """The matrix format asked for, or a wider one if the device computes faster in it."""
    chosen = case.plan.formats.compute
    return _available(case, case.model.formats.compute if chosen == NATIVE else chosen)


def attention_format(case: Case) -> str:
    """The matrix format of the attention core: 16 bit, or a wider one."""
    return _available(case, "bf16")


def _available(case: Case, wanted: str) -> str:
    """The fastest of a format and the wider ones that hold its numbers; ties go to the narrower."""
    peaks = dict(case.hardware.peak_dense)
    units = [name for name in WIDER[wanted] if name in peaks]
    if not units:
        raise SpecError(
            f"hardware '{case.hardware.name}'",
            "peak_dense",
            f"has no matrix unit for {wanted} or wider, only {', '.join(peaks)}",
            "Add the peak of a wider format",
        )
    return max(units, key=lambda name: float(np.max(peaks[name])))


def _peak(case: Case, name: str) -> Array:
    return dict(case.hardware.peak_dense)[name]  # type: ignore[index]


def is_sparse(case: Case) -> bool:
    """Whether some layer of the model has routed experts."""
    return any(
        case.model.ffns[layer.ffn].kind == "moe" and np.any(as_array(layer.count) > 0)
        for layer in case.model.layers.values()
    )
