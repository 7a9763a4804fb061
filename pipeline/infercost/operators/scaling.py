"""The strength of a trend: one number that scales all that it adds to requests and models."""

from __future__ import annotations

import numpy as np

from infercost.arrays import as_array
from infercost.specs.case import Case
from infercost.specs.trend import Trend

ADDED = ("prompt_tokens", "output_tokens", "images", "video", "audio")
"""What a trend adds in proportion to its dose."""


def scaled(case: Case) -> Case:
    """The case with its trend at its dose; the case itself where the dose is 1.

    Amounts and searches grow in proportion, experts to the nearest whole number, branches and skew
    from one to what is stated; denoising steps by the dose's power of their factor.
    """
    trend = case.trend
    if np.all(as_array(trend.dose) == 1.0):
        return case
    return case.model_copy(update={"trend": _at_dose(trend)})


def _at_dose(trend: Trend) -> Trend:
    dose = as_array(trend.dose, dtype=np.float64)
    changed: dict[str, object] = {name: getattr(trend, name) * dose for name in ADDED}
    changed["experts"] = np.rint(trend.experts * dose)
    for name in ("branches", "expert_skew"):
        changed[name] = 1.0 + (as_array(getattr(trend, name)) - 1.0) * dose
    if np.any(as_array(trend.denoising) != 1):
        changed["denoising"] = as_array(trend.denoising) ** dose
    if trend.retrieval is not None:
        rounds = trend.retrieval.rounds * dose
        changed["retrieval"] = trend.retrieval.model_copy(update={"rounds": rounds})
    # Once applied the dose is 1, so that the answer may be scaled again.
    return trend.model_copy(update={**changed, "dose": 1.0})
