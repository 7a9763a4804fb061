"""Encoders that turn images and sound into what the language model reads."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from infercost.specs.fields import CountField, CountOrZeroField, DurationField, Spec


class _Tower(Spec):
    """A bidirectional transformer over the positions of one segment: a tile, frame or window."""

    n_layers: CountField
    d_model: CountField
    d_ff: CountField
    gated: bool
    n_heads: CountField
    projector: CountOrZeroField
    """Entries of the projection into the language model, applied to each of its tokens."""
    feeds: Literal["prompt", "cross"]
    """Whether the tokens join the prompt, or are attended to by layers of their own."""


class VisionEncoder(_Tower):
    """A vision tower: patches of tiles or of whole images."""

    kind: Literal["vision"]
    patch: CountField
    """Pixels per patch along one side."""
    frames_per_patch: CountField = 1
    """Frames of a video that share one patch."""
    merge: CountField
    """Patches along one side that become one token of the language model."""
    tile: CountOrZeroField
    """Pixels along one side of a tile; 0 where an image keeps its own resolution."""
    most_tiles: CountField = 1
    """Tiles of one image at most; larger images are scaled down."""
    thumbnail: bool = False
    """One more tile that shows an image of several tiles whole."""
    joined: bool = False
    """Whether the tiles of one image see one another, so that they are one segment."""
    class_tokens: CountOrZeroField = 0
    """Positions beside the patches of a tile, which the language model reads too."""
    window: CountOrZeroField = 0
    """Patches that a patch sees in windowed layers; 0 where all see the whole segment."""
    n_full_layers: CountOrZeroField = 0
    """Layers that see the whole segment beside windowed ones; of no meaning without a window."""


class AudioEncoder(_Tower):
    """An audio encoder: windows of sound, each encoded whole."""

    kind: Literal["audio"]
    window: DurationField
    positions: CountField
    """Positions of one window, all of which the language model reads."""
    stem: CountOrZeroField
    """Entries of the convolutions in front, applied to each position."""


Encoder = Annotated[VisionEncoder | AudioEncoder, Field(discriminator="kind")]
