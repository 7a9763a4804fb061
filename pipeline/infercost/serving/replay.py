"""Replay: requests through pools of replicas, pass after pass, at the cost model's step times."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

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
    from infercost.serving import loop

    ready = _ready(pool, requests, seed)
    loop.run(*ready, checked)
    return _outcome(pool, requests, ready)


class _Ready(NamedTuple):
    """What the compiled loop takes: a pool at rest, and requests that have not arrived."""

    setup: Any
    q: Any
    state: Any
    cache: Any
    steps: Any


def _ready(
    pool: Pool, requests: Arrivals, seed: int, over: HandOver | None = None, senders: int = 0
) -> _Ready:
    """A pool before anything arrives; `over` and the replicas that send, where it decodes alone."""
    from infercost.serving import kernel

    serving, engines = pool.serving, pool.replicas * pool.groups
    hash_blocks = _hash_blocks(serving, requests)
    transfer = 0.0 if over is None else pool.token_bytes / over.bandwidth
    setup = kernel.Setup(
        pool.replicas, pool.groups, POLICIES.index(serving.policy), serving.token_budget,
        serving.max_sequences, serving.max_prefills, serving.kv_block, pool.n_blocks,
        ROUTINGS.index(serving.routing), serving.imbalance, serving.speculation.drafted,
        serving.speculation.acceptance, seed, serving.beams, pool.stages, hash_blocks, transfer,
        0.0 if over is None else over.latency,
    )  # fmt: skip
    cache = _cache(pool, requests, hash_blocks > 0, engines)
    state = kernel.State(
        running=np.full((engines, serving.max_sequences), -1, np.int64),
        engine=cache.engine,
        replica=np.zeros(pool.replicas, kernel.REPLICA).view(np.recarray),
        port=np.zeros(senders or pool.replicas, kernel.PORT).view(np.recarray),
        gaps=np.zeros(kernel.N_BINS),
        totals=np.zeros(kernel.N_TOTALS),
    )
    state.engine["free"] = pool.n_blocks
    state.replica["head"] = state.replica["tail"] = -1
    state.port["head"] = state.port["tail"] = -1
    state.replica["clock"], state.replica["idle"] = np.inf, 1
    t = pool.tables
    steps = kernel.Steps(
        t.n, t.c, t.m, t.h, t.decode, t.decode_attention, t.prefill, t.prefill_attention, t.mixed
    )
    return _Ready(setup, _asked(requests), state, cache, steps)


def _hash_blocks(serving: Serving, requests: Arrivals) -> int:
    """KV blocks of a prefix block; 0 where prefixes are not known or not kept."""
    if not serving.prefix_cache or requests.block_tokens == 0:
        return 0
    if requests.block_tokens % serving.kv_block:
        fault = f"{serving.kv_block} does not divide the trace's blocks of {requests.block_tokens}"
        raise SpecError(f"serving '{serving.name}'", "kv_block", fault)
    return requests.block_tokens // serving.kv_block


def _asked(requests: Arrivals) -> Any:
    """Requests before they arrive."""
    from infercost.serving import kernel

    q = np.zeros(requests.size, kernel.REQUEST).view(np.recarray)
    q["arrival"], q["prompt"], q["output"] = requests.arrival, requests.prompt, requests.output
    q["hash_start"], q["n_hashes"] = requests.starts[:-1], np.diff(requests.starts)
    q["started"] = q["first"] = q["last"] = q["sent"] = -1.0
    q["engine"] = q["following"] = q["after"] = q["origin"] = -1
    return q


def _outcome(pool: Pool, requests: Arrivals, ready: _Ready) -> Outcome:
    """What the loop left behind."""
    q, state, cache, setup = ready.q, ready.state, ready.cache, ready.setup
    totals = {name: float(state.totals[position]) for name, position in _TOTALS.items()}
    totals["kv_blocks_left"] = float(
        state.engine["free"].sum() + cache.tiers["count"][:, 0].sum() * setup.hash_blocks
    )
    totals["kv_blocks"] = float(state.engine.size * pool.n_blocks)
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
    ids = int(requests.blocks.max(initial=-1)) + 1 if hashed else 0
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
    "kv_use_s": 18,
    "kv_peak": 19,
    "found_again_tokens": 20,
}
"""Positions of the kernel's sums (`infercost.serving.kernel`)."""


@dataclass(frozen=True)
class HandOver:
    """How caches get from prefill replicas to decode replicas."""

    bandwidth: float
    latency: float


def replay_pools(
    prefill: Pool,
    decode: Pool,
    over: HandOver,
    requests: Arrivals,
    seed: int = 0,
    checked: bool = False,
) -> tuple[Outcome, Outcome, FloatArray]:
    """Replay on a pool that prefills and one that decodes; and the time of each hand-over.

    The first token is made by the prefill pool, the others by the decode pool. A finished prompt
    waits in the prefill replica's memory until the decode pool has blocks and a sequence for it;
    then its cache is sent, one after the other per prefill replica. The hand-over counts from the
    first token to the arrival of the cache, waiting included; NaN where there was none.
    """
    from infercost.serving import pools

    first = replace(requests, output=np.ones(requests.size, dtype=np.int64))
    one = _ready(prefill, first, seed)
    one.q["parks"] = requests.output > 1
    two = _ready(decode, requests, seed, over, prefill.replicas)
    two.q["loaded"] = 1
    pools.run_pools(*one, *two, checked)
    made, later = _outcome(prefill, first, one), _outcome(decode, requests, two)
    handed = np.where(two.q["sent"] >= 0, two.q["sent"] - made.first, np.nan)
    return made, _joined(requests, made, later), handed


def _joined(requests: Arrivals, made: Outcome, later: Outcome) -> Outcome:
    """One outcome per request of both pools; sums are those of the decode pool."""
    more = made.finished & (requests.output > 1)
    return replace(
        later,
        started=made.started,
        first=made.first,
        last=np.where(more & later.finished, later.last, made.last),
        done=np.where(more, np.maximum(later.done, made.done), made.done),
        found=made.found,
        preempted=made.preempted + later.preempted,
        finished=made.finished & (later.finished | ~more),
        rejected=made.rejected | later.rejected,
        hits=made.hits,
    )
