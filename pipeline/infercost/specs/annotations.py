"""What stands inside a field's annotation."""

from __future__ import annotations

import types
from collections.abc import Iterator
from typing import Annotated, Any, Union, get_args, get_origin


def members(annotation: Any) -> Iterator[Any]:
    """The parts of an annotation without `Annotated`, unions and None."""
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from members(get_args(annotation)[0])
    elif origin in (Union, types.UnionType):
        for part in get_args(annotation):
            yield from members(part)
    elif annotation is not type(None):
        yield annotation
