"""Activation sparsity: small inputs of a product are taken for zero, and their weights not read."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Literal

from infercost.arrays import as_array
from infercost.specs.fields import FractionField
from infercost.specs.mitigation import BaseMitigation

if TYPE_CHECKING:
    from infercost.operators.base import Block, Layout, Operator, Pass
    from infercost.specs.case import Case


class ActivationSparsity(BaseMitigation):
    """A share of the inputs of every product in decode is zero: their rows of weights are left out.

    A row is read where any token of the pass needs it, 1 - s^M of them for M tokens, chosen
    independently; products are made of what is read, since a tile has all tokens. The table of
    outputs stays whole. Leaves out the choice itself, a threshold per entry, and that tokens of one
    text choose alike.
    """

    SWITCHES: ClassVar = {"sparsity": (0.0,)}
    IDLE: ClassVar = "passes of so many tokens need every weight: lower the batch"

    kind: Literal["activation_sparsity"]
    sparsity: FractionField
    """Share of inputs taken for zero."""

    def applied(self, case: Case) -> Case:
        """The case with fewer weights read in decode."""
        if case.model.generation.kind != "autoregressive":
            fault = "a pass of it takes so many tokens that every weight is needed"
            raise self.refused(case, fault, self.instead(case))
        changes = (*case.mechanisms.changes, self._thinned)
        return case.model_copy(update={"mechanisms": replace(case.mechanisms, changes=changes)})

    def _thinned(self, layout: Layout, step: Pass, block: Block) -> Block:
        if not step.decode or block.name == "head":
            return block
        return replace(block, operators=tuple(self._read(o) for o in block.operators))

    def _read(self, operator: Operator) -> Operator:
        if operator.kind not in ("matmul", "experts"):
            return operator
        read = 1.0 - as_array(self.sparsity) ** operator.rows
        traffic = {**operator.traffic, "weights": operator.traffic["weights"] * read}
        return replace(
            operator, traffic=traffic, flops=operator.flops * read, packed=operator.packed * read
        )
