"""The compiled loop: iterations of continuous batching, one replica's pass after another.

Imported by `infercost.serving.replay` alone, since it needs numba. All functions take plain arrays
and change them in place. A replica has `groups` data-parallel groups, which step together; group g
of replica r is the engine r * groups + g, with KV blocks and a prefix cache of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar, cast

import numba
import numpy as np

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """The function, compiled on first use and kept on disk."""
    jitted: Any = numba.njit(cache=True, nogil=True)(function)
    return cast(Function, jitted)


CHUNKED, PREFILL_FIRST, DECODE_FIRST = 0, 1, 2
ROUND_ROBIN, LEAST_LOADED, PREFIX_AWARE = 0, 1, 2
BINS_PER_OCTAVE, LEAST_GAP, N_BINS = 64, 1e-6, 64 * 34
"""Histogram of gaps between tokens: from 1 us up, within 1.1 %."""


class Steps(NamedTuple):
    """Time and energy of passes, on axes that grow. See `infercost.serving.tables`."""

    n: Any
    c: Any
    m: Any
    h: Any
    decode: Any
    """[2, n, c] pure decode pass: time, energy."""
    decode_attention: Any
    """[2, n, c] what its attention adds."""
    prefill: Any
    """[2, m] prefill pass without attention."""
    prefill_attention: Any
    """[2, m, h] what attention of one chunk adds after h cached tokens."""
    mixed: Any
    """[2, n, m] pass of n decoding sequences and m prompt tokens, without attention."""


class Setup(NamedTuple):
    """Numbers of a pool."""

    replicas: int
    groups: int
    policy: int
    budget: int
    max_sequences: int
    max_prefills: int
    block: int
    n_blocks: int
    routing: int
    imbalance: float
    drafted: int
    acceptance: float
    seed: int
    beams: int
    """Sequences that each request decodes."""
    stages: int
    """Prefill passes that are in flight at once in a pool that prefills alone."""
    hash_blocks: int
    """KV blocks of one prefix block; 0 without a prefix cache."""
    transfer: float
    """Time to hand over the cache of one token, of a pool that decodes alone."""
    latency: float
    """Of one hand-over."""


REQUEST = np.dtype(
    [
        *((name, np.float64) for name in ("arrival", "started", "ready", "first", "last")),
        *((name, np.int64) for name in ("prompt", "output", "hash_start", "following")),
        *((name, np.int64) for name in ("need", "computed", "done", "chunk", "held", "refs")),
        *((name, np.int64) for name in ("n_hashes", "found", "preempted", "engine")),
        ("status", np.int64),
        ("loaded", np.int64),
        *((name, np.int64) for name in ("parks", "origin", "after")),
        ("sent", np.float64),
    ],
    align=True,
)
"""A request and what becomes of it.

`started` is when it first left the queue. `need` tokens have to be in its cache before it decodes,
`computed` are; `chunk` is what the running pass does for it: prompt tokens, or -1 for a decode.
`held` are KV blocks of its own, `refs` prefix blocks that it uses. `status`: 0 not arrived, 1
waiting, 2 running, 3 finished, 4 longer than memory. `found` are prompt tokens found in a cache
when it first started.

Of two pools: in the first, `parks` says that a finished prompt keeps its blocks until they are
handed over. In the second, `loaded` requests come with their first token, and with a cache that the
replica `origin` of the first pool sends once there is room; it has arrived at `sent`. `after` is
the next request to be handed over, or on its way, from the same replica.
"""

BLOCK = np.dtype([(name, np.int32) for name in ("tier", "ref", "before", "after")])
"""A prefix block on an engine: its tier (-1 nowhere), its users, its neighbours by last use."""

TIER = np.dtype([("oldest", np.int64), ("newest", np.int64), ("count", np.int64), ("link", float)])
"""A tier of an engine: its blocks by last use, how many, and when its link is free."""

KIND = np.dtype([("room", np.int64), ("hits", np.int64), ("seconds", float), ("latency", float)])
"""A tier of all engines: blocks that it holds, tokens found, time per block and before it."""

ENGINE = np.dtype([(name, np.int64) for name in ("n_running", "free", "loose", "parked")])
"""Sequences and free KV blocks of an engine, prefix blocks in KV memory that nobody uses, and KV
blocks of prompts that wait to be handed over."""

REPLICA = np.dtype(
    [
        *((name, np.int64) for name in ("head", "tail", "idle")),
        *((name, np.float64) for name in ("clock", "busy", "load")),
    ]
)
"""A queue; whether no pass runs; when the running pass ends, or something is there to begin one
(infinite at rest), what its results take beyond; and tokens outstanding."""

PORT = np.dtype([("head", np.int64), ("tail", np.int64), ("free", np.float64)])
"""Requests of a prefill replica to be handed over, or on their way, and when its link is free."""


class Cache(NamedTuple):
    """Prefix blocks of each engine."""

    block: Any
    tiers: Any
    kind: Any
    engine: Any
    ids: Any
    evicted: Any


class State(NamedTuple):
    """Engines and replicas."""

    running: Any
    engine: Any
    replica: Any
    port: Any
    """Of a pool that prefills: its finished prompts. Of one that decodes: those sent to it, by the
    replica that they come from."""
    gaps: Any
    totals: Any
    """Sums: see the names below."""


(ITERATIONS, BUSY, ENERGY, TOKENS_IN, TOKENS_OUT, PREEMPTIONS, WAITING, IN_FLIGHT, VIOLATIONS,
 HORIZON, SEQUENCE_STEPS, RECOMPUTED, PEAK_QUEUE, TURN, N_WAITING, N_ALIVE, CLOCK,
 DECODE_PASSES, KV_USE, KV_PEAK, FOUND_AGAIN) = range(21)  # fmt: skip
N_TOTALS = 21
IN_TRANSIT = -2


@compiled
def place(axis: Any, value: float) -> Any:
    """Interval of an axis, and the share of the way through it; ends hold beyond them."""
    if value <= axis[0]:
        return 0, 0.0
    last = axis.size - 1
    if value >= axis[last]:
        return last - 1, (value - axis[last - 1]) / (axis[last] - axis[last - 1])
    low, high = 0, last
    while high - low > 1:
        middle = (low + high) // 2
        if axis[middle] <= value:
            low = middle
        else:
            high = middle
    return low, (value - axis[low]) / (axis[low + 1] - axis[low])


@compiled
def plane(table: Any, i: int, x: float, j: int, y: float) -> Any:
    """Bilinear interpolation."""
    low = table[i, j] * (1 - y) + table[i, j + 1] * y
    high = table[i + 1, j] * (1 - y) + table[i + 1, j + 1] * y
    return low * (1 - x) + high * x


@compiled
def gap_bin(gap: float) -> int:
    """Bin of a gap between tokens."""
    if gap <= LEAST_GAP:
        return 0
    return min(int(np.log2(gap / LEAST_GAP) * BINS_PER_OCTAVE) + 1, N_BINS - 1)


@compiled
def drawn(seed: int, request: int, position: int) -> float:
    """A number in [0, 1) that depends on its arguments alone (splitmix64)."""
    z = np.uint64(seed) * np.uint64(0x9E3779B97F4A7C15)
    z += np.uint64(request) * np.uint64(0xBF58476D1CE4E5B9)
    z += np.uint64(position) * np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(30)
    z *= np.uint64(0xBF58476D1CE4E5B9)
    z ^= z >> np.uint64(27)
    z *= np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    return float(z >> np.uint64(11)) / 9007199254740992.0


# Prefix cache ---------------------------------------------------------------------------------


@compiled
def unlink(cache: Cache, e: int, b: int) -> None:
    """Take a block out of its tier's list of least recent use."""
    k = cache.block[e, b].tier
    before, after = cache.block[e, b].before, cache.block[e, b].after
    if before >= 0:
        cache.block[e, before].after = after
    else:
        cache.tiers[e, k].oldest = after
    if after >= 0:
        cache.block[e, after].before = before
    else:
        cache.tiers[e, k].newest = before
    if k == 0:
        cache.engine[e].loose -= 1


@compiled
def append(cache: Cache, e: int, k: int, b: int) -> None:
    """Make a block the newest of a tier's list."""
    newest = cache.tiers[e, k].newest
    cache.block[e, b].before, cache.block[e, b].after = newest, -1
    if newest >= 0:
        cache.block[e, newest].after = b
    else:
        cache.tiers[e, k].oldest = b
    cache.tiers[e, k].newest = b
    if k == 0:
        cache.engine[e].loose += 1


@compiled
def push_down(cache: Cache, e: int, b: int, k: int) -> None:
    """Put a block that left tier k - 1 into tier k; each full tier passes its oldest on."""
    while k < cache.kind.size:
        if cache.kind[k].room > 0:
            cache.block[e, b].tier = k
            append(cache, e, k, b)
            cache.tiers[e, k].count += 1
            if cache.tiers[e, k].count <= cache.kind[k].room:
                return
            b = cache.tiers[e, k].oldest
            unlink(cache, e, b)
            cache.tiers[e, k].count -= 1
        k += 1
    cache.block[e, b].tier = -1
    cache.evicted[0] += 1


@compiled
def make_room(s: Setup, state: State, cache: Cache, e: int, wanted: int) -> Any:
    """Whether `wanted` KV blocks are free after old unused prefixes have given way."""
    while state.engine[e].free < wanted and s.hash_blocks > 0 and cache.tiers[e, 0].oldest >= 0:
        b = cache.tiers[e, 0].oldest
        unlink(cache, e, b)
        cache.tiers[e, 0].count -= 1
        state.engine[e].free += s.hash_blocks
        push_down(cache, e, b, 1)
    return state.engine[e].free >= wanted


@compiled
def matched(s: Setup, q: Any, cache: Cache, e: int, i: int) -> int:
    """Leading prefix blocks of a request that some tier of an engine holds."""
    if s.hash_blocks == 0:
        return 0
    # One token at least has to be computed, for there to be a next one.
    most = (q[i].need - 1) // (s.hash_blocks * s.block)
    most = min(most, q[i].n_hashes)
    k = 0
    while k < most and cache.block[e, cache.ids[q[i].hash_start + k]].tier >= 0:
        k += 1
    return k


@compiled
def keep_prompt(s: Setup, q: Any, state: State, cache: Cache, e: int, i: int) -> None:
    """Hand the full prefix blocks of a computed prompt over to the cache, in use by the request."""
    if s.hash_blocks == 0:
        return
    size = s.hash_blocks * s.block
    full = min(q[i].prompt // size, q[i].n_hashes)
    for k in range(q[i].refs, full):
        b = cache.ids[q[i].hash_start + k]
        q[i].held -= s.hash_blocks
        if cache.block[e, b].tier == 0:  # made by another request meanwhile: ours is not needed
            state.engine[e].free += s.hash_blocks
            if cache.block[e, b].ref == 0:
                unlink(cache, e, b)
        else:
            if cache.block[e, b].tier > 0:
                unlink(cache, e, b)
                k_old = cache.block[e, b].tier
                cache.tiers[e, k_old].count -= 1
            cache.block[e, b].tier = 0
            cache.tiers[e, 0].count += 1
        cache.block[e, b].ref += 1
    q[i].refs = max(q[i].refs, full)


@compiled
def release(s: Setup, q: Any, state: State, cache: Cache, i: int) -> None:
    """Give back all blocks of a request; its prefix stays as long as nobody needs the room."""
    e = q[i].engine
    state.engine[e].free += q[i].held
    q[i].held = 0
    for k in range(q[i].refs - 1, -1, -1):  # the tail of a prefix gives way before its head
        b = cache.ids[q[i].hash_start + k]
        cache.block[e, b].ref -= 1
        if cache.block[e, b].ref == 0:
            append(cache, e, 0, b)
    q[i].refs = 0


@compiled
def fetch(s: Setup, state: State, cache: Cache, e: int, b: int, now: float) -> float:
    """Bring a block from its tier into KV memory; when it is there. There must be room."""
    tier = cache.block[e, b].tier
    unlink(cache, e, b)
    cache.tiers[e, tier].count -= 1
    cache.block[e, b].tier = IN_TRANSIT
    make_room(s, state, cache, e, s.hash_blocks)
    state.engine[e].free -= s.hash_blocks
    cache.block[e, b].tier = 0
    cache.tiers[e, 0].count += 1
    cache.tiers[e, tier].link = max(cache.tiers[e, tier].link, now) + cache.kind[tier].seconds
    return float(cache.tiers[e, tier].link + cache.kind[tier].latency)


@compiled
def take_prefix(
    s: Setup, q: Any, state: State, cache: Cache, e: int, i: int, n: int, now: float
) -> None:
    """Use the first n prefix blocks of a request; those of lower tiers are fetched."""
    size = s.hash_blocks * s.block
    q[i].ready = now
    first = q[i].hash_start
    for k in range(n):  # what lies in KV memory is in use before any block has to give way
        b = cache.ids[first + k]
        if q[i].preempted == 0:
            tier = cache.block[e, b].tier
            cache.kind[tier].hits += size
        if cache.block[e, b].tier == 0:
            if cache.block[e, b].ref == 0:
                unlink(cache, e, b)
            cache.block[e, b].ref += 1
    for k in range(n):
        b = cache.ids[first + k]
        if cache.block[e, b].tier > 0:
            q[i].ready = max(q[i].ready, fetch(s, state, cache, e, b, now))
            cache.block[e, b].ref += 1
    q[i].refs = n
    q[i].computed = n * size
    if q[i].preempted == 0:
        q[i].found = n * size
    else:
        state.totals[FOUND_AGAIN] += n * size


# Queue ------------------------------------------------------------------------------------------


@compiled
def line_up(q: Any, state: State, k: int, i: int) -> None:
    """Put a request at the end of a port's list."""
    q[i].after = -1
    if state.port[k].head < 0:
        state.port[k].head = i
    else:
        last = state.port[k].tail
        q[last].after = i
    state.port[k].tail = i


@compiled
def step_out(q: Any, state: State, k: int) -> int:
    """Take the first request of a port's list."""
    i = state.port[k].head
    state.port[k].head = q[i].after
    return int(i)


@compiled
def put(q: Any, state: State, r: int, i: int, front: bool) -> None:
    """Put a request into the queue of a replica."""
    q[i].following = -1
    if state.replica[r].head < 0:
        state.replica[r].head = state.replica[r].tail = i
    elif front:
        q[i].following = state.replica[r].head
        state.replica[r].head = i
    else:
        last = state.replica[r].tail
        q[last].following = i
        state.replica[r].tail = i
    q[i].status = 1
    state.totals[N_WAITING] += 1
    state.totals[PEAK_QUEUE] = max(state.totals[PEAK_QUEUE], state.totals[N_WAITING])


@compiled
def pop(q: Any, state: State, r: int) -> int:
    """Take the first request of a queue."""
    i = state.replica[r].head
    state.replica[r].head = q[i].following
    if state.replica[r].head < 0:
        state.replica[r].tail = -1
    state.totals[N_WAITING] -= 1
    return int(i)


@compiled
def routed(s: Setup, q: Any, state: State, cache: Cache, i: int) -> int:
    """The replica that a request goes to."""
    if s.replicas == 1:
        return 0
    if s.routing == ROUND_ROBIN:
        state.totals[TURN] += 1
        return int(state.totals[TURN] - 1) % s.replicas
    least = 0
    for r in range(1, s.replicas):
        if state.replica[r].load < state.replica[least].load:
            least = r
    if s.routing == LEAST_LOADED:
        return least
    best, most = least, 0
    for r in range(s.replicas):
        if state.replica[r].load > state.replica[least].load + s.imbalance * s.budget:
            continue
        for g in range(s.groups):
            n = matched(s, q, cache, r * s.groups + g, i)
            if n > most or (
                n == most and n > 0 and state.replica[r].load < state.replica[best].load
            ):
                best, most = r, n
    return best


@compiled
def advance(state: State, now: float) -> None:
    """Integrate the number waiting and the number in the system up to `now`."""
    passed = now - state.totals[CLOCK]
    state.totals[WAITING] += passed * state.totals[N_WAITING]
    state.totals[IN_FLIGHT] += passed * state.totals[N_ALIVE]
    state.totals[CLOCK] = now
