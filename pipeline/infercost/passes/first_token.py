"""What a request waits for until its first readable output: as a time, and as terms that sum to it.

The prefill, whose chunks may follow one another through the stages of a pipeline, encoders, loaded
prefixes, and the hand-over of caches where decode has devices of its own. Where a lighter model
answers a share of the requests, or writes an answer that another has to wait for, so is its share.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from infercost.arrays import Array, Ratio, Seconds, as_array
from infercost.equations import serving
from infercost.network.messages import Message
from infercost.passes.forward import message_terms
from infercost.passes.reuse import handed_bytes
from infercost.specs.case import Case
from infercost.specs.mechanisms import Beside
from infercost.terms import Terms

if TYPE_CHECKING:
    from infercost.cost import Evaluation


def local_prefill_time(point: Evaluation) -> Seconds:
    """Time of one prefill on the case's own devices, by prompt stratum: of a prompt alone."""
    computed = point.prefill.time.total * point.prompt_passes * _turns(point)
    return computed + point.encoder_time + point.prefix_load_time


def prefill_time(point: Evaluation) -> Seconds:
    """The same until decode may begin, on whatever devices: caches handed over included."""
    own = point.local_prefill_time
    if parts_phases(point.case):
        own = own + hand_over(None, point).total
    pool = point.case.mechanisms.pool
    if pool is None or point.pool is None:
        return own
    handed = hand_over(pool, point.pool).total
    return own + pool.share * (point.pool.prefill_time + handed - own)


def terms_by_resource(point: Evaluation) -> Terms:
    """Mean time to the first readable output by resource, retrieval apart: they sum to TTFT."""
    own = _own_terms(point)
    how, light = point.case.mechanisms.light, point.light
    if how is None or light is None:
        return own
    first = _own_terms(light)
    if not how.judged:
        return first.times(how.share).plus(own.times(1.0 - how.share))
    whole = first.plus(_written_after_the_first(light))
    return whole.plus(own.times(1.0 - how.share))


def parts_phases(case: Case) -> bool:
    """Whether the plan has prefill on a pool of its own, which hands caches over."""
    return case.plan.phases == "disaggregated"


def interrupts(case: Case) -> Ratio:
    """Share of prefills that run on the devices of decode."""
    pool = case.mechanisms.pool
    if parts_phases(case):
        return 0.0
    return 1.0 if pool is None else 1.0 - pool.share


def hand_over(pool: Beside | None, point: Evaluation) -> Terms:
    """Time in which prefill's devices hand the caches of its prompts over, by prompt stratum.

    Each sends its part to its counterpart, a drafter's too, all at once when the prefill is done:
    at the rate that a mitigation states of its pool; of a plan's pools over the fabric that two
    replicas side by side share. Leaves out sending a layer while the next is computed.
    """
    layout, lengths = point.layout, point.lengths
    if not lengths.cached:
        return Terms()
    sent = handed_bytes(layout, lengths)
    drafting = point.case.mechanisms.drafting
    if point.drafter is not None and drafting is not None and not drafting.at_once:
        sent = sent + handed_bytes(point.drafter, lengths)
    if pool is not None:
        return Terms(network_latency=pool.alpha, network_bandwidth=sent / pool.bandwidth)
    plan = layout.case.plan
    message: Message = layout.network.point_to_point(
        "hand-over of caches", 1.0, sent, 2.0 * plan.tp * plan.pp * plan.dp
    )
    return message_terms(layout.calibration, message)


def _turns(point: Evaluation) -> Ratio:
    """Share of a prefill's turns of all stages that a prompt waits for."""
    chunks, overlap = point.prompt_chunks, point.case.calibration.pipeline_overlap
    return serving.pipelined_share(chunks, point.case.plan.pp, overlap)


def _own_terms(point: Evaluation) -> Terms:
    """The same of the requests that the case itself answers, without what a cascade tries."""
    terms = _prefill_terms(point)
    if not point.waits_for_steps:
        return terms
    return terms.plus(point.decode.time.times(point.lengths.first_steps))


def _prefill_terms(point: Evaluation) -> Terms:
    """Mean of `prefill_time` by resource."""
    lengths = point.lengths
    spread = np.ones_like(lengths.weight)

    def mean(terms: Terms, factor: Array) -> Terms:
        return terms.each(lambda term: lengths.mean(term * factor * spread))

    own = point.prefill_terms
    if np.any(as_array(point.case.plan.pp) > 1):
        own = mean(point.prefill.time, point.prompt_passes * _turns(point)).plus(point.waits)
    if parts_phases(point.case):
        own = own.plus(mean(hand_over(None, point), 1.0))
    pool = point.case.mechanisms.pool
    if pool is None or point.pool is None:
        return own
    handed = mean(hand_over(pool, point.pool), 1.0)
    theirs = _prefill_terms(point.pool).plus(handed)
    return own.times(1.0 - pool.share).plus(theirs.times(pool.share))


def _written_after_the_first(point: Evaluation) -> Terms:
    """From the first to the last token of an answer, interruptions by prefill included."""
    lengths = point.lengths
    prefill = point.prefill_terms
    due = (point.paced_step - point.step_time) / np.maximum(prefill.total, np.finfo(float).tiny)
    paced = point.decode.time.plus(prefill.times(due))
    rest = np.maximum(lengths.output_mean - lengths.at_once, 0.0)
    return paced.times(rest / lengths.pace)
