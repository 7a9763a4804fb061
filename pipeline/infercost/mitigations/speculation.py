"""Speculative decoding: a draft model, a head, the model's own modules or layers, or a look-up."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator

from infercost.arrays import Count, as_array
from infercost.equations.speculation import expected_tokens, measured_tokens
from infercost.specs.feedforward import DenseFeedForward, FeedForward, NoFeedForward
from infercost.specs.fields import CountField, CountOrZeroField, FractionField, LatencyField
from infercost.specs.mechanisms import Drafting
from infercost.specs.mitigation import BaseMitigation, Stage
from infercost.specs.mixers import ATTENDING, Mixer, NoMixer
from infercost.specs.model import LayerGroup, Model

if TYPE_CHECKING:
    from infercost.specs.case import Case


class Speculation(BaseMitigation):
    """`drafted` tokens are guessed and verified in one pass; 0 decodes token by token.

    A `model` drafts token by token; a `head` is one layer of the model's own width on its last
    hidden state; `heads` draft all at once from it, each a square layer and a table; `mtp` runs the
    module that the model was published with; `layers` are the model's own first ones, under its own
    table; `lookup` finds drafts in the text. Output keeps the model's own distribution, so that
    quality does not change.
    """

    SWITCHES: ClassVar = {"drafted": (0.0,)}
    STAGE: ClassVar = Stage.DRAFTS

    kind: Literal["speculation"]
    method: Literal["model", "head", "heads", "mtp", "layers", "lookup"]
    drafted: CountOrZeroField
    acceptance: FractionField
    """Probability that the first draft is accepted."""
    decay: FractionField = 1.0
    """Acceptance of each further draft over that of the one before."""
    correlation: FractionField = 0.0
    """Correlation of the acceptance of two drafts of one text; 0 where all texts are alike."""
    curve: list[float] = Field(default_factory=list)
    """Measured mean tokens per pass at 1, 2, ... drafted ones, in place of the three above."""
    tree: CountOrZeroField = 0
    """Drafted tokens of a tree, of which `drafted` are its depth; 0: a chain."""
    model: Model | None = None
    """The draft model."""
    exit_at: FractionField | None = None
    """Share of the model's layers that draft."""
    vocab: CountField | None = None
    """Entries of a head's own table of outputs; none stated: the model's."""
    joined: CountOrZeroField = 2
    """Hidden states of the model's width that a head joins before its layer; of `heads`, square
    matrices in front of each one's table."""
    overhead: LatencyField = 0.0
    """Time of a step beside passes: look-up of drafts, sampling, choice of what is accepted."""
    overhead_per_sequence: LatencyField = 0.0
    """The same for each sequence of a step: a host that settles its tokens one request after the
    other, while the device waits for what to draft next."""
    draft_launch: LatencyField = 0.0
    """Time in which the host launches one draft: the device waits for what exceeds its own work."""

    @model_validator(mode="after")
    def _a_pass_settles_what_was_drafted(self) -> Speculation:
        least = 1.0
        for drafted, settled in enumerate(self.curve, start=1):
            if not least <= settled <= drafted + 1:
                raise ValueError(
                    f"curve[{drafted - 1}] is {settled:g}, and a pass of {drafted} drafts settles"
                    f" {least:g} to {drafted + 1}: its own token, and no fewer than of fewer drafts"
                )
            least = settled
        return self

    def applied(self, case: Case) -> Case:
        """The case with drafting; what a pass settles is expected from acceptance."""
        if case.model.generation.kind != "autoregressive":
            fault = "it settles several tokens a step of itself"
            raise self.refused(case, fault, "Vary model.generation.tokens_per_step instead")
        if case.model.patches is not None and case.model.patches.local is not None:
            fault = "it writes bytes within a patch one after the other already"
            raise self.refused(case, fault, "Vary model.patches.patch instead")
        if self.curve and np.any(as_array(self.drafted) > len(self.curve)):
            fault = f"its curve ends at {len(self.curve)} drafted tokens"
            raise self.refused(case, fault, "Draft fewer, or leave 'curve' out")
        settled = (
            measured_tokens(self.drafted, self.curve)
            if self.curve
            else expected_tokens(self.drafted, self.acceptance, self.decay, self.correlation)
        )
        drafting = Drafting(
            self.drafted,
            np.maximum(self.drafted, self.tree),
            settled,
            self._drafter(case),
            self.overhead,
            self.overhead_per_sequence,
            self.draft_launch,
            at_once=self.method == "heads",
            within=self.method == "layers",
        )
        mechanisms = replace(case.mechanisms, drafting=drafting)
        return case.model_copy(update={"mechanisms": mechanisms})

    def _drafter(self, case: Case) -> Model | None:
        target = case.model
        if self.method == "lookup":
            return None
        if self.method == "model":
            if self.model is None:
                raise self.refused(case, "no draft model is named", "Mount one at 'model'")
            if not 1 / _PADDED <= self.model.vocab / target.vocab <= _PADDED:
                fault = f"'{self.model.name}' has another vocabulary"
                raise self.refused(case, fault, "Mount a draft model of the same family")
            return self.model
        if self.method == "layers":
            return self._first_layers(case)
        own = self.joined * target.d_model**2
        vocab = target.vocab if self.vocab is None else self.vocab
        if self.method == "heads":
            tables = self.drafted * vocab
            return _alone(
                target, NoMixer(kind="none"), NoFeedForward(kind="none"), own * self.drafted, tables
            )
        if self.method == "mtp":
            module = target.multi_token_prediction
            if module is None:
                fault = "it was published without a module that drafts"
                raise self.refused(case, fault, "Take speculation-eagle or speculation-lookup")
            parts = target.mixers[module.mixer], target.ffns[module.ffn]
            return _alone(target, *parts, own, target.vocab)
        mixer = next((m for m in target.mixers.values() if m.kind in ATTENDING), None)
        if mixer is None:
            fault = "no layer of it attends, as a head's does"
            raise self.refused(case, fault, "Take speculation-model or speculation-lookup")
        block = DenseFeedForward(kind="dense", d_ff=_dense_width(target), gated=True)
        return _alone(target, mixer, block, own, vocab)

    def _first_layers(self, case: Case) -> Model:
        """The first layers under the model's own table: a share of each kind of them.

        Verification runs through all layers again; reusing what drafts left of the first ones
        would save arithmetic, and no reading of weights.
        """
        share = self.exit_at
        if share is None:
            raise self.refused(case, "no layer to draft at is named", "Set 'exit_at'")
        target = case.model
        layers = {
            name: group.model_copy(update={"count": group.count * share})
            for name, group in target.layers.items()
        }
        update = {"layers": layers, "encoders": {}, "multi_token_prediction": None}
        return target.model_copy(update=update)


_PADDED = 1.1
"""Tables of one tokenizer differ in size by less: sizes are rounded up, and tokens reserved."""


def _alone(target: Model, mixer: Mixer, ffn: FeedForward, own: Count, vocab: Count) -> Model:
    """A drafter of one layer, and `own` further weights, beside the model's own embeddings."""
    group = LayerGroup(count=1, mixer="draft", ffn="draft").model_copy(update={"own": own})
    return target.model_copy(
        update={
            "layers": {"draft": group},
            "ffns": {"draft": ffn},
            "mixers": {"draft": mixer},
            "vocab": vocab,
            "tied_embeddings": True,
            "positions": 0,
            "encoders": {},
            "multi_token_prediction": None,
        }
    )


def _dense_width(target: Model) -> int:
    """Width of the model's widest dense block, else the active width of its experts."""
    dense = [f.d_ff for f in target.ffns.values() if f.kind == "dense"]
    routed = [f.n_active * f.d_ff + f.d_ff_shared for f in target.ffns.values() if f.kind == "moe"]
    return int(max(dense or routed or [4 * target.d_model]))
