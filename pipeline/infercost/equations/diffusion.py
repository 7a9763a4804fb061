"""Denoising: tokens of a picture, steps of an answer, and the passes between them."""

from __future__ import annotations

import numpy as np

from infercost.arrays import Count, as_array


def latent_tokens(
    width: Count, height: Count, frames: Count, pixels: Count, stride: Count, patch: Count
) -> Count:
    """Tokens of a picture or clip in the latent space of its autoencoder.

        ceil(w / (f p)) · ceil(h / (f p)) · (1 + ceil((n - 1) / s))

    f pixels per latent (`pixels`), p latents per token, both along a side; the first frame stands
    alone, s frames share a latent after it (`stride`).
    Source: FLUX.1 and SD3 (f 8, p 2); Wan 2.1, arXiv:2503.20314, section 4.1 (s 4).
    """
    side = pixels * patch
    spatial = np.ceil(width / as_array(side)) * np.ceil(height / as_array(side))
    return spatial * (1.0 + np.ceil((frames - 1.0) / as_array(stride)))


def modulation_elements(d_model: Count, vectors: Count) -> Count:
    """Entries that make `vectors` shifts, scales and gates of the step's embedding: v D².

    Source: Peebles and Xie 2023, DiT, arXiv:2212.09748, section 3.2 (adaLN-Zero: six vectors).
    """
    return vectors * d_model * d_model


def denoising_steps(tokens: Count, tokens_per_step: Count) -> Count:
    """Steps in which `tokens` tokens are settled: n / τ.

    Source: LLaDA, arXiv:2502.09992, section 2.4 (as many steps as tokens at best quality).
    """
    return tokens / tokens_per_step


def block_context(context: Count, block: Count) -> Count:
    """Mean cached tokens while a block is denoised: max(0, S - b / 2).

    A token of autoregression sees prompt + n / 2 tokens in the mean over an answer of n; a block
    sees finished blocks alone: prompt + (n - b) / 2.
    """
    return np.maximum(context - 0.5 * block, 0.0)


def block_pairs(context: Count, block: Count) -> Count:
    """Query-key pairs of one step of one block: b (S + b), both ways inside the block.

    Source: BD3-LM, arXiv:2503.09573, section 3.
    """
    return block * (context + block)
