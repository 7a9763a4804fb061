"""One combination of options."""

from __future__ import annotations

from typing import Any

from pydantic import InstanceOf

from infercost.specs.calibration import Calibration
from infercost.specs.direction import Direction
from infercost.specs.economics import Economics
from infercost.specs.fields import CountField, Spec
from infercost.specs.hardware import Hardware
from infercost.specs.mechanisms import Mechanisms
from infercost.specs.mitigation_kinds import Mitigation
from infercost.specs.model import Model
from infercost.specs.plan import NATIVE, Plan
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
    mitigation: dict[str, Mitigation] = {}
    """Mitigations by name, in listed order, which means nothing (`specs.mitigation.Stage`)."""
    batch: CountField
    """Sequences in flight per replica."""
    base: Hardware | None = None
    """The hardware without directions, where they have been applied."""
    mechanisms: InstanceOf[Mechanisms] = Mechanisms()
    """What mitigations have set in motion."""
    unmitigated: Any = None
    """The case without mitigations, where they have been applied."""


def stored_format(case: Case, tensor: str) -> str:
    """The format that a tensor class is kept in, `native` resolved by the model."""
    chosen: str = getattr(case.plan.formats, tensor)
    if chosen != NATIVE:
        return chosen
    if tensor in ("dispatch", "combine"):
        return stored_format(case, "activations")
    native: str = getattr(case.model.formats, tensor)
    return native


def tables_format(case: Case) -> str | None:
    """The format of embeddings, head and routers where it is not that of the weights."""
    left, native = case.mechanisms.tables, case.model.formats
    if left is None and stored_format(case, "weights") == native.weights:
        return native.tables
    return left


GROUPS = (
    "hardware",
    "model",
    "workload",
    "trend",
    "plan",
    "economics",
    "calibration",
    "direction",
    "mitigation",
)
"""Config groups whose options make up a case, in the order of the table's key columns.

An option of `direction` or `mitigation` is a combination: names joined by '+', each with '@best' or
'@worst' where it is taken at one end of what sources say."""
