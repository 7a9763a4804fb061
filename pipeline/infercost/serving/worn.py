"""How long memory that wears out lives under the load of a replay.

Cells bear a number of writes, whenever those come: passes of a replay run at full rate, and what
the whole horizon writes, idle time included, sets the life. Bytes written per token are those of
the design's tier map (`infercost.tiers.wear`), tokens those that the replay counted.
"""

from __future__ import annotations

from infercost.arrays import number
from infercost.cost import Evaluation
from infercost.equations import endurance
from infercost.specs.case import Case
from infercost.tiers.wear import wears, written_by_decode, written_by_prefill


def memory_life(
    case: Case, devices: float, horizon: float, decoded: float, prompts: float
) -> float:
    """Seconds until the first memory tier of `devices` is worn out; infinite where none is.

        t = W / (w_d n_d + w_p n_p) · N T

    W writes that a tier of one device bears; w_d and w_p bytes written per decoded token and per
    prompt token, over the devices of a replica; n_d and n_p those tokens in the horizon T on N
    devices. Leaves out that busy replicas wear more than idle ones.
    """
    point = Evaluation(case)
    if point.placed is None or not wears(point.case):
        return float("inf")
    prefill = written_by_prefill(point, point.prefill).per_tier
    both = written_by_decode(point, point.decode).per_tier
    inputs = number(point.inputs_per_output)
    lives = []
    for i, tier in enumerate(point.placed.tiers):
        cycles = tier.memory.endurance
        by_prefill = number(prefill[i])
        written = (number(both[i]) - by_prefill) * decoded
        written += by_prefill / max(inputs, 1e-300) * prompts
        if cycles is not None and written > 0:
            amplification = tier.memory.write_amplification
            bears = endurance.lifetime_writes(tier.capacity, cycles, amplification)
            rate = written / (devices * horizon)
            lives.append(number(endurance.life(bears, rate)))
    return min(lives, default=float("inf"))
