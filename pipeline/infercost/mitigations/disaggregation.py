"""Disaggregation: prefill on a pool of its own, which hands caches over a link."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from infercost.arrays import as_array
from infercost.specs.fields import (
    BytesPerSecondField,
    CountField,
    FractionField,
    LatencyField,
)
from infercost.specs.hardware import Hardware
from infercost.specs.mechanisms import Beside
from infercost.specs.mitigation import BaseMitigation, Stage

if TYPE_CHECKING:
    from infercost.specs.case import Case


class Disaggregation(BaseMitigation):
    """A share of prefills runs on other devices, in steady state and sized to the load; 0 none.

    Both pools are busy all the time; what a rounding to whole replicas leaves idle is left out, as
    is the traffic's energy on the link.
    """

    SWITCHES: ClassVar = {"share": (0.0,)}
    STAGE: ClassVar = Stage.POOLS
    IDLE: ClassVar = "nothing is prefilled: take a workload with prompts and outputs"

    kind: Literal["disaggregation"]
    share: FractionField
    """Share of prefills that the pool takes."""
    bandwidth: BytesPerSecondField
    """Rate at which one device of the pool hands its part of a cache over."""
    alpha: LatencyField
    """Fixed time of one hand-over."""
    tp: CountField | None = None
    """Tensor parallelism of the pool; none stated: that of decode."""
    hardware: Hardware | None = None
    """Devices of the pool; none stated: those of decode."""

    def applied(self, case: Case) -> Case:
        """The case with a pool beside it."""
        if case.model.generation.kind not in ("autoregressive", "block_diffusion"):
            raise self.refused(case, "it has no prefill", self.instead(case))
        if case.plan.phases != "colocated":
            fault = "plan.phases parts prefill from decode already, and hands caches over"
            raise self.refused(case, fault, "Take plan.phases=colocated, or no such mitigation")
        if np.any(as_array(case.mechanisms.fused) > 0):
            fault = "chunked prefill shares passes of prefill and decode, which part here"
            raise self.refused(case, fault, "List one of the two")
        update: dict[str, object] = {"unmitigated": case}
        if self.tp is not None:
            update["plan"] = case.plan.model_copy(update={"tp": self.tp})
        if self.hardware is not None:
            update["hardware"] = self.hardware
        beside = Beside(case.model_copy(update=update), self.share, 0.0, self.bandwidth, self.alpha)
        mechanisms = replace(case.mechanisms, pool=beside)
        return case.model_copy(update={"mechanisms": mechanisms})
