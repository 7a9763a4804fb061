"""The anatomy of a model: mixers and feed-forward blocks, the layers that stack them, encoders."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from infercost.errors import nearest
from infercost.specs.encoders import Encoder
from infercost.specs.feedforward import FeedForward
from infercost.specs.fields import (
    CountField,
    CountOrZeroField,
    PositiveField,
    SourcedSpec,
    Spec,
)
from infercost.specs.formats import known_matrix_format
from infercost.specs.generation import Autoregression, Generation
from infercost.specs.mixers import FormatField, Mixer
from infercost.specs.patches import Patches

MatrixFormatField = Annotated[str, AfterValidator(known_matrix_format)]


class LayerGroup(Spec):
    """`count` layers alike: one mixer and one feed-forward block, by name."""

    count: CountOrZeroField
    mixer: str
    ffn: str
    parallel: bool = False
    """Mixer and feed-forward read the same input, so that one all-reduce serves both."""
    stored: CountField | None = None
    """Sets of weights that the layers share among them; none means one for each."""
    own: CountOrZeroField = 0
    """Weight entries that each layer has beside shared ones: adapters, projections."""


class ModelFormats(Spec):
    """Number formats in which the weights are published and meant to be run."""

    weights: FormatField
    experts: FormatField
    """Format of the routed experts; equals `weights` in most models."""
    kv: FormatField
    activations: FormatField
    """Format between operators and devices."""
    compute: MatrixFormatField
    """Format of the matrix products."""
    tables: FormatField | None = None
    """Format of embeddings, head and routers, which narrow checkpoints leave wide; none: that of
    the weights. It goes with `weights` in their own format."""
    state: FormatField = "fp32"
    """Format of recurrent states."""


class MultiTokenPrediction(Spec):
    """Layers that draft further tokens from the last hidden state: part of what is published.

    They run and take memory only where drafts are decoded with them.
    """

    depth: CountField
    """Modules, one after the other."""
    mixer: str
    ffn: str


class Published(Spec):
    """What the model's card states, for checks of the anatomy."""

    params: PositiveField
    kv_bytes_per_token: PositiveField | None = None
    """All layers at 2 B per element, where a source prints it."""
    mtp_params: PositiveField | None = None
    """Parameters of the multi-token-prediction modules, where stated."""
    exception: str = ""
    """Why the parameter count may differ by more than 1 %."""


class Model(SourcedSpec):
    """A transformer or what takes its place: language models, and diffusion models of pictures."""

    name: str
    d_model: CountField
    vocab: CountOrZeroField
    """Entries of the token table; 0 where no tokens go in or out."""
    tied_embeddings: bool
    positions: CountOrZeroField = 0
    """Rows of a learned position table; 0 for rotary and relative positions."""
    max_context: CountField
    mixers: Annotated[dict[str, Mixer], Field(min_length=1)]
    ffns: Annotated[dict[str, FeedForward], Field(min_length=1)]
    layers: Annotated[dict[str, LayerGroup], Field(min_length=1)]
    generation: Generation = Autoregression(kind="autoregressive")
    encoders: dict[str, Encoder] = {}
    needs_media: bool = False
    """Whether a request without images or sound makes no sense: speech to text."""
    multi_token_prediction: MultiTokenPrediction | None = None
    patches: Patches | None = None
    """Bytes in a position of the layers, where the model reads bytes and no tokens."""
    formats: ModelFormats
    published: Published

    @model_validator(mode="after")
    def _layers_name_their_parts(self) -> Model:
        users: dict[str, LayerGroup | MultiTokenPrediction] = {
            f"layers.{group}": layer for group, layer in self.layers.items()
        }
        if self.multi_token_prediction is not None:
            users["multi_token_prediction"] = self.multi_token_prediction
        for place, user in users.items():
            for part, known in ((user.mixer, self.mixers), (user.ffn, self.ffns)):
                if part not in known:
                    raise ValueError(f"{place} names '{part}'. {nearest(part, known)}")
        if not any(layer.count for layer in self.layers.values()):
            raise ValueError("layers: every group has a count of 0. A model has one layer at least")
        return self

    @model_validator(mode="after")
    def _tokens_need_a_table(self) -> Model:
        if self.vocab == 0 and self.generation.kind != "media_diffusion":
            raise ValueError("vocab is 0. Only a diffusion model of pictures has no tokens")
        return self
