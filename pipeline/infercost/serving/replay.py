"""Replay: requests through pools of replicas, pass after pass, at the cost model's step times."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from infercost.arrays import FloatArray
from infercost.errors import SpecError
from infercost.serving.requests import Arrivals, IntArray
from infercost.serving.tables import StepTables
from infercost.specs.serving import Serving

POLICIES = ("chunked", "prefill-first", "decode-first")
ROUTINGS = ("round-robin", "least-loaded", "prefix-aware")


@dataclass(frozen=True)
class Pool:
    """Replicas of one design, and how they serve."""

    tables: StepTables
    serving: Serving
    replicas: int
    groups: int
    """Data-parallel groups of a replica that step together (dp x pp of the plan)."""
    n_blocks: int
    """KV blocks of a group."""
    token_bytes: float
    """Cache of one token over all devices of a group."""
    stages: int = 1
    """Prefill passes in flight at once, of a pool that prefills alone: stages of a pipeline."""


@dataclass(frozen=True)
class Outcome:
    """What became of each request, and sums over the pool. Times are instants in s."""

    arrival: FloatArray
    prompt: IntArray
    output: IntArray
    started: FloatArray
    """The request left the queue."""
    first: FloatArray
    """Its first output token was there."""
    last: FloatArray
    """Its last output token was there."""
    done: IntArray
    """Output tokens made."""
    found: IntArray
    """Prompt tokens found in a cache."""
    preempted: IntArray
    finished: np.ndarray
    rejected: np.ndarray
    """Longer than the KV memory of a group."""
    gaps: FloatArray
    """Histogram of gaps between output tokens."""
    hits: FloatArray
    """Prompt tokens found per tier, KV memory first."""
    totals: dict[str, float]


def replay(pool: Pool, requests: Arrivals, seed: int = 0, checked: bool = False) -> Outcome:
    """Replay requests on one pool. `checked` verifies the account of blocks after every pass."""
    return _replay(pool, requests, None, requests.output, seed, checked)


def _replay(
    pool: Pool,
    requests: Arrivals,
    loaded: np.ndarray | None,
    output: IntArray,
    seed: int,
    checked: bool,
) -> Outcome:
    from infercost.serving import kernel, loop

    serving, size = pool.serving, requests.size
    engines = pool.replicas * pool.groups
    hashed = serving.prefix_cache and requests.block_tokens > 0
    if hashed and requests.block_tokens % serving.kv_block:
        fault = f"{serving.kv_block} does not divide the trace's blocks of {requests.block_tokens}"
        raise SpecError(f"serving '{serving.name}'", "kv_block", fault)
    hash_blocks = requests.block_tokens // serving.kv_block if hashed else 0
    setup = kernel.Setup(
        pool.replicas, pool.groups, POLICIES.index(serving.policy), serving.token_budget,
        serving.max_sequences, serving.max_prefills, serving.kv_block, pool.n_blocks,
        ROUTINGS.index(serving.routing), serving.imbalance, serving.speculation.drafted,
        serving.speculation.acceptance, seed, pool.stages, hash_blocks,
    )  # fmt: skip

    q = np.zeros(size, kernel.REQUEST).view(np.recarray)
    q["arrival"], q["prompt"], q["output"] = requests.arrival, requests.prompt, output
    q["hash_start"], q["n_hashes"] = requests.starts[:-1], np.diff(requests.starts)
    q["started"] = q["first"] = q["last"] = -1.0
    q["engine"] = q["following"] = -1
    q["loaded"] = 0 if loaded is None else loaded
    cache = _cache(pool, requests, hashed, engines)
    state = kernel.State(
        running=np.full((engines, serving.max_sequences), -1, np.int64),
        engine=cache.engine,
        replica=np.zeros(pool.replicas, kernel.REPLICA).view(np.recarray),
        gaps=np.zeros(kernel.N_BINS),
        totals=np.zeros(kernel.N_TOTALS),
    )
    state.engine["free"] = pool.n_blocks
    state.replica["head"] = state.replica["tail"] = -1
    state.replica["clock"] = np.inf
    t = pool.tables
    steps = kernel.Steps(
        t.n, t.c, t.m, t.h, t.decode, t.decode_attention, t.prefill, t.prefill_attention, t.mixed
    )
    loop.run(setup, q, state, cache, steps, checked)
    totals = {name: float(state.totals[position]) for name, position in _TOTALS.items()}
    totals["kv_blocks_left"] = float(
        state.engine["free"].sum() + cache.tiers["count"][:, 0].sum() * hash_blocks
    )
    totals["kv_blocks"] = float(engines * pool.n_blocks)
    totals["evicted_blocks"] = float(cache.evicted[0])
    return Outcome(
        requests.arrival, requests.prompt, requests.output, q["started"], q["first"],
        q["last"], q["done"], q["found"], q["preempted"], q["status"] == 3, q["status"] == 4,
        state.gaps, cache.kind["hits"].astype(np.float64), totals,
    )  # fmt: skip


def _cache(pool: Pool, requests: Arrivals, hashed: bool, engines: int) -> Any:
    """An empty prefix cache for every engine."""
    from infercost.serving import kernel

    stores = pool.serving.prefix_tiers if hashed else []
    ids = int(requests.blocks.max()) + 1 if hashed else 0
    size = requests.block_tokens * pool.token_bytes
    kind = np.zeros(1 + len(stores), kernel.KIND).view(np.recarray)
    for k, store in enumerate(stores, 1):
        kind[k]["room"] = int(store.capacity / pool.groups / size)
        kind[k]["seconds"], kind[k]["latency"] = size / store.bandwidth, store.latency
    block = np.zeros((engines, ids), kernel.BLOCK).view(np.recarray)
    block["tier"] = block["before"] = block["after"] = -1
    tiers = np.zeros((engines, kind.size), kernel.TIER).view(np.recarray)
    tiers["oldest"] = tiers["newest"] = -1
    engine = np.zeros(engines, kernel.ENGINE).view(np.recarray)
    return kernel.Cache(block, tiers, kind, engine, requests.blocks, np.zeros(1, np.int64))


_TOTALS = {
    "passes": 0,
    "busy_s": 1,
    "energy_j": 2,
    "prompt_tokens_computed": 3,
    "output_tokens": 4,
    "preemptions": 5,
    "waiting_request_s": 6,
    "in_system_request_s": 7,
    "violations": 8,
    "horizon_s": 9,
    "sequence_steps": 10,
    "recomputed_tokens": 11,
    "peak_queue": 12,
    "decode_passes": 17,
}
"""Positions of the kernel's sums (`infercost.serving.kernel`)."""


@dataclass(frozen=True)
class HandOver:
    """How caches get from prefill replicas to decode replicas."""

    bandwidth: float
    latency: float


def replay_pools(
    prefill: Pool, decode: Pool, over: HandOver, requests: Arrivals, seed: int = 0
) -> tuple[Outcome, Outcome, FloatArray]:
    """Replay on a pool that prefills and one that decodes; and the time of each hand-over.

    The first token is made by the prefill pool, the others by the decode pool, which gets a request
    once its cache is there. Each prefill replica hands over one cache after the other. The decode
    pool never holds the other back.
    """
    one = np.ones(requests.size, dtype=np.int64)
    made = _replay(prefill, requests, None, one, seed, False)
    ready = made.finished & (requests.output > 1)
    index = np.flatnonzero(ready)
    index = index[np.argsort(made.first[index], kind="stable")]
    size = requests.prompt[index].astype(np.float64) * prefill.token_bytes
    # Replicas share the rate: one queue at their bandwidth together, in order of completion.
    each: FloatArray = size / (over.bandwidth * prefill.replicas)
    done = _served_in_order(made.first[index], each) + size / over.bandwidth - each + over.latency
    order = np.argsort(done, kind="stable")
    index, done = index[order], done[order]
    counts = np.diff(requests.starts)[index]
    blocks = (
        np.concatenate([_blocks(requests, i) for i in index.tolist()])
        if requests.blocks.size
        else None
    )
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    handed = Arrivals(
        requests.name, done, requests.prompt[index], requests.output[index],
        requests.blocks[:0] if blocks is None else blocks, starts,
        requests.block_tokens if blocks is not None else 0,
    )  # fmt: skip
    if not index.size:
        raise SpecError(requests.name, "", "no request reaches the decode pool", "See rejections")
    later = _replay(decode, handed, np.ones(index.size, np.bool_), handed.output, seed, False)
    return made, _joined(requests, made, later, index), done - made.first[index]


def _blocks(requests: Arrivals, i: int) -> IntArray:
    return requests.blocks[requests.starts[i] : requests.starts[i + 1]]


def _served_in_order(ready: FloatArray, each: FloatArray) -> FloatArray:
    """End of each job of one server in order: Lindley's recursion as a running maximum."""
    total = np.cumsum(each)
    ends: FloatArray = total + np.maximum.accumulate(ready - (total - each))
    return ends


def _joined(requests: Arrivals, made: Outcome, later: Outcome, index: IntArray) -> Outcome:
    """One outcome per request of both pools; sums are those of the decode pool."""
    last, done = made.last.copy(), made.done.copy()
    finished, rejected = made.finished & (requests.output == 1), made.rejected.copy()
    preempted = made.preempted.copy()
    last[index], done[index], finished[index] = later.last, later.done, later.finished
    rejected[index] |= later.rejected
    preempted[index] += later.preempted
    return Outcome(
        requests.arrival, requests.prompt, requests.output, made.started, made.first, last, done,
        made.found, preempted, finished, rejected, later.gaps, made.hits, later.totals,
    )  # fmt: skip
