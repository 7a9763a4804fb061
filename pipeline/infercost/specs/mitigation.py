"""A software mitigation: what every kind states. Kinds are modules of `infercost.mitigations`."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from pydantic import Field

from infercost.arrays import as_array
from infercost.errors import SpecError
from infercost.specs.direction import Range
from infercost.specs.fields import SourcedSpec, Spec

if TYPE_CHECKING:
    from infercost.specs.case import Case


class Stage(IntEnum):
    """When a kind applies, whatever its place in a list: a set of mitigations has no order.

    These are all that do not commute. Whatever a kind changes has to be there by then, and whatever
    stands beside the case is a copy of what all others made of it.
    """

    MODEL = 1
    """Another model stands in for the case's: distillation."""
    CASE = 2
    """Layers, requests, formats and devices of that model."""
    CACHES = 3
    """What stays of caches, which sparse attention may have made an indexer choose from."""
    DRAFTS = 4
    """Drafters are made of the model's layers, and a head attends as they do."""
    POOLS = 5
    """Prefill's devices take the same model in the same formats, with the same prefixes found."""
    ROUTES = 6
    """A lighter model takes what serves any model, on devices that do both phases."""


class Quality(Spec):
    """What an answer loses by a mitigation."""

    loss: Annotated[float, Field(le=1)] | None = None
    """Share of a benchmark's score that is lost; below 0: gained. Absent: unknown."""
    measure: str
    """Which benchmark on which model; of an unknown loss, why nothing is known."""


class BaseMitigation(SourcedSpec):
    """A change to a case, or a mechanism added to it; at a neutral dose the case stays as it is."""

    SWITCHES: ClassVar[Mapping[str, tuple[float, ...]]] = {}
    """Doses that switch it off, by field: a value of their own, not the limit of small ones."""
    STAGE: ClassVar[Stage] = Stage.CASE
    TOGETHER: ClassVar[bool] = False
    """Whether several of the kind may act on one case; if not, one of them would be lost."""
    IDLE: ClassVar[str] = ""
    """Why it may change nothing where it applies, and what to do: told where it does not."""

    name: str
    quality: Quality
    parameters: dict[str, str] = {}
    """Short names of what one wants to vary, each a dotted path below this mitigation."""
    ranges: dict[str, Range] = {}
    """Numbers about which sources disagree; `name@best` and `name@worst` take one end of all."""

    def off(self) -> bool:
        """Whether a dose switches it off. Raises `SpecError` where it does at some points only."""
        for name, values in self.SWITCHES.items():
            neutral = np.isin(as_array(getattr(self, name)), values)
            if np.any(neutral) and not np.all(neutral):
                raise SpecError(
                    f"mitigation '{self.name}'",
                    name,
                    f"{values[0]:g} switches it off, and shares no axis with other doses",
                    "Evaluate it apart",
                )
            if np.any(neutral):
                return True
        return False

    def rank(self) -> tuple[float, ...]:
        """Order among those of its kind, where several may act; of equal rank, names decide."""
        return ()

    def applied(self, case: Case) -> Case:
        """The case with the mitigation, which is not `off`; the case itself where nothing changes.

        Raises `SpecError` where it does not apply.
        """
        raise NotImplementedError

    def lost(self) -> float:
        """Share of a benchmark's score that is lost at this dose; not a number: unknown."""
        return float("nan") if self.quality.loss is None else self.quality.loss

    def instead(self, case: Case) -> str:
        """What else helps a model of the case's kind."""
        kind = case.model.generation.kind
        if kind == "media_diffusion":
            return "Take fp8, or fewer workload.steps, instead"
        if kind != "autoregressive":
            return "Take fp8, or more model.generation.tokens_per_step, instead"
        return "Take fp8 or speculation-lookup instead"

    def refused(self, case: Case, fault: str, remedy: str) -> SpecError:
        """Why it does not apply to a case."""
        return SpecError(
            f"mitigation '{self.name}'", "", f"does not suit '{case.model.name}': {fault}", remedy
        )
