"""Step times and energies of a design as tables: what a replay looks up in place of the cost model.

A pass of n decoding sequences and chunks of prompts costs

    T = T0(n, m) + A_d(n, c) + sum of A_p(m_i, h_i)

T0 is the pass without attention, m = sum of m_i prompt tokens, c the mean context of the decoding
sequences, h_i the tokens already cached before chunk i. Pure passes are those of the cost model,
exact on the axes; a mixed pass launches its operators once, as a prefill pass does, and adds
attention of both kinds. Between the axes' points the tables are bilinear; the error is at most that
of a line across a kink: 1.1 % where the points are 1/16 octave apart (sequences, tokens of a pass),
more for contexts, 1/8 and 1/6, of which a time is a small part or a straight line. A test holds
1.1 % at random passes of ten designs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from infercost.arrays import Array, FloatArray, number
from infercost.cost import Evaluation
from infercost.errors import SpecError
from infercost.operators.base import Pass
from infercost.operators.stack import cache_bytes
from infercost.passes.forward import pass_cost
from infercost.specs.case import Case
from infercost.specs.generation import BlockDiffusion, MediaDiffusion, SequenceDiffusion
from infercost.specs.serving import Serving
from infercost.specs.workload import FixedLengths


@dataclass(frozen=True)
class StepTables:
    """Axes and tables; the first dimension of each table is time in s, energy in J."""

    n: FloatArray
    c: FloatArray
    m: FloatArray
    h: FloatArray
    decode: FloatArray
    decode_attention: FloatArray
    prefill: FloatArray
    prefill_attention: FloatArray
    mixed: FloatArray


def axis(most: float, per_octave: int, whole_to: int = 1) -> FloatArray:
    """Whole numbers from 1: all up to `whole_to`, then so many per octave, up to `most` or 2."""
    most = max(most, 2.0)
    octaves = np.log2(most)
    points = np.round(2.0 ** (np.arange(int(octaves * per_octave) + 2) / per_octave))
    points = np.concatenate([np.arange(1, whole_to + 1), points])
    points = points[points < most]
    found: FloatArray = np.unique(np.append(points, most)).astype(np.float64)
    return found


class Passes:
    """Passes of one design, by the cost model."""

    def __init__(self, case: Case, serving: Serving) -> None:
        generation = case.model.generation
        if isinstance(generation, BlockDiffusion | SequenceDiffusion | MediaDiffusion):
            fault = "makes no output token by token: a replay has no passes for it"
            raise SpecError(f"model '{case.model.name}'", "generation", fault)
        self.point = Evaluation(case)
        self.layout, self.speculation = self.point.layout, serving.speculation
        self.beams = float(serving.beams)
        self.calibration = self.layout.calibration
        _check_mechanisms(self.point.case)
        _check_requests(self.point.case)

    def decode(self, n: Array, context: Array) -> tuple[FloatArray, FloatArray]:
        """Time and energy of a step of n requests, drafts and beams included."""
        drafted, n = self.speculation.drafted, n * self.beams
        step = _decode(n, context, drafted, self.layout.encoded)
        time, energy = self._cost(step, n, context)
        if drafted:
            plain = self._cost(_decode(n, context, 0, self.layout.encoded), n, context)
            share = drafted * self.speculation.draft_time
            time, energy = time + share * plain[0], energy + share * plain[1]
        return time, energy

    def prefill(self, tokens: Array, cached: Array) -> tuple[FloatArray, FloatArray]:
        """Time and energy of one chunk of one prompt after `cached` tokens of it."""

        def pairs(window: float) -> Array:
            return _seen(cached + tokens, window) - _seen(cached, window)

        def read(window: float) -> Array:
            return tokens + np.minimum(cached, window)

        encoded = self.layout.encoded
        one = np.ones_like(tokens + cached)
        step = Pass(tokens, one, read, pairs, False, encoded=encoded, encodes=encoded * one)
        return self._cost(step, tokens, cached)

    def bare(self, n: Array, tokens: Array) -> tuple[FloatArray, FloatArray]:
        """Time and energy of a pass of n decoding requests and a prompt, attention left out."""
        drafts, n = self.speculation.drafted + 1, n * self.beams
        rows = tokens + n * drafts
        step = Pass(rows, 1.0 + n, _none, _none, False, logits=(1.0 + n * drafts) / (1.0 + n))
        time, energy = self._cost(step, n, tokens)
        return time + np.where(np.asarray(n) > 0, self.calibration.sequence_overhead * n, 0), energy

    def bare_decode(self, n: Array) -> tuple[FloatArray, FloatArray]:
        """A decode step without attention, drafts included."""
        return self.decode(n, np.full_like(n, NOTHING))

    def _cost(self, step: Pass, *shapes: Array) -> tuple[FloatArray, FloatArray]:
        routes = self.point.routes if step.decode else self.point.prefill_routes
        cost = pass_cost(self.layout, step, routes)
        shape = np.broadcast_shapes(*(np.shape(s) for s in shapes))
        tp = self.point.case.plan.tp
        time = np.broadcast_to(np.asarray(cost.time.total, dtype=np.float64), shape)
        return time, np.broadcast_to(np.asarray(cost.energy.total * tp, dtype=np.float64), shape)


def _check_mechanisms(case: Case) -> None:
    """Refuse mitigations that act on a whole steady state: a replay's passes would not see them."""
    how = case.mechanisms
    unseen = {
        "speculation": how.drafting is not None,
        "bytes within a patch": case.model.patches is not None,
        "prefix caching": how.prefix is not None,
        "eviction": how.budget is not None or np.any(np.asarray(how.kept) < 1),
        "chunked prefill": np.any(np.asarray(how.fused) > 0),
        "a lighter model beside": how.light is not None,
        "a pool for prefill": how.pool is not None,
    }
    for name, used in unseen.items():
        if used:
            fault = f"a replay's passes do not see {name}"
            remedy = "Leave it out, or say how to serve under serving, such as serving.speculation"
            raise SpecError("mitigation", "", fault, remedy)


ADDED = ("prompt_tokens", "output_tokens", "cached_share", "images", "video", "audio")
"""What a trend adds to requests, where it is above nothing."""


def _check_requests(case: Case) -> None:
    """Refuse what changes the requests of a steady state: a replay takes those of the workload."""
    trend, pool = case.trend, case.plan.prefix_cache
    added = [name for name in ADDED if _acts(getattr(trend, name) * trend.dose)]
    added += ["branches"] if _acts((trend.branches - 1) * trend.dose) else []
    added += ["retrieval"] if trend.retrieval and _acts(trend.retrieval.rounds * trend.dose) else []
    if added:
        fault = f"a replay takes its requests from the workload and adds no {added[0]} to them"
        remedy = "Leave it out, and take a workload whose requests are such"
        raise SpecError(f"trend '{trend.name}'", added[0], fault, remedy)
    if _acts(pool.capacity):
        fault = "a replay keeps prefixes as it is told under serving"
        remedy = "Set serving.prefix_cache and serving.prefix_tiers"
        raise SpecError(f"plan '{case.plan.name}'", "prefix_cache.capacity", fault, remedy)
    if _acts(getattr(case.workload, "cached_tokens", 0.0)):
        fault = "a replay computes every prompt of this workload"
        remedy = "Take a trace with prefix blocks, and serving.prefix_cache"
        raise SpecError(f"workload '{case.workload.name}'", "cached_tokens", fault, remedy)


def _acts(amount: Array) -> bool:
    return bool(np.any(np.asarray(amount) > 0))


NOTHING = 1e-6
"""Tokens that are as good as none, but can be divided by."""


def _none(window: float) -> Array:
    return NOTHING


def _seen(tokens: Array, window: float) -> Array:
    """Query-key pairs of the first `tokens` positions under a window."""
    inside = np.minimum(tokens, window)
    seen: Array = inside * (inside + 1.0) / 2.0 + (tokens - inside) * window
    return seen


def _decode(n: Array, context: Array, drafted: int, encoded: Array) -> Pass:
    tokens = n * (drafted + 1.0)

    def read(window: float) -> Array:
        return n * np.minimum(context, window)

    def pairs(window: float) -> Array:
        return tokens * np.minimum(context, window)

    return Pass(tokens, n, read, pairs, True, logits=drafted + 1.0, encoded=encoded)


def step_tables(case: Case, serving: Serving, longest: float) -> StepTables:
    """The tables of a design for contexts up to `longest` tokens."""
    passes = Passes(case, serving)
    n = axis(serving.max_sequences, 16, 32)
    c = axis(longest, 8)
    m = axis(min(serving.token_budget, longest), 16)
    h = np.concatenate([[0.0], axis(longest, 6)])
    decode = _pair(passes.decode(n[:, None], c[None, :]))
    still = _pair(passes.bare_decode(n))
    chunk = _pair(passes.prefill(m[:, None], h[None, :]))
    alone = _pair(passes.bare(np.zeros_like(m), m))
    mixed = _pair(passes.bare(n[:, None], m[None, :]))
    return StepTables(
        n, c, m, h, decode, decode - still[:, :, None], alone, chunk - alone[:, :, None], mixed
    )


def _pair(both: tuple[FloatArray, FloatArray]) -> FloatArray:
    return np.ascontiguousarray(np.stack(both))


def kv_room(case: Case, serving: Serving, context: float) -> tuple[int, float]:
    """KV blocks of one data-parallel group, and bytes of a token's cache over all its devices.

    What weights and a pass's activations leave free, at the mean bytes per token of sequences of
    `context` tokens: windows and states make short ones dearer. Stages of a pipeline keep as many
    groups in flight as there are stages, which share the room.
    """
    plan = case.plan
    lengths = FixedLengths(
        kind="fixed", name="", prompt_tokens=max(context - 1.0, 1.0), output_tokens=2.0,
        sources={"default": "derived: the mean context"},
    )  # fmt: skip
    chunked = plan.model_copy(update={"prefill_chunk": float(serving.token_budget)})
    one = case.model_copy(update={"workload": lengths, "plan": chunked, "batch": 1})
    point = Evaluation(one)
    memory, layout = point.memory, point.layout
    held: Any = cache_bytes(layout, lambda cache: np.minimum(context, cache.window) / cache.ways)
    per_token = number(held) / context
    free = number(memory.room - memory.weights - memory.activations)
    if per_token <= 0:
        raise SpecError(f"model '{case.model.name}'", "", "keeps no cache to be replayed")
    blocks = int(free / plan.pp / (per_token * serving.kv_block))
    if blocks < 1:
        fault = f"leaves {free / 1e9:.1f} GB per device for caches beside the weights"
        raise SpecError(f"plan '{plan.name}'", "plan.tp", fault, "Take more devices, or formats")
    return blocks, per_token * plan.tp * plan.pp
