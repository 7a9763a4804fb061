"""A cache of prompt prefixes, simulated over a trace: what each request finds when it comes.

Blocks are found as a run from the head of the prompt, since a block's id stands for all before it.
Requests come one after the other and are written at once: that a prefix is still being computed
when the next request asks for it is left out, as are sizes of several services in one pool.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from functools import lru_cache
from heapq import heappop, heappush
from typing import Literal

import numpy as np

from infercost.arrays import Bytes, Count, FloatArray
from infercost.equations.caching import blocks_held
from infercost.workloads.traces import IntArray, Trace

Policy = Literal["lru", "belady"]


@dataclass(frozen=True)
class Pool:
    """Room for prefixes, in the bytes of one model's caches."""

    capacity: Bytes
    per_token: Bytes
    state: Bytes
    """Recurrent state, of which each block keeps a copy, so that a request may start behind it."""
    policy: Policy

    def blocks(self, block_tokens: int) -> Count:
        """Whole blocks of so many tokens that fit."""
        if not np.any(np.asarray(block_tokens * self.per_token + self.state)):
            return 0.0  # a model that caches nothing
        return blocks_held(self.capacity, block_tokens, self.per_token, self.state)


def cached_tokens(trace: Trace, n_blocks: float, policy: Policy) -> FloatArray:
    """Tokens of each prompt that a cache of `n_blocks` blocks holds; one is always left over."""
    found = found_blocks(trace, n_blocks, policy) * float(trace.block_tokens)
    cached: FloatArray = np.minimum(found, trace.prompt - 1.0)
    return cached


@lru_cache(maxsize=64)
def found_blocks(trace: Trace, n_blocks: float, policy: Policy) -> IntArray:
    """Blocks of each request that are found, from the head of its prompt on."""
    if n_blocks < 1:
        return np.zeros(trace.prompt.size, dtype=np.int64)
    return (_recently_used if policy == "lru" else _foreseen)(trace, n_blocks)


def _run(blocks: list[int], held: object) -> int:
    """How many blocks at the head of a prompt are held."""
    for found, block in enumerate(blocks):
        if block not in held:  # type: ignore[operator]
            return found
    return len(blocks)


def _order(trace: Trace) -> list[int]:
    """Requests in the order in which they come; sessions all start together and run abreast."""
    if trace.session is None or trace.arrival is None:
        return list(range(trace.prompt.size))
    order: list[int] = np.argsort(trace.arrival, kind="stable").tolist()
    return order


def _recently_used(trace: Trace, n_blocks: float) -> IntArray:
    """Least recently used goes first; of one request, the end of its prompt before its head."""
    held: OrderedDict[int, None] = OrderedDict()
    found = np.zeros(trace.prompt.size, dtype=np.int64)
    for request in _order(trace):
        blocks = trace.blocks_of(request).tolist()
        found[request] = _run(blocks, held)
        for block in reversed(blocks):
            held[block] = None
            held.move_to_end(block)
        while len(held) > n_blocks:
            held.popitem(last=False)
    return found


def _foreseen(trace: Trace, n_blocks: float) -> IntArray:
    """What is needed latest goes first, the future known: no policy finds more (Belady 1966).

    A block is never needed before the blocks in front of it, so runs stay whole; blocks that are
    never needed again are not kept.
    """
    following = _next_uses(trace)
    held: dict[int, int] = {}
    latest: list[tuple[int, int, int]] = []
    found = np.zeros(trace.prompt.size, dtype=np.int64)
    for request in _order(trace):
        blocks = trace.blocks_of(request).tolist()
        found[request] = _run(blocks, held)
        uses = following[trace.starts[request] : trace.starts[request + 1]].tolist()
        for depth, (block, use) in enumerate(zip(blocks, uses, strict=True)):
            held.pop(block, None)
            if use < found.size:
                held[block] = use
                heappush(latest, (-use, -depth, block))
        while len(held) > n_blocks:
            use, _, block = heappop(latest)
            if held.get(block) == -use:
                del held[block]
    return found


def _next_uses(trace: Trace) -> IntArray:
    """For each block of each request, when it is needed next, in requests; past all if never."""
    n = trace.prompt.size
    known: dict[int, int] = {}
    following = np.full(trace.blocks.size, n, dtype=np.int64)
    for turn, request in reversed(list(enumerate(_order(trace)))):
        blocks = trace.blocks_of(request).tolist()
        following[trace.starts[request] : trace.starts[request + 1]] = [
            known.get(block, n) for block in blocks
        ]
        known.update(dict.fromkeys(blocks, turn))
    return following
