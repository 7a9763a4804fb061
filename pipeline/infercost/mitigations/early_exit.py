"""Early exit: some tokens leave the model before its last layers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Literal

from infercost.specs.fields import FractionField
from infercost.specs.mitigation import BaseMitigation
from infercost.specs.mixers import ATTENDING

if TYPE_CHECKING:
    from infercost.specs.case import Case


class EarlyExit(BaseMitigation):
    """A share of decoded tokens leaves after a share of the layers; 0 leave early.

    Later layers still project the keys and values of tokens that have left. They are passed over
    only where no token of a step needs them, so that their weights are saved at small batches
    alone.
    """

    SWITCHES: ClassVar = {"exits": (0.0,)}
    IDLE: ClassVar = "tokens leave after the last layer: lower exit_at"

    kind: Literal["early_exit"]
    exits: FractionField
    """Share of decoded tokens that leave early."""
    exit_at: FractionField
    """Share of the layers that these pass."""

    def applied(self, case: Case) -> Case:
        """The case with exits."""
        if case.model.generation.kind != "autoregressive":
            fault = "its steps take many tokens, which see each other's last layers"
            raise self.refused(case, fault, self.instead(case))
        if any(
            case.model.mixers[layer.mixer].kind not in (*ATTENDING, "none")
            for layer in case.model.layers.values()
        ):
            fault = "states of layers passed over would miss the token"
            raise self.refused(case, fault, self.instead(case))
        mechanisms = replace(case.mechanisms, exits=self.exits, exit_at=self.exit_at)
        return case.model_copy(update={"mechanisms": mechanisms})
