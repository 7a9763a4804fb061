"""One combination of options."""

from __future__ import annotations

from infercost.specs.calibration import Calibration
from infercost.specs.direction import Direction
from infercost.specs.economics import Economics
from infercost.specs.fields import CountField, Spec
from infercost.specs.hardware import Hardware
from infercost.specs.model import Model
from infercost.specs.plan import Plan
from infercost.specs.trend import Trend
from infercost.specs.workload import Workload


class Case(Spec):
    """Everything that one evaluation needs, in SI units."""

    hardware: Hardware
    model: Model
    workload: Workload
    trend: Trend
    plan: Plan
    economics: Economics
    calibration: Calibration
    direction: dict[str, Direction] = {}
    """Directions by name, in the order in which they apply to the hardware."""
    batch: CountField
    """Sequences in flight per replica."""
    base: Hardware | None = None
    """The hardware without directions, where they have been applied."""


GROUPS = (
    "hardware",
    "model",
    "workload",
    "trend",
    "plan",
    "economics",
    "calibration",
    "direction",
)
"""Config groups whose options make up a case, in the order of the table's key columns.

An option of `direction` is a combination: names joined by '+', each with '@best' or '@worst' where
it is taken at one end of what sources say."""
