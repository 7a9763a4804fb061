"""From pass times to what a user and an operator see."""

from __future__ import annotations

import numpy as np

from infercost.arrays import Count, Ratio, Seconds, as_array


def sequences_per_pass(batch: Count, dp: Count, pp: Count) -> Count:
    """Sequences that one decode pass of the busiest data-parallel group takes.

        max(1, ceil(B / (dp pp)))

    A pipeline keeps pp passes in flight, each with its share of the batch.
    """
    return np.maximum(np.ceil(batch / (as_array(dp) * pp)), 1.0)


def passes_in_flight(batch: Count, dp: Count, pp: Count) -> Count:
    """Decode passes that one step of the whole batch takes, over all groups.

        dp · min(pp, ceil(B / dp))

    Groups step together, a group without a sequence too, since its devices hold experts that the
    others need; stages beyond the sequences of a group stay idle.
    """
    return dp * np.minimum(pp, np.ceil(batch / as_array(dp)))


def prefill_occupancy(time: Seconds, prompts: Count, dp: Count, pp: Count) -> Seconds:
    """Replica time that one prompt takes: a pass serves `prompts` per group, stages overlap.

    T / (prompts · dp · pp)
    """
    return time / (prompts * dp * pp)


def pipelined_share(chunks: Count, stages: Count, overlap: Ratio) -> Ratio:
    """Share of a prefill's serial time that remains where its chunks follow one another.

        1 - φ (1 - (c + s - 1) / (c s))

    c chunks through s stages take c + s - 1 turns of one stage instead of c s, the bubble of
    s - 1 included; a stack reaches a share φ of what that saves. Source: Huang et al. 2019
    (GPipe), section 2.3.
    """
    return 1.0 - overlap * (1.0 - (chunks + stages - 1.0) / (chunks * stages))


def interrupted_tpot(
    step: Seconds, prefill: Seconds, others: Count, prefills_per_step: Ratio, interrupts: Ratio
) -> Seconds:
    """Mean time per output token where prefill runs on the same devices.

        TPOT = t_step + (B - b) · prefills per sequence and step · replica time of a prefill

    In steady state every finished sequence is replaced. Of the B sequences in flight the `others`,
    all but the b drawn from one prompt, interrupt a user: what a request itself prefills lies in
    front of its first token. Little's law holds so: prefill and n - 1 gaps of a request take the
    time in which B requests are served. `interrupts` is 1 where phases share devices and 0 where
    prefill has a pool of its own.
    """
    return step + interrupts * others * prefills_per_step * prefill


def end_to_end_latency(
    ttft: Seconds, tpot: Seconds, output_tokens: Count, at_once: Count = 1.0
) -> Seconds:
    """Arrival to last token: TTFT + (n - f) TPOT, where the first f tokens come together."""
    return ttft + np.maximum(output_tokens - at_once, 0.0) * tpot


def chunk_tokens(tokens: Count, chunk: Count) -> Count:
    """Tokens of one pass of a chunked prefill: min(M, chunk)."""
    return np.minimum(tokens, chunk)


def chunk_passes(tokens: Count, chunk: Count) -> Count:
    """Passes of a chunked prefill; the last one may be part of a pass: M / min(M, chunk)."""
    return tokens / np.minimum(tokens, chunk)


def shared_reads(sequences: Count, rereads: Ratio) -> Count:
    """Times that a pass reads what its sequences share: 1 + (B - 1) r."""
    return 1.0 + (sequences - 1.0) * rereads
