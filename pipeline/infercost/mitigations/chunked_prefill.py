"""Chunked prefill: parts of prompts ride in one pass with the decode batch."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from infercost.arrays import as_array, number
from infercost.errors import SpecError
from infercost.specs.fields import TokensOrZeroField
from infercost.specs.mitigation import BaseMitigation

if TYPE_CHECKING:
    from infercost.specs.case import Case


class ChunkedPrefill(BaseMitigation):
    """Prompts are computed in chunks, each beside a decode step that then reads no weights of its
    own; 0 leaves prefills as they are."""

    SWITCHES: ClassVar = {"chunk": (0.0,)}
    IDLE: ClassVar = "no prompts are due beside decode steps: take a workload with both"

    kind: Literal["chunked_prefill"]
    chunk: TokensOrZeroField
    """Most tokens of prompts in one pass."""

    def applied(self, case: Case) -> Case:
        """The case with the plan's chunks cut to that size, and passes shared."""
        if case.model.generation.kind != "autoregressive":
            raise self.refused(case, "its steps are no single tokens", self.instead(case))
        if case.plan.phases != "colocated":
            fault = "its prefill runs on a pool of its own, with no decode to share a pass"
            raise self.refused(case, fault, "Take plan.phases=colocated")
        if np.any(as_array(self.chunk) < 1):
            fault = f"{number(np.min(as_array(self.chunk))):g} is less than a token"
            raise SpecError(f"mitigation '{self.name}'", "chunk", fault, "Write 1 or more, or 0")
        chunk = np.minimum(case.plan.prefill_chunk, self.chunk)
        plan = case.plan.model_copy(update={"prefill_chunk": chunk})
        mechanisms = replace(case.mechanisms, fused=1.0)
        return case.model_copy(update={"plan": plan, "mechanisms": mechanisms})
