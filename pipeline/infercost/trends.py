"""Which trends suit which models: what a trend would change has to be there."""

from __future__ import annotations

from typing import Any

import numpy as np

from infercost.errors import SpecError
from infercost.specs.case import Case
from infercost.specs.generation import MediaDiffusion
from infercost.specs.trend import Trend

ADDED_TO_TEXT = ("prompt_tokens", "output_tokens")


def why_idle(trend: Trend) -> str:
    """What a trend that changes nothing may lack, and what to do; nothing where none is known."""
    if _any(np.asarray(trend.expert_skew) != 1):
        return "experts do not lie on devices of their own: take plan.ep above 1"
    if _any(np.asarray(trend.branches) > 1):
        return "branches share a prefill, and there is none: take a workload with prompts"
    if _any(np.asarray(trend.experts) > 0):
        return "the model's experts are as many already: vary trend.experts"
    return ""


def suited(case: Case) -> Case:
    """The case itself; raises `SpecError` where its trend finds nothing to act on.

    What a model does not read (images, sound) is no fault of this kind: such requests are rows that
    it does not serve.
    """
    if not np.any(np.asarray(case.trend.dose) > 0):
        return case
    for found, fault, remedy in _unsuited(case):
        if found:
            place, fault = (
                f"trend '{case.trend.name}'",
                f"does not suit '{case.model.name}': {fault}",
            )
            raise SpecError(place, "", fault, remedy)
    return case


def _unsuited(case: Case) -> tuple[tuple[bool, str, str], ...]:
    """Whether a trend finds nothing to act on, why, and what to do."""
    trend, model = case.trend, case.model
    kinds = {model.ffns[layer.ffn].kind for layer in model.layers.values()}
    routed = "moe" in kinds or _any(np.asarray(trend.experts) > 1)
    pictures = isinstance(model.generation, MediaDiffusion)
    diffuses = model.generation.kind in ("block_diffusion", "sequence_diffusion")
    text = any(_any(np.asarray(getattr(trend, name)) > 0) for name in ADDED_TO_TEXT)
    searched = trend.retrieval is not None and _any(np.asarray(trend.retrieval.rounds) > 0)
    return (
        (
            pictures and (text or searched or _any(np.asarray(trend.branches) > 1)),
            "it makes pictures from a prompt of fixed length",
            "Vary workload.width, workload.frames or workload.steps instead",
        ),
        (
            not (diffuses or pictures) and _any(np.asarray(trend.denoising) != 1),
            "it writes one token after the other and denoises none",
            "Take a diffusion model, such as model=llada-8b",
        ),
        (
            not routed and _any(np.asarray(trend.expert_skew) != 1),
            "it has no routed experts",
            "Take one that has, such as model=mixtral-8x7b, or add trend.experts=64",
        ),
        (
            not kinds & {"dense", "moe"} and _any(np.asarray(trend.experts) > 0),
            "it has no feed-forward block to put experts in place of",
            "Take a model that has, such as model=llama-3.1-8b",
        ),
    )


def _any(found: Any) -> bool:
    return bool(np.any(found))
