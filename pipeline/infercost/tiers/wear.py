"""What is written to the memory tiers of a device, how long cells bear it, and the pace they set.

A tier that must live for a stated time bears writes at a mean rate, as disks are rated in writes a
day. Where a plan leaves open on which tiers caches and activations lie, maps are mixed so that
cells bear what is written (`tier_map`); a token of a mix takes max(t, w), t its time at full rate
and w the time that its writes ask for, of which t is hardly less. Where no map lasts, or the one
that a plan states does not, a point is infeasible by `endurance`. Pools that prefill and decode
apart wear apart; that of decode writes the prompts' caches too, where its own map has them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from infercost.arrays import BoolArray, Bytes, Ratio, Seconds, as_array
from infercost.equations import endurance, serving
from infercost.placement import ROUNDING
from infercost.specs.case import Case
from infercost.specs.plan import TensorClass
from infercost.terms import Terms

if TYPE_CHECKING:
    from infercost.cost import Evaluation
    from infercost.passes.forward import PassCost
    from infercost.tiers.placed import Placed

WRITTEN: tuple[TensorClass, ...] = ("activations", "kv")
"""What wears cells, in the order in which it is kept from them: the most often written first."""


def wears(case: Case) -> bool:
    """Whether a device has memory that wears out."""
    return any(memory.endurance is not None for memory in case.hardware.memory.values())


def is_paced(case: Case) -> bool:
    """Whether maps are mixed so that cells last: some wear out, what is written lies anywhere."""
    return wears(case) and not any(name in case.plan.placement.order for name in WRITTEN)


def own_prefill_seconds(point: Evaluation) -> Seconds:
    """Device-seconds of prefill per output token on these devices: a pool may take a share."""
    if np.all(as_array(point.lengths.prefills_per_step) == 0):
        return 0.0
    pool = point.case.mechanisms.pool
    return point.prefill_device_time.total * (1.0 - (0.0 if pool is None else pool.share))


def device_seconds(point: Evaluation, step: PassCost) -> Seconds:
    """Device-seconds per output token of decode steps as they are."""
    tokens = point.case.batch * point.lengths.tokens_per_step
    return step.time.total * (point.devices / tokens * point.provision)


def prefill_seconds(point: Evaluation, prefill: PassCost) -> Seconds:
    """Device-seconds per output token of a prefill's passes as they are, of a pool of its own.

    Leaves out encoders and what a prefill waits for otherwise.
    """
    plan, lengths = point.case.plan, point.lengths
    time = lengths.mean(prefill.time.total * point.prompt_passes)
    share = lengths.prefills_per_step / lengths.tokens_per_step
    occupied = serving.prefill_occupancy(time, plan.prefill_batch, plan.dp, plan.pp)
    return occupied * (point.devices * share * point.provision)


@dataclass(frozen=True)
class Written:
    """What an output token has some devices write, over all of a replica, in their time for it."""

    per_tier: tuple[Bytes, ...]
    seconds: Seconds
    """Device-seconds, without waiting for cells where the time is that of the full rate."""


def written_by_decode(point: Evaluation, step: PassCost) -> Written:
    """What devices write that do both phases, or that get prompts' caches from others."""
    plan, batch, lengths = point.case.plan, point.case.batch, point.lengths
    passes = serving.passes_in_flight(batch, plan.dp, plan.pp)
    steps = plan.tp * passes / batch / lengths.tokens_per_step
    seconds = device_seconds(point, step)
    if plan.phases == "disaggregated":
        written = _received(point)
    else:
        seconds = seconds + own_prefill_seconds(point)
        written = _by_prefill(point, point.prefill)
    prefills = _prefills(point)
    return Written(
        tuple(d.written * steps + w * prefills for d, w in zip(step.tiers, written, strict=True)),
        seconds,
    )


def written_by_prefill(point: Evaluation, prefill: PassCost) -> Written:
    """What devices write that do nothing but prefill."""
    prefills = _prefills(point)
    written = tuple(w * prefills for w in _by_prefill(point, prefill))
    return Written(written, prefill_seconds(point, prefill))


def _prefills(point: Evaluation) -> Ratio:
    """Passes' worth of prefills per output token, over the devices of a stage."""
    plan, lengths = point.case.plan, point.lengths
    return plan.tp / plan.prefill_batch * lengths.prefills_per_step / lengths.tokens_per_step


def _by_prefill(point: Evaluation, prefill: PassCost) -> list[Bytes]:
    """Bytes that a prefill writes to each tier of a device."""
    lengths = point.lengths
    written = [lengths.mean(tier.written * point.prompt_passes) for tier in prefill.tiers]
    for cost in point.encoders:
        written = [w + tier.written for w, tier in zip(written, cost.tiers, strict=True)]
    return written


def _received(point: Evaluation) -> list[Bytes]:
    """Bytes of a prompt's cache that a pool of decode writes to each tier of a device.

    Leaves out caches of drafters and of the local layers of models of bytes.
    """
    assert point.routes is not None
    operators = [o for block in point.prefill_blocks for o in block.operators]
    cached = sum((o.count * o.written.get("kv", 0.0) for o in operators), start=0.0)
    written = point.lengths.mean(cached * point.prompt_passes * np.ones_like(point.lengths.weight))
    return [written * share for share in point.routes.shares["kv"]]


def lives_of_tiers(point: Evaluation) -> tuple[Seconds, ...]:
    """Life of each memory tier under the writes of a device as busy as the economics say."""
    if point.placed is None:
        return (np.inf,)
    pools = [written_by_decode(point, point.decode)]
    if point.case.plan.phases == "disaggregated":
        pools.append(written_by_prefill(point, point.prefill))
    lives: list[Seconds] = []
    for i, tier in enumerate(point.placed.tiers):
        cycles = tier.memory.endurance
        if cycles is None:
            lives.append(np.inf)
            continue
        writes = endurance.lifetime_writes(tier.capacity, cycles, tier.memory.write_amplification)
        each = (_life(point, writes, pool.per_tier[i], pool.seconds) for pool in pools)
        lives.append(reduce(np.minimum, each))
    return tuple(lives)


def _life(point: Evaluation, writes: Bytes, written: Bytes, seconds: Seconds) -> Seconds:
    with np.errstate(divide="ignore", invalid="ignore"):
        rate = written / seconds * point.case.economics.utilisation
        life = endurance.life(writes, rate)
    return np.where(as_array(written) > 0, life, np.inf)


def least_life(case: Case) -> Seconds:
    """How long cells must live: as the plan says, or as they are paid for."""
    stated = case.plan.min_memory_life
    return case.economics.life if stated is None else stated


class Pace(NamedTuple):
    """Device-seconds of an output token at full rate, and those that its writes ask for."""

    busy: Seconds
    needed: Seconds | None
    """None where devices wait for nothing."""

    @property
    def time(self) -> Seconds:
        """What it takes."""
        return self.busy if self.needed is None else np.maximum(self.busy, self.needed)

    @property
    def asked(self) -> Seconds:
        """What writes ask for."""
        return 0.0 if self.needed is None else self.needed

    @property
    def lasts(self) -> BoolArray:
        """Whether cells bear the full rate."""
        return as_array(self.spare >= -ROUNDING * as_array(self.busy))

    @property
    def spare(self) -> Seconds:
        """How much of its time writes do not ask for; less than nothing where devices wait."""
        return self.busy - self.asked


def paces(point: Evaluation) -> tuple[Pace, ...]:
    """The pace of each pool of devices, decode's first; one where both phases share devices."""
    apart = point.case.plan.phases == "disaggregated"
    if not is_paced(point.case):
        decode, prefill = point.decode_device_time.total, own_prefill_seconds(point)
        pools = (decode, prefill) if apart else (decode + prefill,)
        return tuple(Pace(busy, None) for busy in pools)
    pool = _pace(point, written_by_decode(point, point.decode_at_full_rate))
    if not apart:
        return (pool,)
    return pool, _pace(point, written_by_prefill(point, point.prefill_at_full_rate))


def _pace(point: Evaluation, written: Written) -> Pace:
    """What overflows memory waits for nothing: more memory would have as many more cells."""
    assert point.placed is not None
    busy = least_life(point.case) * point.case.economics.utilisation
    needed: Seconds = 0.0
    for tier, bytes_written in zip(point.placed.tiers, written.per_tier, strict=True):
        cycles = tier.memory.endurance
        if cycles is not None:
            amplification = tier.memory.write_amplification
            writes = endurance.lifetime_writes(tier.capacity, cycles, amplification)
            writes = np.where(as_array(tier.capacity) > 0, writes, np.inf)  # nothing lies there
            needed = np.maximum(needed, endurance.least_seconds(bytes_written, writes, busy))
    fits = as_array(point.placed.overflow <= ROUNDING * as_array(point.memory.used))
    return Pace(written.seconds, np.where(fits, needed, 0.0))


def paced(point: Evaluation, step: PassCost) -> PassCost:
    """A decode step that waits for cells, where it may."""
    if point.placed is None or not is_paced(point.case):
        return step
    pace = _pace(point, written_by_decode(point, step))
    wait = np.where(_lasting(point.maps), -pace.spare, 0.0)
    return _waiting(step, wait / device_seconds(point, step))


def paced_prefill(point: Evaluation, prefill: PassCost) -> PassCost:
    """A pass of a prefill that waits for cells, where it may: in a pool of its own.

    Where devices do both phases, decode waits for both.
    """
    apart = point.case.plan.phases == "disaggregated"
    if point.placed is None or not apart or not is_paced(point.case):
        return prefill
    pace = _pace(point, written_by_prefill(point, prefill))
    wait = np.where(_lasting(point.maps), -pace.spare, 0.0)
    return _waiting(prefill, wait / np.where(as_array(pace.busy) > 0, pace.busy, 1.0))


def _lasting(maps: tuple[Placed, Placed] | None) -> BoolArray:
    """Where maps are known to last: mixes, which may wait a little."""
    known = [placed.lasts for placed in maps or () if placed.lasts is not None]
    return reduce(np.logical_and, known, np.asarray(bool(known)))


def _waiting(cost: PassCost, share: Ratio) -> PassCost:
    """A pass that waits for a share of its time more, if it is above nothing."""
    return cost.longer(Terms(kv=cost.time.total * np.maximum(share, 0.0)))


def worn_out(point: Evaluation) -> BoolArray | None:
    """Whether cells die before they have lived as long as the plan says, or as they are paid for.

    None where no memory wears.
    """
    if point.placed is None or not wears(point.case):
        return None
    if is_paced(point.case):
        lasts = [placed.lasts for placed in point.maps or () if placed.lasts is not None]
        return ~reduce(np.logical_and, lasts or [pace.lasts for pace in paces(point)])
    return as_array(point.memory_life < least_life(point.case))
