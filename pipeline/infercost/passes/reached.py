"""What a calibration says of one device and format."""

from __future__ import annotations

from collections.abc import Mapping

from infercost.arrays import Array
from infercost.equations import roofline
from infercost.specs.calibration import SHARES, Calibration
from infercost.specs.case import Case, stored_format


def calibration_of(case: Case) -> Calibration:
    """The case's calibration for its device's architecture and its weights' formats."""
    weights, experts = stored_format(case, "weights"), stored_format(case, "experts")
    return specialised(case.calibration, case.hardware.architecture, weights, experts)


def specialised(
    calibration: Calibration, architecture: str, weights: str, experts: str = ""
) -> Calibration:
    """A calibration with the numbers of formats, and the factors of an architecture on all."""
    changed: dict[str, Array] = {}
    for own in (calibration.formats.get(weights), calibration.experts.get(experts)):
        changed |= own.model_dump(exclude_none=True) if own else {}
    chosen = calibration.model_copy(update=changed) if changed else calibration
    return factored(chosen, calibration.architectures.get(architecture, {}))


def factored(calibration: Calibration, factors: Mapping[str, Array]) -> Calibration:
    """A calibration with factors on the odds of shares and on amounts as they are."""
    changed: dict[str, Array] = {}
    for name, factor in factors.items():
        value = getattr(calibration, name)
        share = name in SHARES
        changed[name] = roofline.scaled_odds(value, factor) if share else value * factor
    return calibration.model_copy(update=changed)
