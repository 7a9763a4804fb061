"""All kinds of mitigation: every module of `infercost.mitigations` adds its own."""

from __future__ import annotations

import importlib
import pkgutil
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from infercost.specs.mitigation import BaseMitigation


def kinds() -> tuple[type[BaseMitigation], ...]:
    """The specs of all kinds, by module."""
    package: Any = importlib.import_module("infercost.mitigations")
    found = []
    for module in sorted(info.name for info in pkgutil.iter_modules(package.__path__)):
        content = vars(importlib.import_module(f"infercost.mitigations.{module}"))
        found += [
            entry
            for entry in content.values()
            if isinstance(entry, type)
            and issubclass(entry, BaseMitigation)
            and "kind" in entry.model_fields
            and entry.__module__ == f"infercost.mitigations.{module}"
        ]
    return tuple(found)


if TYPE_CHECKING:
    Mitigation = BaseMitigation
else:
    Mitigation = Annotated[reduce(or_, kinds()), Field(discriminator="kind")]
