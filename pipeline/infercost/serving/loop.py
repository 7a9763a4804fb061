"""The compiled loop: admission, one pass of a replica, and the order of events."""

from __future__ import annotations

from typing import Any

import numpy as np

from infercost.serving.kernel import (
    BUSY,
    CHUNKED,
    CLOCK,
    DECODE_FIRST,
    DECODE_PASSES,
    ENERGY,
    HORIZON,
    ITERATIONS,
    KV_PEAK,
    KV_USE,
    N_ALIVE,
    PREEMPTIONS,
    RECOMPUTED,
    SEQUENCE_STEPS,
    TOKENS_IN,
    TOKENS_OUT,
    VIOLATIONS,
    Cache,
    Setup,
    State,
    Steps,
    advance,
    compiled,
    drawn,
    gap_bin,
    keep_prompt,
    line_up,
    make_room,
    matched,
    place,
    plane,
    pop,
    put,
    release,
    routed,
    take_prefix,
)


@compiled
def blocks_of(s: Setup, tokens: int) -> int:
    """KV blocks for so many tokens."""
    return (tokens + s.block - 1) // s.block


@compiled
def blocks_to(s: Setup, q: Any, i: int, length: int) -> int:
    """KV blocks of a request that is so long: its beams share the prompt, not what they add."""
    return blocks_of(s, q[i].prompt + s.beams * (length - q[i].prompt))


@compiled
def choose_engine(s: Setup, q: Any, state: State, cache: Cache, r: int, i: int) -> int:
    """The group of a replica that a request joins: longest prefix, then fewest sequences."""
    best, most, fewest = -1, -1, 0
    for g in range(s.groups):
        e = r * s.groups + g
        if state.engine[e].n_running >= s.max_sequences:
            continue
        n = matched(s, q, cache, e, i)
        if best < 0 or n > most or (n == most and state.engine[e].n_running < fewest):
            best, most, fewest = e, n, state.engine[e].n_running
    return best


@compiled
def admitted(s: Setup, q: Any, state: State, cache: Cache, e: int, i: int, now: float) -> bool:
    """Give a request its blocks on an engine, if there is room."""
    n = matched(s, q, cache, e, i)
    fetched, unused = 0, 0
    for k in range(n):
        b = cache.ids[q[i].hash_start + k]
        fetched += cache.block[e, b].tier > 0
        unused += cache.block[e, b].tier == 0 and cache.block[e, b].ref == 0
    mine = blocks_to(s, q, i, q[i].need + 1) - n * s.hash_blocks
    can_give = (cache.engine[e].loose - unused) * s.hash_blocks
    if state.engine[e].free + can_give < mine + fetched * s.hash_blocks:
        return False
    q[i].computed, q[i].ready = 0, now
    if n > 0:
        take_prefix(s, q, state, cache, e, i, n, now)
    make_room(s, state, cache, e, mine)
    state.engine[e].free -= mine
    q[i].held = mine
    q[i].engine = e
    return True


@compiled
def admit(s: Setup, q: Any, state: State, cache: Cache, r: int, now: float) -> Any:
    """Start the first request of a queue; the engine that it runs on, or -1 without room."""
    i = state.replica[r].head
    e = choose_engine(s, q, state, cache, r, i)
    if e < 0 or not admitted(s, q, state, cache, e, i, now):
        return -1
    pop(q, state, r)
    q[i].status = 2
    if q[i].started < 0:
        q[i].started = now
    if q[i].loaded:
        send(s, q, state, i, now)
    state.running[e, state.engine[e].n_running] = i
    state.engine[e].n_running += 1
    return e


@compiled
def send(s: Setup, q: Any, state: State, i: int, now: float) -> None:
    """Let the replica that made a cache send it, one after the other."""
    k = q[i].origin
    q[i].computed = q[i].need
    state.port[k].free = max(state.port[k].free, now) + q[i].prompt * s.transfer
    q[i].sent = q[i].ready = state.port[k].free + s.latency
    line_up(q, state, k, i)


@compiled
def preempt(s: Setup, q: Any, state: State, cache: Cache, r: int, e: int) -> None:
    """Send the youngest sequence of an engine back to the queue; its cache is computed anew."""
    state.engine[e].n_running -= 1
    i = state.running[e, state.engine[e].n_running]
    release(s, q, state, cache, i)
    q[i].need = q[i].prompt + q[i].done
    q[i].computed, q[i].chunk = 0, 0
    q[i].preempted += 1
    q[i].loaded = False
    state.totals[PREEMPTIONS] += 1
    put(q, state, r, i, True)


@compiled
def grow(s: Setup, q: Any, state: State, cache: Cache, r: int, e: int) -> None:
    """Room for the next tokens of every decoding sequence; the youngest give way, oldest first."""
    j = 0
    while j < state.engine[e].n_running:
        i = state.running[e, j]
        if q[i].computed >= q[i].need:
            most = min(q[i].prompt + q[i].done + s.drafted + 1, q[i].prompt + q[i].output)
            wanted = blocks_to(s, q, i, most) - q[i].refs * s.hash_blocks - q[i].held
            if wanted > 0:
                while not make_room(s, state, cache, e, wanted):
                    preempt(s, q, state, cache, r, e)
                    if j >= state.engine[e].n_running:
                        return
                state.engine[e].free -= wanted
                q[i].held += wanted
        j += 1


@compiled
def has_room(s: Setup, left: Any, prompts: Any) -> bool:
    """Whether some group's pass takes more tokens."""
    for g in range(s.groups):
        if left[g] > 0 and (s.max_prefills == 0 or prompts[g] < s.max_prefills):
            return True
    return False


@compiled
def plan_running(
    s: Setup, q: Any, state: State, e: int, g: int, now: float, left: Any, prompts: Any
) -> int:
    """Choose what the next pass does for the sequences of an engine; how many of them decode."""
    left[g], prompts[g] = s.budget, 0
    n = 0
    for j in range(state.engine[e].n_running):
        i = state.running[e, j]
        q[i].chunk = next_chunk(q, i, now)
        n -= q[i].chunk
    if s.policy == CHUNKED:
        left[g] = max(left[g] - n * s.beams * (s.drafted + 1), 0)
    for j in range(state.engine[e].n_running):
        i = state.running[e, j]
        if q[i].chunk == 0:
            prefill(s, q, i, g, now, left, prompts)
    return n


@compiled
def next_chunk(q: Any, i: int, now: float) -> int:
    """-1 for a sequence that decodes next: its cache is whole, and here."""
    return -1 if q[i].computed >= q[i].need and q[i].ready <= now else 0


@compiled
def prefill(s: Setup, q: Any, i: int, g: int, now: float, left: Any, prompts: Any) -> None:
    """Give a prompt what the pass of its group has left, if its found blocks are there."""
    full = s.max_prefills > 0 and prompts[g] >= s.max_prefills
    if q[i].computed < q[i].need and q[i].ready <= now and left[g] > 0 and not full:
        q[i].chunk = min(q[i].need - q[i].computed, left[g])
        left[g] -= q[i].chunk
        prompts[g] += 1


@compiled
def plan_replica(
    s: Setup, q: Any, state: State, cache: Cache, r: int, now: float, left: Any, prompts: Any
) -> None:
    """Choose what the next pass of a replica does: `chunk` of every sequence, -1 for a decode."""
    decoding = 0
    for g in range(s.groups):
        e = r * s.groups + g
        grow(s, q, state, cache, r, e)
        decoding += plan_running(s, q, state, e, g, now, left, prompts)
    waits = s.policy == DECODE_FIRST and decoding > 0
    while state.replica[r].head >= 0 and not waits and has_room(s, left, prompts):
        e = admit(s, q, state, cache, r, now)
        if e < 0:
            break
        g = e - r * s.groups
        i = state.running[e, state.engine[e].n_running - 1]
        q[i].chunk = next_chunk(q, i, now)
        if q[i].chunk == 0:
            prefill(s, q, i, g, now, left, prompts)
        elif s.policy == CHUNKED:
            left[g] = max(left[g] - s.beams * (s.drafted + 1), 0)
    if s.policy != CHUNKED and prompts.sum() > 0:
        pause_decodes(s, q, state, r)


@compiled
def pause_decodes(s: Setup, q: Any, state: State, r: int) -> None:
    """Let no sequence decode in this pass."""
    for g in range(s.groups):
        e = r * s.groups + g
        for j in range(state.engine[e].n_running):
            i = state.running[e, j]
            q[i].chunk = max(q[i].chunk, 0)


@compiled
def pass_of(s: Setup, q: Any, state: State, steps: Steps, e: int) -> Any:
    """Time and energy of one pass of an engine, and whether anybody decodes in it."""
    n, m, context = 0, 0, 0.0
    time, energy = 0.0, 0.0
    for j in range(state.engine[e].n_running):
        i = state.running[e, j]
        if q[i].chunk < 0:
            n += 1
            context += q[i].prompt + q[i].done
        elif q[i].chunk > 0:
            m += q[i].chunk
            a, x = place(steps.m, q[i].chunk)
            b, y = place(steps.h, q[i].computed)
            time += plane(steps.prefill_attention[0], a, x, b, y)
            energy += plane(steps.prefill_attention[1], a, x, b, y)
    if n == 0 and m == 0:
        return 0.0, 0.0, False
    if n == 0:
        a, x = place(steps.m, m)
        time += steps.prefill[0, a] * (1 - x) + steps.prefill[0, a + 1] * x
        energy += steps.prefill[1, a] * (1 - x) + steps.prefill[1, a + 1] * x
        return time, energy, False
    a, x = place(steps.n, n)
    b, y = place(steps.c, context / n)
    if m == 0:
        time = plane(steps.decode[0], a, x, b, y)
        return time, plane(steps.decode[1], a, x, b, y), True
    c, z = place(steps.m, m)
    time += plane(steps.decode_attention[0], a, x, b, y) + plane(steps.mixed[0], a, x, c, z)
    energy += plane(steps.decode_attention[1], a, x, b, y) + plane(steps.mixed[1], a, x, c, z)
    return time, energy, True


@compiled
def begin(
    s: Setup, q: Any, state: State, cache: Cache, steps: Steps, r: int, now: float, room: Any
) -> None:
    """Start the next pass of a replica, or let it rest."""
    plan_replica(s, q, state, cache, r, now, room[0], room[1])
    time, energy, decodes = 0.0, 0.0, False
    for g in range(s.groups):
        one, joules, decoding = pass_of(s, q, state, steps, r * s.groups + g)
        time, energy, decodes = max(time, one), energy + joules, decodes or decoding
    if time > 0:
        share = 1.0 / s.stages if not decodes else 1.0
        state.replica[r].clock = now + time * share
        state.replica[r].busy = time * (1.0 - share)
        state.replica[r].idle = 0
        totals = state.totals
        totals[ITERATIONS] += 1
        totals[DECODE_PASSES] += decodes
        totals[BUSY] += time * share
        totals[ENERGY] += energy
        for g in range(s.groups):
            used = 1.0 - state.engine[r * s.groups + g].free / s.n_blocks
            totals[KV_USE] += used * time * share / s.groups
            totals[KV_PEAK] = max(totals[KV_PEAK], used)
        return
    earliest = np.inf  # nobody can run: wait for blocks on their way, if any are
    for g in range(s.groups):
        e = r * s.groups + g
        for j in range(state.engine[e].n_running):
            i = state.running[e, j]
            earliest = min(earliest, q[i].ready)
    state.replica[r].clock, state.replica[r].busy = earliest, 0.0
    state.replica[r].idle = 1


@compiled
def make_tokens(s: Setup, q: Any, state: State, i: int, tokens: int, now: float) -> None:
    """Hand tokens of one pass to a request."""
    if q[i].done == 0:
        q[i].first = now
    else:
        state.gaps[gap_bin(now - q[i].last)] += 1
        state.gaps[0] += tokens - 1
    q[i].last = now
    q[i].done += tokens
    state.totals[TOKENS_OUT] += tokens


@compiled
def end(s: Setup, q: Any, state: State, cache: Cache, r: int, now: float) -> None:
    """Hand out what the pass of a replica made; requests that are complete leave."""
    seen = now + state.replica[r].busy  # results of a pipeline come after its first stage is free
    for g in range(s.groups):
        e = r * s.groups + g
        kept = 0
        for j in range(state.engine[e].n_running):
            i = state.running[e, j]
            if q[i].chunk < 0:
                tokens = 1
                while tokens <= s.drafted and drawn(s.seed, i, q[i].done + tokens) < s.acceptance:
                    tokens += 1
                tokens = min(tokens, q[i].output - q[i].done)
                make_tokens(s, q, state, i, tokens, seen)
                state.replica[r].load -= tokens
                state.totals[SEQUENCE_STEPS] += 1
            elif q[i].chunk > 0:
                q[i].computed += q[i].chunk
                state.totals[TOKENS_IN] += q[i].chunk
                if q[i].preempted > 0:
                    state.totals[RECOMPUTED] += q[i].chunk
                if q[i].computed >= q[i].need:
                    keep_prompt(s, q, state, cache, e, i)
                    if q[i].done == 0:
                        state.replica[r].load -= q[i].prompt
                    make_tokens(s, q, state, i, 1, seen)
                    state.replica[r].load -= 1
            q[i].chunk = 0
            if q[i].done >= q[i].output:
                q[i].status = 3
                state.totals[N_ALIVE] -= 1
                if q[i].parks:
                    state.engine[e].parked += q[i].held
                    line_up(q, state, r, i)
                else:
                    release(s, q, state, cache, i)
            else:
                state.running[e, kept] = i
                kept += 1
        state.engine[e].n_running = kept


@compiled
def check_blocks(s: Setup, q: Any, state: State, cache: Cache) -> None:
    """Count engines whose blocks do not add up: free, held and cached must be all there are."""
    for e in range(s.replicas * s.groups):
        held = state.engine[e].free + state.engine[e].parked
        if s.hash_blocks > 0:
            held += cache.tiers[e, 0].count * s.hash_blocks
        for j in range(state.engine[e].n_running):
            i = state.running[e, j]
            held += q[i].held
            if q[i].held < 0:
                state.totals[VIOLATIONS] += 1
        if held != s.n_blocks or state.engine[e].free < 0:
            state.totals[VIOLATIONS] += 1


@compiled
def enter(s: Setup, q: Any, state: State, cache: Cache, i: int) -> int:
    """A request arrives: the replica that gets it, or -1 where it is longer than memory."""
    q[i].need = q[i].prompt
    if blocks_to(s, q, i, q[i].prompt + q[i].output + 1) > s.n_blocks:
        q[i].status = 4
        return -1
    if q[i].loaded:
        q[i].done = 1
        q[i].first = q[i].last = q[i].arrival
    r = routed(s, q, state, cache, i)
    state.replica[r].load += q[i].output - q[i].done + (0 if q[i].loaded else q[i].prompt)
    state.totals[N_ALIVE] += 1
    put(q, state, r, i, False)
    return int(r)


@compiled
def run(s: Setup, q: Any, state: State, cache: Cache, steps: Steps, checked: bool) -> None:
    """Replay all requests: arrivals and ends of passes in order of time, arrivals first."""
    room = np.zeros((2, s.groups), dtype=np.int64)
    coming, total = 0, q.size
    while True:
        r = 0
        for other in range(1, s.replicas):
            if state.replica[other].clock < state.replica[r].clock:
                r = other
        if coming < total and q[coming].arrival <= state.replica[r].clock:
            now = q[coming].arrival
            advance(state, now)
            mine = enter(s, q, state, cache, coming)
            coming += 1
            if mine >= 0 and state.replica[mine].idle:
                state.replica[mine].clock = now  # requests of one instant start together
            continue
        if np.isinf(state.replica[r].clock):
            break
        now = state.replica[r].clock
        advance(state, now)
        end(s, q, state, cache, r, now)
        begin(s, q, state, cache, steps, r, now, room)
        if checked:
            check_blocks(s, q, state, cache)
    state.totals[HORIZON] = state.totals[CLOCK]
    check_blocks(s, q, state, cache)
