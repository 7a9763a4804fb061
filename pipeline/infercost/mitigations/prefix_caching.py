"""Prefix caching: caches of prompts' heads are kept, and found again by later requests."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from infercost.arrays import as_array
from infercost.errors import SpecError
from infercost.specs.fields import (
    BytesPerSecondField,
    FractionField,
    UsdField,
)
from infercost.specs.mechanisms import Prefix
from infercost.specs.mitigation import BaseMitigation

if TYPE_CHECKING:
    from infercost.specs.case import Case


class PrefixCaching(BaseMitigation):
    """A share of prompt tokens is read from a pool of kept caches instead of computed; 0 is none.

    The pool lies in the device's own memory (`own_share` of its capacity), or elsewhere at a price
    and a rate per device. Hits are taken as spread evenly over prompts, at their head. Of a
    trace with prefix blocks a plan's cache (`plan.prefix_cache`) simulates hits instead.
    """

    SWITCHES: ClassVar = {"hit_rate": (0.0,)}
    IDLE: ClassVar = "nothing is prefilled: take a workload with prompts and outputs"

    kind: Literal["prefix_caching"]
    hit_rate: FractionField
    bandwidth: BytesPerSecondField
    """Rate per device at which found caches arrive."""
    overlap: FractionField = 0.0
    """Share of what loading could at most hide behind the rest of the prefill, layer by layer."""
    own_share: FractionField = 0.0
    """Share of the device's memory that kept caches take."""
    pool_price: UsdField = 0.0
    """What the pool adds to the price of a device."""

    def applied(self, case: Case) -> Case:
        """The case with shorter prefills, and a pool to pay for."""
        if case.model.generation.kind not in ("autoregressive", "block_diffusion"):
            raise self.refused(case, "it keeps no cache of a prompt", self.instead(case))
        self._check_alone(case)
        hardware = case.hardware
        prefix = Prefix(self.hit_rate, self.bandwidth, self.overlap, self.own_share)
        price = hardware.price + self.pool_price
        rent = hardware.rental_price * price / hardware.price
        paid = hardware.model_copy(update={"price": price, "rental_price": rent})
        mechanisms = replace(case.mechanisms, prefix=prefix)
        return case.model_copy(update={"hardware": paid, "mechanisms": mechanisms})

    def _check_alone(self, case: Case) -> None:
        """Refuse a case whose plan, workload or trend has prefixes found already."""
        trend, plan = case.trend, case.plan
        found = {
            "plan.prefix_cache.capacity": plan.prefix_cache.capacity,
            "plan.placement.shared_context": plan.placement.shared_context,
            "workload.cached_tokens": getattr(case.workload, "cached_tokens", 0.0),
            "trend.cached_share": trend.cached_share * trend.prompt_tokens,
        }
        for key, value in found.items():
            if np.any(as_array(value) > 0):
                fault = f"{key} has prefixes found already, and both would count them twice"
                remedy = f"Leave one of them out: {key}=0, or no such mitigation"
                raise SpecError(f"mitigation '{self.name}'", "hit_rate", fault, remedy)
