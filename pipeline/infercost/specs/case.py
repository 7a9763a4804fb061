"""One combination of options."""

from __future__ import annotations

from infercost.specs.calibration import Calibration
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
    batch: CountField
    """Sequences in flight per replica."""


GROUPS = ("hardware", "model", "workload", "trend", "plan", "economics", "calibration")
"""Config groups whose options make up a case, in the order of the table's key columns."""
