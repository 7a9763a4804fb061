"""Offload: a further tier of memory, such as the host's, takes what does not fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from infercost.specs.fields import CountOrZeroField
from infercost.specs.memory import Memory
from infercost.specs.mitigation import BaseMitigation
from infercost.specs.plan import TensorClass

if TYPE_CHECKING:
    from infercost.specs.case import Case

TIER = "offload"


class Offload(BaseMitigation):
    """Memory behind the host's port, on which `classes` lie; 0 units of it are none.

    Every pass reads there what lies there, at the rate of the port.
    """

    SWITCHES: ClassVar = {"units": (0.0,)}
    IDLE: ClassVar = "all lies elsewhere: name what to move in 'classes'"

    kind: Literal["offload"]
    memory: Memory
    units: CountOrZeroField
    """Modules of it per device."""
    classes: list[TensorClass] = Field(default_factory=list)
    """What is moved there first; without any, what does not fit elsewhere."""

    def applied(self, case: Case) -> Case:
        """The case with the tier, which costs what the host has anyway."""
        if TIER in case.hardware.memory:
            raise self.refused(case, "another mitigation offloads already", "List one of them")
        memory = self.memory.model_copy(update={"stacks": self.units})
        tiers = {**case.hardware.memory, TIER: memory}
        hardware = case.hardware.model_copy(update={"memory": tiers})
        placement = case.plan.placement
        if self.classes:
            known = list(case.hardware.memory)
            order = {name: [TIER, *known] for name in self.classes}
            placement = placement.model_copy(update={"order": {**placement.order, **order}})
        plan = case.plan.model_copy(update={"placement": placement})
        return case.model_copy(update={"hardware": hardware, "plan": plan})
