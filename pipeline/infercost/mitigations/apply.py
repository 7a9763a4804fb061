"""Mitigations of a case, applied by stage and recorded: the order of a list means nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from infercost.errors import SpecError

if TYPE_CHECKING:
    from infercost.specs.case import Case
    from infercost.specs.mitigation import BaseMitigation


def mitigated(case: Case) -> Case:
    """The case with its mitigations applied; `unmitigated` keeps the one without them.

    A case that its mitigations leave alone stays as it is, and so does one that has them applied.
    """
    if case.unmitigated is not None:
        return case
    changed = case
    for mitigation in acting(case.mitigation):
        after = mitigation.applied(changed)
        if after is changed:
            continue
        mechanisms = after.mechanisms
        loss = mechanisms.quality_loss + mitigation.lost()
        update = {"mechanisms": replace(mechanisms, quality_loss=loss)}
        changed = after.model_copy(update=update)
    if changed is case:
        return case
    plain = case.model_copy(update={"mitigation": {}})
    return changed.model_copy(update={"unmitigated": plain})


def acting(mitigations: Mapping[str, BaseMitigation]) -> list[BaseMitigation]:
    """What no dose switches off, in the order of stages.

    Raises `SpecError` for two of one kind of which one would be lost.
    """
    found = sorted(
        ((m.STAGE, m.rank(), name, m) for name, m in mitigations.items() if not m.off()),
        key=lambda entry: entry[:-1],
    )
    first: dict[type[BaseMitigation], BaseMitigation] = {}
    for *_, mitigation in found:
        other = first.setdefault(type(mitigation), mitigation)
        if other is not mitigation and not mitigation.TOGETHER:
            raise SpecError(
                f"mitigation '{mitigation.name}'",
                "",
                f"does not go with '{other.name}': both are of one kind, and one would be lost",
                "List one of the two",
            )
    return [mitigation for *_, mitigation in found]
