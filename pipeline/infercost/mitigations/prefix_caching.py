"""Prefix caching: caches of prompts' heads are kept, and found again by later requests."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np

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
    and a rate per device. Hits are taken as spread evenly over prompts, at their head.
    """

    kind: Literal["prefix_caching"]
    hit_rate: FractionField
    bandwidth: BytesPerSecondField
    """Rate per device at which found caches arrive."""
    overlap: FractionField = 0.0
    """Share of the rest of the prefill behind which loading may hide, layer by layer."""
    own_share: FractionField = 0.0
    """Share of the device's memory that kept caches take."""
    pool_price: UsdField = 0.0
    """What the pool adds to the price of a device."""

    def applied(self, case: Case) -> Case:
        """The case with shorter prefills, and a pool to pay for."""
        if not np.any(np.asarray(self.hit_rate) > 0):
            return case
        if case.model.generation.kind not in ("autoregressive", "block_diffusion"):
            raise self.refused(case, "it keeps no cache of a prompt", "Leave it out")
        hardware = case.hardware
        capacity = sum((m.total_capacity for m in hardware.memory.values()), start=0.0)
        prefix = Prefix(self.hit_rate, self.bandwidth, self.overlap, self.own_share * capacity)
        price = hardware.price + self.pool_price
        rent = hardware.rental_price * price / hardware.price
        paid = hardware.model_copy(update={"price": price, "rental_price": rent})
        mechanisms = replace(case.mechanisms, prefix=prefix)
        return case.model_copy(update={"hardware": paid, "mechanisms": mechanisms})
