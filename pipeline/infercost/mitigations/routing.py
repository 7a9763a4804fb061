"""Routing, cascades and distillation: a lighter model answers a share of the requests."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from infercost.errors import SpecError
from infercost.specs.fields import CountField, EfficiencyField, FractionField
from infercost.specs.hardware import Hardware
from infercost.specs.mechanisms import Beside, Mechanisms
from infercost.specs.mitigation import BaseMitigation, Stage
from infercost.specs.model import Model
from infercost.specs.workload import Snapshot

if TYPE_CHECKING:
    from infercost.specs.case import Case


class Routing(BaseMitigation):
    """A lighter model answers `share` of the requests, the case's own the rest; 0 none.

    In a cascade it tries all of them, and those that it fails are answered again. Both are sized to
    their load. Leaves out the router, and differences between what is easy and what is long.
    """

    SWITCHES: ClassVar = {"share": (0.0,)}
    STAGE: ClassVar = Stage.ROUTES

    kind: Literal["routing"]
    share: FractionField
    """Share of requests whose answer comes from the lighter model."""
    stated_share: EfficiencyField = 1.0
    """Share at which the loss of quality is stated."""
    cascade: bool = False
    model: Model
    tp: CountField = 1
    """Devices of one replica of the lighter model."""
    batch: CountField | None = None
    """Its sequences in flight; none stated: the case's."""
    hardware: Hardware | None = None
    """Where it runs, such as the user's own device; none stated: the case's."""

    def applied(self, case: Case) -> Case:
        """The case with the lighter one beside it; the lighter one alone where it takes all."""
        if case.model.generation.kind == "media_diffusion" or case.model.needs_media:
            raise self.refused(case, "it reads or makes no text alone", self.instead(case))
        if self.cascade and isinstance(case.workload, Snapshot):
            fault = "a snapshot decodes at one context and has no whole answers to judge"
            remedy = "Take a workload of kind 'fixed' or 'trace'"
            raise SpecError(f"mitigation '{self.name}'", "cascade", fault, remedy)
        if _size(self.model) >= _size(case.model):
            fault = f"'{self.model.name}' is no lighter"
            raise self.refused(case, fault, "Route to a smaller model, or leave it out")
        tried = 1.0 - self.share if self.cascade else 0.0
        beside = Beside(self._light(case), self.share, tried, judged=self.cascade)
        mechanisms = replace(case.mechanisms, light=beside)
        return case.model_copy(update={"mechanisms": mechanisms})

    def _light(self, case: Case) -> Case:
        degrees: dict[str, object] = {"tp": self.tp, "pp": 1, "dp": 1, "ep": 1}
        if self.hardware is not None:
            degrees["phases"] = "colocated"  # a device of its own is no pool of the service's
        update: dict[str, object] = {
            "model": self.model,
            "plan": case.plan.model_copy(update=degrees),
            "mechanisms": _shared(case.mechanisms),
            "unmitigated": case,
        }
        if self.batch is not None:
            update["batch"] = self.batch
        if self.hardware is not None:
            update["hardware"] = self.hardware
        return case.model_copy(update=update)

    def lost(self) -> float:
        """The loss stated for `stated_share`, in proportion to the share; all of it at most."""
        lost: float = np.minimum(super().lost() * self.share / self.stated_share, 1.0)
        return lost


class Distillation(BaseMitigation):
    """A smaller model, taught by the case's own, stands in for it; `active` false leaves the
    case."""

    STAGE: ClassVar = Stage.MODEL

    kind: Literal["distillation"]
    active: bool
    model: Model

    def applied(self, case: Case) -> Case:
        """The case with the student as its model."""
        if not self.active:
            return case
        if case.model.generation.kind != "autoregressive" or case.model.needs_media:
            raise self.refused(
                case, "the student was taught by a language model", self.instead(case)
            )
        if _size(self.model) >= _size(case.model):
            fault = f"'{self.model.name}' is no smaller"
            raise self.refused(case, fault, "Mount a smaller model at 'model'")
        plan = case.plan
        if not any(ffn.kind == "moe" for ffn in self.model.ffns.values()):
            plan = plan.model_copy(update={"ep": 1})
        return case.model_copy(update={"model": self.model, "plan": plan})


def _size(model: Model) -> float:
    """Parameters as published, which say which of two models is lighter."""
    return float(model.published.params)


def _shared(mechanisms: Mechanisms) -> Mechanisms:
    """What serves any model; drafts and exits are the heavier one's own."""
    return replace(mechanisms, drafting=None, light=None, pool=None, exits=0.0, exit_at=1.0)
