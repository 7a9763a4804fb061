"""Passes with drafts, exits and shared work: what mitigations make of a decode step."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np

from infercost.arrays import Array, Count, Ratio, as_array
from infercost.equations import roofline
from infercost.operators.base import Block, Layout, Pass
from infercost.passes.forward import PassCost, TierUse, weights_read
from infercost.specs.mechanisms import Drafting
from infercost.specs.prefix_cache import PrefixCache
from infercost.terms import Terms
from infercost.workloads.lengths import Lengths


def draft_layout(layout: Layout) -> Layout | None:
    """The drafter in place of the model, on the same devices; none where none drafts by passes."""
    drafting = layout.case.mechanisms.drafting
    if drafting is None or drafting.drafter is None:
        return None
    mechanisms, plan = layout.case.mechanisms, layout.case.plan
    # The model's own layout has the cache of prefixes.
    mechanisms = replace(mechanisms, drafting=None, prefix=None, exits=0.0, exit_at=1.0)
    kept = plan.model_copy(update={"prefix_cache": PrefixCache()})
    update = {"model": drafting.drafter, "mechanisms": mechanisms, "plan": kept}
    return Layout(layout.case.model_copy(update=update))


def drafted_lengths(lengths: Lengths, drafting: Drafting) -> Lengths:
    """Statistics of requests whose steps settle several tokens each, of which there are so many.

    One step at least decodes an answer, whatever is drafted; a snapshot has no end.
    """
    left = np.where(np.isnan(lengths.output_mean), np.inf, lengths.output_mean - 1.0)
    settled = np.minimum(drafting.settled, np.maximum(left, 1.0))
    return replace(
        lengths,
        prefills_per_step=lengths.prefills_per_step * settled,
        tokens_per_step=lengths.tokens_per_step * settled,
        pace=lengths.pace * settled,
        per_step=drafting.verified + 1.0,
    )


def verification(step: Pass, lengths: Lengths, drafting: Drafting) -> Pass:
    """A decode pass that takes each sequence's last token and all drafted ones through the model.

    Every one of them reads the same cache, once, and sees the drafts before it.
    """
    each: Count = drafting.verified + 1.0
    sequences = step.sequences

    def pairs(window: float) -> Count:
        # k(k+1)/2 pairs of drafts among themselves; their cache is on chip.
        among = 0.5 * drafting.verified * each
        return each * step.pairs(window) + sequences * np.minimum(among, each * window)

    return replace(step, tokens=step.tokens * each, pairs=pairs, logits=each)


def draft_pass(step: Pass, drafting: Drafting) -> Pass:
    """One pass of the drafter: a token of each sequence, or a level of its tree; heads at once."""
    if drafting.at_once:
        return step
    width: Count = np.maximum(drafting.verified, 1.0) / np.maximum(drafting.drafted, 1.0)
    return replace(
        step,
        tokens=step.tokens * width,
        pairs=lambda window: step.pairs(window) * width,
        logits=width,
    )


def with_drafts(
    verify: PassCost, draft: PassCost | None, drafting: Drafting, sequences: Count
) -> PassCost:
    """A whole step: the drafts one after another, then the pass that verifies them, then the host.

    A draft waits for the host that launches it where that takes longer than the devices need. A
    step without drafts (`drafted` 0 on an axis) needs none of the host's time.
    """
    whole = verify
    if draft is not None:
        waiting = roofline.exposed_launches(1.0, drafting.draft_launch, draft.time.total)
        whole = together(verify, draft.longer(Terms(overhead=waiting)), drafting.passes)
    drafts: Array = as_array(as_array(drafting.drafted) > 0, dtype=np.float64)
    extra: Array = drafts * (drafting.overhead + sequences * drafting.overhead_per_sequence)
    return whole.longer(Terms(overhead=extra))


def together(one: PassCost, other: PassCost, times: Array) -> PassCost:
    """One pass, and another so many times after it; the clock told is that of the one."""
    summed = {
        field.name: getattr(one, field.name) + times * getattr(other, field.name)
        for field in fields(PassCost)
        if field.name not in ("time", "energy", "tiers", "clock")
    }
    return replace(
        one,
        time=one.time.plus(other.time.times(times)),
        energy=one.energy.plus(other.energy.times(times)),
        tiers=tuple(
            TierUse(
                a.name,
                a.moved + times * b.moved,
                a.written + times * b.written,
                a.stall + times * b.stall,
            )
            for a, b in zip(one.tiers, other.tiers, strict=True)
        ),
        **summed,
    )


def riding(layout: Layout, step: PassCost, share: Ratio, stack: tuple[Block, ...]) -> PassCost:
    """Decode steps of which a share rides along with a chunk of a prefill.

    The chunk reads the weights anyway, so that a step beside it pays the arithmetic of its products
    in place of their traffic, which it does not cause, and no overhead of a pass of its own.
    `stack` has the step's operators. Leaves out the small batch's tiles, which fill up.
    """
    calibration = layout.calibration
    arithmetic = roofline.compute_time(step.flops, layout.peak, calibration.compute_efficiency)
    bare = np.maximum(arithmetic - step.time["compute"], 0.0)
    weights = step.time["weights"]
    replaced = np.minimum(bare, weights)
    saved = Terms(
        weights=-share * weights,
        compute=share * replaced,
        overhead=-share * np.minimum(calibration.step_overhead, step.time["overhead"]),
    )
    read = weights_read(stack)
    energy = step.energy.plus(Terms(weights=-share * step.energy.get("weights", 0.0)))
    shorter = step.longer(saved)
    return replace(shorter, energy=energy, bytes_moved=step.bytes_moved - share * read)
