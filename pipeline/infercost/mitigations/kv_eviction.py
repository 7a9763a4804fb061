"""Eviction: a part of the cache is dropped after the prefill, and as it grows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from infercost.arrays import as_array
from infercost.specs.fields import EfficiencyField, WholeTokensField
from infercost.specs.mitigation import BaseMitigation, Stage

if TYPE_CHECKING:
    from infercost.specs.case import Case


class KvEviction(BaseMitigation):
    """A share of the tokens, or so many at most, stays in caches that grow without a window.

    The prefill sees everything, and holds it until it is done. Leaves out the scores by which
    tokens are chosen: a running sum that the attention core has at hand.
    """

    SWITCHES: ClassVar = {"kept": (1.0,)}
    STAGE: ClassVar = Stage.CACHES
    TOGETHER: ClassVar = True
    IDLE: ClassVar = "caches are within its budget: lower that, or take longer prompts"

    kind: Literal["kv_eviction"]
    kept: EfficiencyField = 1.0
    budget: WholeTokensField | None = None
    """Most tokens that stay; none means no bound."""

    def off(self) -> bool:
        """Whether neither a share nor a number of tokens bounds the cache."""
        return self.budget is None and super().off()

    def applied(self, case: Case) -> Case:
        """The case with a smaller cache in decode."""
        mixers = [case.model.mixers[layer.mixer] for layer in case.model.layers.values()]
        open_ended = [m for m in mixers if m.kind in ("gqa", "mla") and m.window is None]
        if case.model.generation.kind not in ("autoregressive", "block_diffusion"):
            raise self.refused(case, "it keeps no cache", self.instead(case))
        if not open_ended:
            fault = "no layer of it keeps every token"
            raise self.refused(case, fault, self.instead(case))
        if any(getattr(m, "indexer", None) is not None for m in open_ended):
            fault = "its indexer chooses among all tokens, which must stay"
            raise self.refused(case, fault, "Take kv8 instead: it reads few of them already")
        before = case.mechanisms
        shares = np.any(as_array(before.kept) < 1) and np.any(as_array(self.kept) < 1)
        if shares or (self.budget is not None and before.budget is not None):
            stated = "share" if shares else "budget"
            fault = f"another eviction states a {stated} of the cache, and one would be lost"
            raise self.refused(case, fault, "List one of the two")
        budget = before.budget if self.budget is None else self.budget
        mechanisms = replace(before, kept=before.kept * self.kept, budget=budget)
        return case.model_copy(update={"mechanisms": mechanisms})
