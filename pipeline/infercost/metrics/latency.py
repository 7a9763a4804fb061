"""What a user feels, and how fast the replica is."""

from __future__ import annotations

import numpy as np

from infercost.arrays import Array, as_array
from infercost.cost import Evaluation
from infercost.equations import serving
from infercost.registry import metric


@metric("s", "t_TTFT")
def ttft(point: Evaluation) -> Array:
    """Mean time to first readable output of a prompt, with its prefill batch, without queueing.

    A cascade shows an answer once it is whole and judged; what it answers again needs no second
    search.
    """
    return _searched(point) + _first(point)


def _first(point: Evaluation) -> Array:
    """The same from the end of retrieval."""
    own = point.lengths.mean(point.prefill_time) + point.first_output_time
    how = point.case.mechanisms.light
    if how is None or point.light is None:
        return own
    first, whole = _first(point.light), _tried(point)
    return how.share * np.maximum(first, whole) + (1.0 - how.share) * (own + whole)


def _tried(point: Evaluation) -> Array:
    """In a cascade the lighter model's whole answer is there before anyone reads or the other one
    begins; without one, nothing is waited for."""
    how = point.case.mechanisms.light
    if how is None or point.light is None or not how.judged:
        return 0.0
    return e2e_latency(point.light) - _searched(point)


def _searched(point: Evaluation) -> Array:
    """Time of retrieval in front of the prompt."""
    return 0.0 if point.search is None else point.search.time


@metric("s", "t_TTFT,p90")
def ttft_p90(point: Evaluation) -> Array:
    """Time to first readable output at the 90th percentile of prompts, without queueing."""
    own = point.lengths.quantile(point.prefill_time, 0.9) + point.first_output_time
    own = own + _searched(point)
    if point.light is None:
        return own
    whole = _tried(point)
    written = np.where(as_array(whole) > 0, whole - _first(point.light), 0.0)
    return np.maximum(own + whole, ttft_p90(point.light) + written)


@metric("s", "t_TPOT")
def tpot(point: Evaluation) -> Array:
    """Mean time per output token that a user sees, interruptions by prefill included.

    Of an answer that a cascade shows at once, the pace at which it was written.
    """
    return point.of_tokens(point.tpot)


@metric("s", "t_step")
def decode_step(point: Evaluation) -> Array:
    """Time of one decode or denoising step of all sequences in flight."""
    return point.step_time


@metric("s", "t_step,lower")
def decode_step_lower(point: Evaluation) -> Array:
    """Time of one decode step with communication hidden behind work wherever it can be."""
    return point.decode.lower


@metric("s", "t_step,upper")
def decode_step_upper(point: Evaluation) -> Array:
    """Time of one decode step with no communication hidden."""
    return point.decode.upper


@metric("s", "t_comm")
def decode_communication(point: Evaluation) -> Array:
    """Time of all messages of one decode step, hidden behind work or not."""
    return as_array(point.decode.communication)


@metric("s", "t_comm,exposed")
def decode_communication_exposed(point: Evaluation) -> Array:
    """Part of a decode step's messages that work does not hide."""
    return np.maximum(point.step_time - point.decode.work - point.decode.time["power"], 0.0)


@metric("s", "t_E2E")
def e2e_latency(point: Evaluation) -> Array:
    """Mean time from arrival to last token or picture, without queueing; none for a snapshot."""
    lengths, first = point.lengths, ttft(point)
    how = point.case.mechanisms.light
    if how is not None and point.light is not None:
        # What a cascade's lighter model wrote was waited for before the first token.
        first = first - how.share * np.maximum(_tried(point) - _first(point.light), 0.0)
    return serving.end_to_end_latency(first, point.tpot, lengths.output_mean, lengths.at_once)


@metric("token/s", "X_user")
def user_throughput(point: Evaluation) -> Array:
    """Output tokens per second that one user sees: 1 / TPOT."""
    return 1.0 / point.of_tokens(point.tpot)


@metric("token/s", "X")
def throughput(point: Evaluation) -> Array:
    """Output tokens per second of one replica, prefill time and outages included."""
    return (point.devices + point.case.plan.spares) / point.of_tokens(point.device_seconds)


@metric("token/s", "X/n")
def throughput_per_device(point: Evaluation) -> Array:
    """Output tokens per second and device, prefill time, spares and outages included."""
    return 1.0 / point.of_tokens(point.device_seconds)


@metric("s", "n t")
def device_time_per_mtoken(point: Evaluation) -> Array:
    """Device-seconds per million output tokens: both phases, spares and outages included."""
    return 1e6 * point.of_tokens(point.device_seconds)


@metric("s", "n t_out")
def decode_device_time_per_moutput(point: Evaluation) -> Array:
    """Device-seconds of decode alone per million output tokens, spares and outages included."""
    return 1e6 * point.of_tokens(point.decode_per_token.device_time.total)


@metric("1", "MFU")
def decode_mfu(point: Evaluation) -> Array:
    """Model FLOPs of a decode step over what the devices' dense peak gives in its time.

    Units near memory have arithmetic of their own: with them it may pass 1, as in prefill.
    """
    return point.decode.flops / (point.step_time * point.layout.peak)


@metric("1", "MBU")
def decode_mbu(point: Evaluation) -> Array:
    """Bytes moved in a decode step over what the peak of all memory tiers gives in its time; units
    near memory read more than that."""
    peak: Array = sum((m.total_bandwidth for m in point.case.hardware.memory.values()), start=0.0)
    return point.decode.bytes_moved / (point.step_time * peak)


@metric("1", "MFU_prefill")
def prefill_mfu(point: Evaluation) -> Array:
    """Model FLOPs of prefill over what the devices' dense peak gives in the time it takes of them.

    Stages of a pipeline work side by side on chunks of one prompt: it is through sooner than the
    turns of all stages add up to, and those count.
    """
    flops = point.lengths.mean(point.prefill.flops * point.prompt_passes)
    flops = sum((cost.flops for cost in point.encoders), start=flops)
    with np.errstate(invalid="ignore"):
        return flops / as_array(point.prefill_terms.total * point.layout.peak)


@metric("FLOP", "F_step")
def decode_device_flops(point: Evaluation) -> Array:
    """FLOPs of one decode pass on one device of each stage."""
    return as_array(point.decode.flops)


@metric("B", "Q_step")
def decode_device_moved(point: Evaluation) -> Array:
    """Memory traffic of one decode pass on one device of each stage."""
    return as_array(point.decode.bytes_moved)


@metric("B", "V_step")
def decode_device_sent(point: Evaluation) -> Array:
    """Bytes that one device of each stage sends in one decode pass."""
    return as_array(point.decode.bytes_sent)
