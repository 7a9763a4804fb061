"""What is written to the memory tiers of a device, and how long cells bear it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from infercost.arrays import BoolArray, Bytes, Seconds, as_array
from infercost.equations import endurance, serving

if TYPE_CHECKING:
    from infercost.cost import Evaluation


def writes_per_token(point: Evaluation) -> tuple[Bytes, ...]:
    """Bytes written per output token and tier, over all devices of the replica."""
    decode, prefill = point.decode.tiers, point.prefill.tiers
    plan, batch, lengths = point.case.plan, point.case.batch, point.lengths
    passes = serving.passes_in_flight(batch, plan.dp, plan.pp)
    steps = plan.tp * passes / batch / lengths.tokens_per_step
    prefills = plan.tp / plan.prefill_batch * lengths.prefills_per_step / lengths.tokens_per_step
    written = [lengths.mean(tier.written * point.prompt_passes) for tier in prefill]
    for cost in point.encoders:
        written = [w + tier.written for w, tier in zip(written, cost.tiers, strict=True)]
    return tuple(d.written * steps + w * prefills for d, w in zip(decode, written, strict=True))


def own_prefill_seconds(point: Evaluation) -> Seconds:
    """Device-seconds of prefill per output token on these devices: a pool may take a share."""
    if np.all(as_array(point.lengths.prefills_per_step) == 0):
        return 0.0
    pool = point.case.mechanisms.pool
    return point.prefill_device_time.total * (1.0 - (0.0 if pool is None else pool.share))


def own_seconds(point: Evaluation) -> Seconds:
    """Device-seconds per output token on these devices, whatever others do."""
    return point.decode_device_time.total + own_prefill_seconds(point)


def lives_of_tiers(point: Evaluation) -> tuple[Seconds, ...]:
    """Life of each memory tier under the writes of a device as busy as the economics say."""
    if point.placed is None:
        return (np.inf,)
    lives: list[Seconds] = []
    for tier, written in zip(point.placed.tiers, writes_per_token(point), strict=True):
        cycles = tier.memory.endurance
        if cycles is None:
            lives.append(np.inf)
            continue
        writes = endurance.lifetime_writes(tier.capacity, cycles, tier.memory.write_amplification)
        rate = written / own_seconds(point) * point.case.economics.utilisation
        with np.errstate(divide="ignore", invalid="ignore"):
            life = endurance.life(writes, rate)
        lives.append(np.where(as_array(rate) > 0, life, np.inf))
    return tuple(lives)


def worn_out(point: Evaluation) -> BoolArray | None:
    """Whether cells die before they have lived as long as the plan says, or as they are paid for.

    None where no memory wears.
    """
    memories = point.case.hardware.memory.values()
    if point.placed is None or all(memory.endurance is None for memory in memories):
        return None
    stated = point.case.plan.min_memory_life
    least = point.case.economics.life if stated is None else stated
    return as_array(point.memory_life < least)
