"""Fewer bits for weights, caches or activations, and the time of converting them back."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from infercost.arrays import as_array
from infercost.specs.fields import NonNegativeField, PositiveField
from infercost.specs.formats import BITS
from infercost.specs.mitigation import BaseMitigation
from infercost.specs.mixers import GROWING
from infercost.specs.plan import NATIVE, ComputeFormat, StoredFormat

if TYPE_CHECKING:
    from infercost.specs.case import Case

CLASSES = ("weights", "experts", "kv", "activations", "dispatch", "combine")


class Quantisation(BaseMitigation):
    """Narrower formats per tensor class; `native` leaves a class as it is.

    Scales and zero points are part of a format's bits (`specs.formats`). Where products are
    computed in a wider format than weights are kept in, each stored weight is converted once per
    tile of rows.
    """

    TOGETHER: ClassVar = True

    kind: Literal["quantisation"]
    weights: StoredFormat = NATIVE
    experts: StoredFormat = NATIVE
    kv: StoredFormat = NATIVE
    activations: StoredFormat = NATIVE
    dispatch: StoredFormat = NATIVE
    combine: StoredFormat = NATIVE
    compute: ComputeFormat = NATIVE
    spares_tables: bool = False
    """Whether embeddings, head and routers stay as they are when weights get narrower."""
    weight_operations: NonNegativeField = 0.0
    """Vector operations that convert one stored weight."""
    kv_operations: NonNegativeField = 0.0
    """Vector operations that convert one element of a cache."""
    vector_share: PositiveField = 1.0
    """Rate of vector operations over the 16-bit peak of the matrix units."""
    tile_rows: PositiveField = 128.0
    """Rows of a product that share one conversion."""

    def rank(self) -> tuple[float, ...]:
        """Wide formats before narrow ones, many before few: a class keeps its narrowest."""
        asked = self._asked()
        return (-min((BITS[to] for to in asked.values()), default=0.0), -float(len(asked)))

    def _asked(self) -> dict[str, str]:
        """Formats by tensor class, of those that change."""
        return {c: getattr(self, c) for c in CLASSES if getattr(self, c) != NATIVE}

    def applied(self, case: Case) -> Case:
        """Formats of the plan, as far as they are narrower than what is there."""
        from infercost.specs.case import stored_format, tables_format

        asked = self._asked()
        if not asked:
            return case
        narrower: dict[str, Any] = {
            c: to for c, to in asked.items() if BITS[to] < BITS[stored_format(case, c)]
        }
        for name in _absent(case) & set(narrower):
            del narrower[name]
        if not narrower:
            fault = f"its {' and '.join(asked)} are as narrow already, or not there"
            raise self.refused(
                case, fault, "Take a narrower format, or speculation-lookup, instead"
            )
        if self.compute != NATIVE:
            narrower["compute"] = self.compute
        if any(before <= set(narrower) for before in case.mechanisms.narrowed):
            fault = (
                f"nothing is left of an earlier one: {' and '.join(narrower)} get narrower still"
            )
            raise self.refused(case, fault, "List the narrower of the two alone")
        formats = case.plan.formats.model_copy(update=narrower)
        mechanisms = case.mechanisms
        mechanisms = replace(mechanisms, narrowed=(*mechanisms.narrowed, frozenset(narrower)))
        if "weights" in narrower and self.spares_tables and mechanisms.tables is None:
            wide = tables_format(case) or stored_format(case, "weights")
            mechanisms = replace(mechanisms, tables=wide)
        cost = self.weight_operations / self.vector_share
        if "weights" in narrower:
            mechanisms = replace(mechanisms, weight_conversion=cost, conversion_rows=self.tile_rows)
        if "experts" in narrower:
            mechanisms = replace(mechanisms, expert_conversion=cost, conversion_rows=self.tile_rows)
        if "kv" in narrower:
            cost = self.kv_operations / self.vector_share
            mechanisms = replace(mechanisms, kv_conversion=cost)
        plan = case.plan.model_copy(update={"formats": formats})
        return case.model_copy(update={"plan": plan, "mechanisms": mechanisms})


def _absent(case: Case) -> set[str]:
    """Tensor classes that the model does not have."""
    routed = any(ffn.kind == "moe" for ffn in case.model.ffns.values())
    none = set() if routed or np.any(as_array(case.trend.experts) > 1) else {"experts"}
    return none if _grows(case) else {*none, "kv"}


def _grows(case: Case) -> bool:
    """Whether the model keeps a cache that grows with its context."""
    if case.model.generation.kind in ("sequence_diffusion", "media_diffusion"):
        return False
    return any(
        case.model.mixers[layer.mixer].kind in GROWING for layer in case.model.layers.values()
    )
