"""The passes of a request by the way in which its model makes output, and their pace.

Autoregression: one step per token, beside a cache. Block diffusion: several steps per block, each
with the whole block, beside the same cache. Sequence diffusion: every step takes prompt and answer
through the model, with no cache and no prefill. Media diffusion: the same with latent tokens, as
many passes per step as guidance needs; its output is a picture or clip, not tokens.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from infercost.arrays import Array, Count, as_array
from infercost.equations import diffusion, serving
from infercost.equations.attention import attended_pairs
from infercost.errors import SpecError
from infercost.operators.base import Layout, Pass
from infercost.passes.drafting import drafted_lengths
from infercost.passes.positions import in_positions, tokens_in_patches
from infercost.passes.reuse import found_prefixes, pool_of
from infercost.placement import kept_context, shared_tokens, shares_context
from infercost.specs.case import Case
from infercost.specs.generation import BlockDiffusion, MediaDiffusion, SequenceDiffusion
from infercost.specs.workload import Media
from infercost.workloads.lengths import Lengths, lengths_of
from infercost.workloads.media import loads, prompt_tokens


def paced_lengths(layout: Layout) -> Lengths:
    """Length statistics of the case's requests, with media in their prompts, and their pace."""
    case = layout.case
    generation, workload = case.model.generation, case.workload
    if isinstance(generation, MediaDiffusion) or isinstance(workload, Media):
        return _pictures(case)
    trend = case.trend
    if case.model.encoders:
        added = trend.prompt_tokens + prompt_tokens(case)
        trend = trend.model_copy(update={"prompt_tokens": added})
    lengths = found_prefixes(case, lengths_of(workload, trend, pool_of(layout)))
    if lengths.reuses and shares_context(layout):
        fault = "does not go with prompts that find their own prefixes in a cache"
        raise SpecError("plan", "placement.shared_context", fault, "Leave one of them out")
    if np.any(as_array(trend.branches) > 1):
        starts = lengths.prefills_per_step / trend.branches
        lengths = replace(lengths, prefills_per_step=starts, branches=trend.branches)
    if case.model.patches is not None:
        lengths = in_positions(lengths, tokens_in_patches(case.model.patches))
    if isinstance(generation, BlockDiffusion | SequenceDiffusion):
        generation = _slowed(generation, case.trend.denoising)
    if isinstance(generation, BlockDiffusion):
        return _by_blocks(lengths, generation)
    if isinstance(generation, SequenceDiffusion):
        return _whole(lengths, generation)
    drafting = case.mechanisms.drafting
    return lengths if drafting is None else drafted_lengths(lengths, drafting)


def _slowed(
    generation: BlockDiffusion | SequenceDiffusion, denoising: Array
) -> BlockDiffusion | SequenceDiffusion:
    """The model's way with more or fewer steps per token; a step settles its block at most."""
    settled = generation.tokens_per_step / denoising
    if isinstance(generation, BlockDiffusion):
        settled = np.minimum(settled, generation.block)
    return generation.model_copy(update={"tokens_per_step": settled})


def _by_blocks(lengths: Lengths, generation: BlockDiffusion) -> Lengths:
    block, settled = generation.block, generation.tokens_per_step
    starts = as_array(lengths.prefills_per_step) > 0
    return replace(
        lengths,
        context=lambda window: diffusion.block_context(lengths.context(window), block),
        prefills_per_step=np.where(starts, settled / lengths.output_mean, 0.0) / lengths.branches,
        tokens_per_step=settled,
        per_step=block,
        pace=settled,
        at_once=block,
        first_steps=diffusion.denoising_steps(block, settled),
    )


def _whole(lengths: Lengths, generation: SequenceDiffusion) -> Lengths:
    settled, output = generation.tokens_per_step, lengths.output_mean
    starts = as_array(lengths.prefills_per_step) > 0
    return replace(
        lengths,
        context=_nothing,
        deviation=_nothing,
        prefills_per_step=np.where(starts, settled / output, 0.0) / lengths.branches,
        tokens_per_step=settled,
        per_step=lengths.whole(1),
        pace=settled,
        at_once=output,
        first_steps=np.where(starts, diffusion.denoising_steps(output, settled), np.nan),
        cached=False,
    )


def _nothing(window: float) -> Array:
    return 0.0


def _pictures(case: Case) -> Lengths:
    """Requests for pictures; not a number where the model makes none, or is asked for text."""
    tokens: Array = np.nan
    steps: Array = np.nan
    text: Array = np.nan
    passes: Array = np.nan
    generation, workload = case.model.generation, case.workload
    if isinstance(generation, MediaDiffusion) and isinstance(workload, Media):
        text, passes = float(generation.text_tokens), generation.passes
        latents = diffusion.latent_tokens(
            workload.width,
            workload.height,
            workload.frames,
            generation.pixels_per_latent,
            generation.frames_per_latent,
            generation.patch,
        )
        tokens = latents + (text if generation.joined_text else 0.0)
        stated = as_array(workload.steps)
        own = np.where(stated > 0, stated, generation.steps)
        steps = np.maximum(own * as_array(case.trend.denoising), 1.0)
    return Lengths(
        prompt=np.maximum(text, 1.0),
        weight=np.ones(1),
        pairs=lambda window: text * text,
        context=_nothing,
        deviation=_nothing,
        longest=tokens,
        prompt_mean=text,
        output_mean=1.0,
        prefills_per_step=1.0 / steps,
        tokens_per_step=1.0 / steps,
        whole=lambda power: tokens**power,
        per_step=tokens * passes,
        at_once=1.0,
        first_steps=steps,
        cached=False,
        makes_tokens=not isinstance(workload, Media),
    )


def step_pass(layout: Layout, lengths: Lengths, sequences: Count) -> Pass:
    """One decode or denoising pass over so many sequences of a data-parallel group."""
    generation = layout.case.model.generation
    if not lengths.cached:
        return _whole_pass(layout.case, lengths, sequences)
    step = _cached_pass(layout, lengths, sequences)
    return _of_blocks(step, lengths, generation) if isinstance(generation, BlockDiffusion) else step


def _cached_pass(layout: Layout, lengths: Lengths, sequences: Count) -> Pass:
    """One token of each sequence beside its cache; a shared context may be read once for all."""

    def visible(window: float) -> Count:
        return sequences * kept_context(layout, lengths, window)

    step = Pass(sequences, sequences, visible, visible, decode=True, encoded=layout.encoded)
    if not shares_context(layout):
        return step
    reads = serving.shared_reads(sequences, layout.case.plan.placement.context_rereads)

    def shared(window: float) -> Count:
        return shared_tokens(layout, lengths, window)

    def read(window: float) -> Count:
        return visible(window) - (sequences - reads) * shared(window)

    def share(window: float) -> Array:
        return reads * shared(window) / read(window)

    return replace(step, kv_read=read, shared=share)


def _of_blocks(step: Pass, lengths: Lengths, generation: BlockDiffusion) -> Pass:
    """The pass with a block of each sequence in place of a token."""
    block, sequences = generation.block, step.sequences

    def pairs(window: float) -> Count:
        return sequences * diffusion.block_pairs(lengths.context(window), block)

    return replace(step, tokens=sequences * block, pairs=pairs, logits=block)


def prefill_pass(layout: Layout, lengths: Lengths, prompt: Count, passes: Count) -> Pass:
    """One of the passes of a prefill, by prompt stratum; `prompt` tokens of each are computed."""
    plan, head = layout.case.plan, lengths.prompt - prompt
    batch = plan.prefill_batch
    rounds = serving.chunk_passes(prompt, plan.prefill_chunk)

    def read(window: float) -> Count:
        # The first round sees nothing but itself; later ones re-read what is cached by then.
        again = (rounds - 1.0) * np.minimum(0.5 * prompt, window)
        if shares_context(layout) or lengths.reuses:
            again = again + rounds * np.minimum(head, window)
        return batch * (prompt + again) / passes

    def pairs(window: float) -> Count:
        new = lengths.pairs(window)
        if shares_context(layout):
            new = new - attended_pairs(head, window)
        elif lengths.reuses:
            new = new - lengths.cached_pairs(window)
        return batch * new / passes

    def shared(window: float) -> Array:
        if not shares_context(layout):
            return 0.0
        seen = rounds * np.minimum(head, window)
        return seen / (seen + prompt + (rounds - 1.0) * np.minimum(0.5 * prompt, window))

    return Pass(
        batch * prompt / passes,
        batch / passes,
        read,
        pairs,
        decode=False,
        encoded=layout.encoded,
        encodes=batch * layout.encoded / passes,
        shared=shared,
    )


def _whole_pass(case: Case, lengths: Lengths, sequences: Count) -> Pass:
    """A pass over all tokens of each sequence, each seeing all: keys and values are its own."""
    generation = case.model.generation
    branches, text = 1, 0.0
    if isinstance(generation, MediaDiffusion):
        branches = generation.passes
        text = 0.0 if generation.joined_text else float(generation.text_tokens)
    rows = sequences * branches

    def read(window: float) -> Count:
        return rows * lengths.whole(1)

    def pairs(window: float) -> Count:
        return rows * lengths.whole(2)

    return Pass(
        rows * lengths.whole(1),
        rows,
        read,
        pairs,
        decode=False,
        logits=lengths.whole(1),
        encoded=text,
        encodes=rows * text,
    )


def encoder_passes(layout: Layout) -> tuple[Pass, ...]:
    """Passes of encoders over the images and sound of one prefill's prompts."""
    prompts = layout.case.plan.prefill_batch

    def none(window: float) -> Count:
        return 0.0

    return tuple(
        Pass(
            prompts * load.segments * load.positions,
            prompts * load.segments,
            none,
            none,
            decode=False,
            logits=load.tokens,
            encoded=load.positions,
            encoder=load.encoder,
        )
        for load in loads(layout.case)
    )
