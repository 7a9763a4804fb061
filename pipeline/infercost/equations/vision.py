"""Encoders of images and sound: segments, positions, tokens, and what their towers compute."""

from __future__ import annotations

import numpy as np

from infercost.arrays import Count, Ratio, Seconds, as_array


def tiles_per_image(side: Count, tile: Count, most: Count, thumbnail: Count) -> Count:
    """Tiles that a square image is cut into, and one more that shows it whole.

        n = min(m, ceil(s / t)²),  n + thumbnail · [n > 1]

    Source: InternVL 1.5, arXiv:2404.16821, section 3.3; Llama 3.2 model card. Real images of other
    shapes are fitted to the nearest grid of tiles.
    """
    cut = np.minimum(np.square(np.ceil(side / np.asarray(tile))), most)
    return cut + thumbnail * (cut > 1.0)


def patches_per_segment(side: Count, patch: Count, merge: Count) -> Count:
    """Patches of a square whose sides are scaled to whole tokens of the language model.

        (m · max(1, round(s / (p m))))²

    Source: Qwen2-VL, arXiv:2409.12191, section 2.1; 1024 pixels become 37 x 28.
    """
    tokens: Count = np.maximum(np.round(side / as_array(patch * merge)), 1.0)
    return (merge * tokens) ** 2


def merged_tokens(patches: Count, merge: Count) -> Count:
    """Tokens of the language model that `patches` patches make: n / m²."""
    return patches / merge**2


def video_segments(duration: Seconds, interval: Seconds, frames_per_patch: Count) -> Count:
    """Segments of a video: frames taken at an interval, over those that share their patches.

        t / (i f)

    Source: Qwen2-VL, arXiv:2409.12191, section 2.1 (every 0.5 s, 2 frames per patch).
    """
    return duration / interval / frames_per_patch


def audio_segments(duration: Seconds, window: Seconds) -> Count:
    """Windows of sound, each encoded whole though it be part full: ceil(t / w).

    Source: Whisper, arXiv:2212.04356, section 2.2 (30 s).
    """
    return np.ceil(duration / window)


def patch_elements(d_model: Count, patch: Count, frames: Count) -> Count:
    """Entries of the embedding of a patch of three colours: 3 p² f D."""
    return 3.0 * patch**2 * frames * d_model


def tower_elements(d_model: Count, d_ff: Count, matrices: Count) -> Count:
    """Entries of one layer of an encoder: 4 D² of attention and m D F of feed-forward.

    Source: Dosovitskiy et al. 2021, ViT, arXiv:2010.11929.
    """
    return 4.0 * d_model**2 + matrices * d_model * d_ff


def windowed_pairs(positions: Count, window: Count, full_share: Ratio) -> Count:
    """Mean query-key pairs of a segment per layer, where a share of layers sees all of it.

        n (φ n + (1 - φ) min(n, w))

    Source: Qwen2.5-VL, arXiv:2502.13923, section 2.1.
    """
    seen = full_share * positions + (1.0 - full_share) * np.minimum(positions, window)
    return positions * seen
