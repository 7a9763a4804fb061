"""Mitigations of a case, applied in listed order and recorded."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from infercost.specs.case import Case


def mitigated(case: Case) -> Case:
    """The case with its mitigations applied; `unmitigated` keeps the one without them.

    A case that its mitigations leave alone stays as it is, and so does one that has them applied.
    """
    if case.unmitigated is not None:
        return case
    changed = case
    for mitigation in case.mitigation.values():
        after = changed if mitigation.off() else mitigation.applied(changed)
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
