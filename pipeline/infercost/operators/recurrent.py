"""Operators of mixers that keep a state of fixed size in place of a cache that grows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from infercost.arrays import Array, Bytes, Count, Flops
from infercost.equations.attention import heads_per_device
from infercost.operators.base import (
    Cache,
    Layout,
    MixerKind,
    Operator,
    Pass,
    core_kind,
    fixed_cache,
)
from infercost.workloads.lengths import UNLIMITED


@dataclass(frozen=True)
class Recurrence:
    """One layer of a recurrent mixer on one device."""

    projection: Count
    """Weight entries in front of the scan, convolution included."""
    output: Count
    """Weight entries of the output projection."""
    width: Count
    """Elements per token that the scan takes in."""
    inner: Count
    """Elements per token that it gives."""
    state: Count
    """Elements of the state."""
    past: Count
    """Elements of past activations that a convolution or token shift keeps."""
    scan: Flops
    """Per token of a prefill."""
    update: Flops
    """Per token of decode."""


Parts = Callable[[Layout, Any, Count], Recurrence]


def recurrent_kind(
    parts: Parts, heads: Callable[[Any], Count], core_width: Callable[[Any], Count]
) -> MixerKind:
    """The operators of a mixer, given its parts on one of `tp` devices."""

    def elements(layout: Layout, mixer: Any, tp: Count) -> Count:
        mine = parts(layout, mixer, tp)
        return mine.projection + mine.output

    def caches(layout: Layout, mixer: Any, tp: Count) -> tuple[Cache, ...]:
        return (fixed_cache(_state_bytes(layout, parts(layout, mixer, tp))),)

    def operators(layout: Layout, mixer: Any, count: Array, step: Pass) -> tuple[Operator, ...]:
        mine = parts(layout, mixer, layout.case.plan.tp)
        d_model = layout.case.model.d_model
        state = _state_bytes(layout, mine)
        pieces = step.sequences * heads_per_device(heads(mixer), layout.case.plan.tp)
        scan = Operator(
            "state update" if step.decode else "chunked scan",
            count,
            step.tokens * (mine.update if step.decode else mine.scan),
            {
                # Read and written once per sequence and pass; between chunks it stays on chip.
                "kv": 2.0 * step.sequences * state,
                "activations": layout.spilled(step.tokens, mine.width + mine.inner),
            },
            layout.peak_attention,
            core_kind(step),
            written={"kv": step.sequences * state},
            run=state,
            exchange=layout.core_exchange(step.tokens * (mine.width + mine.inner), pieces),
            depth=mine.inner,
            # A state is read whole: no tile of it is part full.
            context=UNLIMITED if step.decode else step.tokens / step.sequences,
        )
        return (
            layout.matmul(
                "input projection",
                count,
                step.tokens,
                mine.projection,
                d_model + mine.width,
                d_model,
            ),
            scan,
            layout.matmul(
                "output projection",
                count,
                step.tokens,
                mine.output,
                mine.inner + d_model,
                mine.inner,
            ),
        )

    return MixerKind(elements, caches, operators, core_width, heads)


def _state_bytes(layout: Layout, parts: Recurrence) -> Bytes:
    """Bytes of one sequence's state in one layer; what a convolution keeps is an activation."""
    return parts.state * layout.state + parts.past * layout.activations
