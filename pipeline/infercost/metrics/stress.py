"""Stress: the share of a total that each resource bounds.

Four totals: the decode step, the mean time to first token, energy and cost per output token. Shares
of one total sum to 1. The terms themselves are share times total. Only money knows capacity: what
unlimited memory would save, known where a study has chosen the point, else 0.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from infercost.arrays import Array, as_array
from infercost.cost import Evaluation
from infercost.registry import add
from infercost.terms import RESOURCES, Terms

_TOTALS: dict[str, tuple[str, Callable[[Evaluation], Terms]]] = {
    "decode": ("the time of a decode step", lambda point: point.decode.time),
    "prefill": ("the mean time to first token after retrieval", lambda point: point.ttft_terms),
    "energy": ("energy per output token", lambda point: point.per_token.energy),
    "cost": ("cost per output token", lambda point: point.per_token_cost),
}


def _share(terms_of: Callable[[Evaluation], Terms], resource: str) -> Callable[[Evaluation], Array]:
    def evaluate(point: Evaluation) -> Array:
        terms = terms_of(point)
        if resource not in terms and terms.is_positive:
            return 0.0  # as small as the axes that it depends on: none
        with np.errstate(invalid="ignore"):  # no prefill, no share of it
            return terms.get(resource, 0.0) / as_array(terms.total)

    return evaluate


for _name, (_meaning, _terms) in _TOTALS.items():
    for _resource in RESOURCES if _name == "cost" else RESOURCES[:-1]:
        add(
            f"{_name}_stress_{_resource}",
            "1",
            f"σ_{_resource}",
            f"Share of {_meaning} bounded by {_resource.replace('_', ' ')}",
            _share(_terms, _resource),
        )
