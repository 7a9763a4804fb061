"""Latent reasoning: thoughts as hidden states that are fed back, without tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from infercost.specs.fields import FractionField
from infercost.specs.mitigation import BaseMitigation

if TYPE_CHECKING:
    from infercost.specs.case import Case


class LatentReasoning(BaseMitigation):
    """Fewer steps in place of a trend's thoughts; 1 leaves them as they are.

    A latent step is a decode step: it reads weights and cache, adds to the cache, and feeds its
    last hidden state back in place of a token's embedding. Its row of logits, which nobody reads,
    is still counted. The model has to be trained for it.
    """

    SWITCHES: ClassVar = {"steps": (1.0,)}

    kind: Literal["latent_reasoning"]
    steps: FractionField
    """Latent steps over the thought tokens that they stand for."""

    def applied(self, case: Case) -> Case:
        """The case with fewer steps before the answer."""
        if case.model.generation.kind != "autoregressive":
            fault = "its steps feed no single hidden state back"
            raise self.refused(case, fault, "Vary model.generation.tokens_per_step instead")
        if not np.any(np.asarray(case.trend.output_tokens) > 0):
            fault = "its requests hold no thoughts"
            raise self.refused(case, fault, "Add some, as trend=reasoning does")
        thoughts = case.trend.output_tokens * self.steps
        trend = case.trend.model_copy(update={"output_tokens": thoughts})
        return case.model_copy(update={"trend": trend})
