"""No mitigation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from infercost.specs.mitigation import BaseMitigation

if TYPE_CHECKING:
    from infercost.specs.case import Case


class NoMitigation(BaseMitigation):
    """The case as it is."""

    kind: Literal["none"]

    def applied(self, case: Case) -> Case:
        """The case."""
        return case
