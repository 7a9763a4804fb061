"""Directions: patches of a case's hardware, applied in listed order and recorded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from pydantic import BaseModel

from infercost.arrays import Array, as_array
from infercost.errors import SpecError
from infercost.specs.case import Case
from infercost.specs.direction import MAIN, Direction
from infercost.specs.hardware import Hardware
from infercost.specs.memory import Memory


def directed(case: Case) -> Case:
    """The case with its directions applied to its hardware; `base` keeps the device without them.

    A case whose directions change nothing stays as it is, and so does one that has them applied.
    """
    if case.base is not None:
        return case
    base = hardware = case.hardware
    for direction in case.direction.values():
        hardware = _applied(hardware, direction)
    if hardware is base:
        return case
    return case.model_copy(update={"hardware": _with_totals(base, hardware), "base": base})


def _applied(hardware: Hardware, direction: Direction) -> Hardware:
    main = next(iter(hardware.memory))
    if direction.memory:
        added = {name: _mounted(hardware, direction, name) for name in direction.memory}
        hardware = hardware.model_copy(update={"memory": {**hardware.memory, **added}})
    if direction.multiply is not None:
        hardware = _patched(hardware, direction.multiply, _product, direction, main)
    if direction.replace is not None:
        hardware = _patched(hardware, direction.replace, lambda old, new: new, direction, main)
    return hardware


def _mounted(hardware: Hardware, direction: Direction, name: str) -> Memory:
    """A tier that a direction adds, behind the tier that it names."""
    memory, place = direction.memory[name], f"direction '{direction.name}'"
    if name in hardware.memory:
        fault = f"hardware '{hardware.name}' has a memory tier of that name"
        raise SpecError(place, f"memory.{name}", fault, "Leave out one of the two")
    if memory.behind is None:
        return memory
    main = next(iter(hardware.memory))
    root = main if memory.behind == MAIN else memory.behind
    if root not in hardware.memory or hardware.memory[root].behind is not None:
        fault = f"hardware '{hardware.name}' has no tier '{root}' with a port of its own"
        raise SpecError(place, f"memory.{name}.behind", fault, f"Write '{MAIN}'")
    return memory.model_copy(update={"behind": root})


def _product(old: Any, factor: Any) -> Any:
    """A number, or each of several, times a factor; what is not stated stays so."""
    if old is None:
        return None
    if isinstance(old, Mapping):
        return {key: value * factor for key, value in old.items()}
    return old * factor


def _patched(
    node: Any, patch: BaseModel, change: Callable[[Any, Any], Any], direction: Direction, main: str
) -> Any:
    """A copy of a spec with each value that a patch states changed."""
    update: dict[str, Any] = {}
    for name in type(patch).model_fields:
        stated, old = getattr(patch, name), getattr(node, name)
        if stated is None:
            continue
        if isinstance(stated, dict) and isinstance(next(iter(stated.values()), None), BaseModel):
            entries = dict(old)
            for key, inner in stated.items():
                tier = main if key == MAIN else key
                if tier not in entries:
                    place = f"direction '{direction.name}'"
                    raise SpecError(
                        place, f"{name}.{key}", "is no tier of this device", f"Write '{MAIN}'"
                    )
                entries[tier] = _patched(entries[tier], inner, change, direction, main)
            update[name] = entries
        elif isinstance(stated, BaseModel) and isinstance(old, BaseModel):
            whole = type(stated) is type(old)
            update[name] = stated if whole else _patched(old, stated, change, direction, main)
        elif isinstance(stated, BaseModel) and change is _product:
            continue  # a factor on what the device does not have
        elif isinstance(stated, dict):
            update[name] = {**old, **stated}
        else:
            update[name] = change(old, stated)
    return node.model_copy(update=update)


def _with_totals(base: Hardware, hardware: Hardware) -> Hardware:
    """The device with what its changed memory adds to price, rent, power limit and idle power.

    Sheets state these for a device with the memory that it is sold with, so that the difference
    counts. Rent grows in proportion to the price.
    """

    def added(amount: Callable[[Memory], Array]) -> Array:
        after: Array = sum((amount(m) for m in hardware.memory.values()), start=0.0)
        before: Array = sum((amount(m) for m in base.memory.values()), start=0.0)
        return after - before

    extra = added(lambda m: m.price * m.total_capacity)
    price = np.maximum(hardware.price + extra, 0.0)
    tdp = hardware.tdp + added(lambda m: m.power * m.stacks)
    idle = hardware.idle_power + added(lambda m: m.static_power * m.stacks)
    if np.any(as_array(idle >= as_array(tdp))):
        raise SpecError(
            f"hardware '{base.name}'",
            "tdp",
            "its directions leave no power above idle power",
            "Give the memory that they add more 'power' or less 'static_power'",
        )
    return hardware.model_copy(
        update={
            "price": price,
            "rental_price": hardware.rental_price * price / hardware.price,
            "tdp": tdp,
            "idle_power": idle,
        }
    )
