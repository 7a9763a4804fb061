"""The compiled loop of two pools: prompts on one, outputs on the other, caches handed over.

A finished prompt waits in the memory of its prefill replica until the decode pool has room for it;
then it is sent, one after the other on the replica's link, and frees its blocks once it is there. A
decode pool that is full thus holds back prefill, as soon as prompts that wait have filled memory.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from infercost.serving.kernel import (
    CLOCK,
    HORIZON,
    Cache,
    Setup,
    State,
    Steps,
    advance,
    compiled,
    release,
    step_out,
)
from infercost.serving.loop import begin, check_blocks, end, enter


@compiled
def first_of(state: State) -> int:
    """The replica whose clock comes first."""
    r = 0
    for other in range(1, state.replica.size):
        if state.replica[other].clock < state.replica[r].clock:
            r = other
    return r


@compiled
def first_in_line(state: State, instant: Any) -> Any:
    """The prefill replica whose head of line has the earliest instant, of each request, and it."""
    best, when = 0, np.inf
    for k in range(state.port.size):
        i = state.port[k].head
        if i >= 0 and instant[i] < when:
            best, when = k, instant[i]
    return best, when


@compiled
def let_go(s: Setup, q: Any, state: State, cache: Cache, i: int) -> None:
    """Free the blocks of a prompt that was handed over."""
    state.engine[q[i].engine].parked -= q[i].held
    release(s, q, state, cache, i)


@compiled
def wake(state: State, r: int, now: float) -> None:
    """Let a replica that rests look for work."""
    if state.replica[r].idle:
        state.replica[r].clock = now


@compiled
def arrive(s: Setup, q: Any, state: State, cache: Cache, i: int) -> None:
    """A request arrives at a pool, and wakes the replica that gets it."""
    now = q[i].arrival
    advance(state, now)
    r = enter(s, q, state, cache, i)
    if r >= 0:
        wake(state, r, now)


@compiled
def turn(
    s: Setup, q: Any, state: State, cache: Cache, steps: Steps, r: int, room: Any, checked: bool
) -> None:
    """End a replica's pass and begin its next."""
    now = state.replica[r].clock
    advance(state, now)
    end(s, q, state, cache, r, now)
    begin(s, q, state, cache, steps, r, now, room)
    if checked:
        check_blocks(s, q, state, cache)


@compiled
def run_pools(
    s: Setup, q: Any, state: State, cache: Cache, steps: Steps,
    s2: Setup, q2: Any, state2: State, cache2: Cache, steps2: Steps, checked: bool,
) -> None:  # fmt: skip
    """Replay all requests on a pool that prefills and one that decodes (names with 2).

    Events in order of time; of one instant caches free their blocks first, then requests arrive,
    prompts are offered, and passes end.
    """
    room = np.zeros((2, s.groups), dtype=np.int64)
    room2 = np.zeros((2, s2.groups), dtype=np.int64)
    coming, total = 0, q.size
    while True:
        r, r2 = first_of(state), first_of(state2)
        made, offered = first_in_line(state, q.first)
        sender, sent = first_in_line(state2, q2.sent)
        arrival = q[coming].arrival if coming < total else np.inf
        passes = min(state.replica[r].clock, state2.replica[r2].clock)
        if sent <= min(arrival, offered, passes) and sent < np.inf:
            let_go(s, q, state, cache, step_out(q2, state2, sender))
            wake(state, sender, max(sent, state.totals[CLOCK]))
        elif arrival <= min(offered, passes) and arrival < np.inf:
            arrive(s, q, state, cache, coming)
            coming += 1
        elif offered <= passes and offered < np.inf:
            i = step_out(q, state, made)
            # In a pipeline a short prompt is not there before the long one ahead of it.
            q2[i].arrival = max(offered, state2.totals[CLOCK])
            q2[i].origin = made
            arrive(s2, q2, state2, cache2, i)
            if q2[i].status == 4:  # longer than the memory of a decode replica
                let_go(s, q, state, cache, i)
                wake(state, made, max(offered, state.totals[CLOCK]))
        elif passes == np.inf:
            break
        elif state.replica[r].clock <= state2.replica[r2].clock:
            turn(s, q, state, cache, steps, r, room, checked)
        else:
            turn(s2, q2, state2, cache2, steps2, r2, room2, checked)
    state.totals[HORIZON], state2.totals[HORIZON] = state.totals[CLOCK], state2.totals[CLOCK]
    check_blocks(s, q, state, cache)
    check_blocks(s2, q2, state2, cache2)
