"""Images, video and sound of a request, as the model's encoders see them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from infercost.arrays import Array, BoolArray, Count, FloatArray, as_array
from infercost.equations import vision
from infercost.specs.case import Case
from infercost.specs.encoders import AudioEncoder, VisionEncoder
from infercost.specs.generation import MediaDiffusion
from infercost.specs.trend import Trend
from infercost.specs.workload import Media


@dataclass(frozen=True)
class Load:
    """What one request gives to one encoder: segments alike, each encoded on its own."""

    encoder: str
    segments: Count
    positions: Count
    """Positions of one segment."""
    tokens: Count
    """Tokens of one segment that the language model reads."""
    crosses: bool
    """Whether it reads them across, and not in its prompt."""


def loads(case: Case) -> tuple[Load, ...]:
    """The work of every encoder that a request of the case needs."""
    if not case.model.encoders:
        return ()
    return tuple(
        load for name in case.model.encoders for load in _of_encoder(case, name) if _any(load)
    )


def _any(load: Load) -> bool:
    return bool(np.any(as_array(load.segments) > 0))


def _of_encoder(case: Case, name: str) -> Iterator[Load]:
    encoder, trend = case.model.encoders[name], case.trend
    crosses = encoder.feeds == "cross"
    if isinstance(encoder, AudioEncoder):
        windows = vision.audio_segments(trend.audio, encoder.window)
        yield Load(name, windows, encoder.positions, encoder.positions, crosses)
        return
    for segments, side, tiles in (_images(encoder, trend), _frames(encoder, trend)):
        patches = tiles * vision.patches_per_segment(side, encoder.patch, encoder.merge)
        extra = tiles * encoder.class_tokens
        tokens = vision.merged_tokens(patches, encoder.merge) + extra
        yield Load(name, segments, patches + extra, tokens, crosses)


def _images(encoder: VisionEncoder, trend: Trend) -> tuple[Count, Count, Count]:
    """Segments of a request's images, the side of a tile in pixels, and tiles of a segment."""
    if encoder.tile == 0:
        return trend.images, trend.image_side, 1.0
    thumbnail = 1.0 if encoder.thumbnail else 0.0
    tiles = vision.tiles_per_image(trend.image_side, encoder.tile, encoder.most_tiles, thumbnail)
    if encoder.joined:
        return trend.images, encoder.tile, tiles
    return trend.images * tiles, encoder.tile, 1.0


def _frames(encoder: VisionEncoder, trend: Trend) -> tuple[Count, Count, Count]:
    """Segments of a request's video; models of tiles take one tile per frame."""
    segments = vision.video_segments(trend.video, trend.frame_interval, encoder.frames_per_patch)
    return segments, trend.frame_side if encoder.tile == 0 else encoder.tile, 1.0


def prompt_tokens(case: Case) -> Array:
    """Tokens of images, video and sound that join each prompt."""
    total: Array = 0.0
    for load in loads(case):
        if not load.crosses:
            total = total + load.segments * load.tokens
    return total


def cross_positions(case: Case) -> Count:
    """Positions that a request attends to across: of all its images, of one window of sound."""
    total: Count = 0.0
    for load in loads(case):
        if load.crosses:
            together = isinstance(case.model.encoders[load.encoder], VisionEncoder)
            total = total + load.tokens * (
                load.segments if together else np.minimum(load.segments, 1.0)
            )
    return total


def is_served(case: Case) -> BoolArray:
    """Whether the model reads what requests hold, and makes what they ask for."""
    if _makes_pictures(case) is not isinstance(case.workload, Media):
        return as_array(False)
    served = as_array(True)
    if not _reads(case, "vision"):
        served = served & (_seen(case) == 0)
    if not _reads(case, "audio"):
        served = served & (_heard(case) == 0)
    if case.model.needs_media:
        served = served & (_seen(case) + _heard(case) > 0)
    return as_array(served)


def unserved(case: Case) -> str:
    """What the model does not read or make of the case's requests, in one line; else nothing."""
    makes, asked = _makes_pictures(case), isinstance(case.workload, Media)
    faults = {
        "the model makes pictures, not tokens: take a workload of kind 'media'": makes > asked,
        "the workload asks for pictures, and the model makes tokens: take model=flux.1-dev": (
            asked > makes
        ),
        "requests hold images or video, and the model has no vision encoder: take one that"
        " has, such as model=qwen2.5-vl-72b": not _reads(case, "vision")
        and bool(np.any(_seen(case) > 0)),
        "requests hold sound, and the model has no audio encoder: take model=whisper-large": (
            not _reads(case, "audio") and bool(np.any(_heard(case) > 0))
        ),
        "the model reads sound or images, and requests hold none: take trend=audio": (
            case.model.needs_media and not np.any(_seen(case) + _heard(case) > 0)
        ),
    }
    return next((fault for fault, holds in faults.items() if holds), "")


def _makes_pictures(case: Case) -> bool:
    return isinstance(case.model.generation, MediaDiffusion)


def _reads(case: Case, kind: str) -> bool:
    return any(encoder.kind == kind for encoder in case.model.encoders.values())


def _seen(case: Case) -> FloatArray:
    return as_array(case.trend.images + case.trend.video)


def _heard(case: Case) -> FloatArray:
    return as_array(case.trend.audio)
