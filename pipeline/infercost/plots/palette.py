"""Colours: at most six at a time, and the same thing always in the same one.

Resources wear Okabe and Ito's colours, families of accelerators Tol's muted ones. Both sets hold
for colour-blind readers, and no colour stands for a resource and a family at once.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import altair as alt
import pandas as pd


@dataclass(frozen=True)
class Group:
    """Resources that share a colour."""

    name: str
    resources: tuple[str, ...]
    colour: str
    ink: str = "black"
    """Colour of text on it."""


GROUPS = (
    Group("compute", ("compute",), "#E69F00"),
    Group("memory: weights", ("weights",), "#0072B2", "white"),
    Group("memory: KV cache, activations", ("kv", "activations", "memory_latency"), "#56B4E9"),
    Group("network", ("network_bandwidth", "network_latency"), "#009E73"),
    Group("overhead, power limit", ("overhead", "power", "thermal"), "#CC79A7"),
    Group("memory capacity", ("capacity",), "#D55E00"),
)
GROUP_OF = {resource: group.name for group in GROUPS for resource in group.resources}
INK_OF = {group.name: group.ink for group in GROUPS}
INFEASIBLE, INFEASIBLE_COLOUR = "infeasible: what ran out", "#e6e6e6"


def resource_scale(names: Iterable[str]) -> alt.Scale:
    """The colours of the groups among `names`."""
    colours = {group.name: group.colour for group in GROUPS} | {INFEASIBLE: INFEASIBLE_COLOUR}
    present = set(names)
    domain = [name for name in colours if name in present]
    return alt.Scale(domain=domain, range=[colours[name] for name in domain])


def group_shares(rows: pd.DataFrame, total: str) -> pd.DataFrame:
    """Share of a total (`cost`, `decode`) per group of resources, one column per group."""
    shares = {}
    for group in GROUPS:
        columns = [f"{total}_stress_{resource}" for resource in group.resources]
        shares[group.name] = rows[[c for c in columns if c in rows]].sum(axis=1, min_count=1)
    return pd.DataFrame(shares, index=rows.index).astype(float)


FAMILIES = {
    "AMD": (r"mi\d", "#AA4499"),
    "AWS": (r"trainium|inferentia", "#BF9B30"),
    "Google": (r"tpu", "#44AA99"),
    "Intel": (r"gaudi", "#CC6677"),
    "NVIDIA": (r"(a|b|gb|gh|h|l|r|rtx|t|v|vr)-?\d", "#332288"),
    "other": (r"", "#777777"),
}
"""Family -> how its options' names start, and its colour. Whatever fits none is `other`."""
SHAPES = (
    *("circle", "square", "diamond", "triangle-up", "triangle-down", "cross"),
    *("triangle-left", "triangle-right"),
    "M-1,-.6L-.6,-1L0,-.4L.6,-1L1,-.6L.4,0L1,.6L.6,1L0,.4L-.6,1L-1,.6L-.4,0Z",
    "M-1,-1L1,-1L-1,1L1,1Z",
    "M-1,-1L1,1L1,-1L-1,1Z",
    "M-.35,-1L.35,-1L.35,1L-.35,1Z",
    "M-1,-.35L1,-.35L1,.35L-1,.35Z",
    "M0,-1L.3,-.3L1,0L.3,.3L0,1L-.3,.3L-1,0L-.3,-.3Z",
)
"""Shapes within a family: Vega's, then an X, hourglass, bow tie, bar, dash and star."""


def family(accelerator: str) -> str:
    """The vendor of an accelerator, by its option's name."""
    return next(name for name, (start, _) in FAMILIES.items() if re.match(start, accelerator))


def by_family(accelerators: Iterable[str]) -> list[str]:
    """Accelerators in families, otherwise in the given order."""
    return sorted(accelerators, key=lambda name: list(FAMILIES).index(family(name)))


def _above(columns: int | None) -> dict[str, Any]:
    return {} if columns is None else {"orient": "top", "columns": columns}


def accelerator_marks(
    accelerators: list[str], columns: int | None = None
) -> tuple[alt.Color, alt.Shape]:
    """Colour by family and shape within it, as one legend: aside, or above in `columns`."""
    seen: dict[str, int] = {}
    colours, shapes = [], []
    for name in accelerators:
        kin = family(name)
        colours.append(FAMILIES[kin][1])
        shapes.append(SHAPES[seen.get(kin, 0) % len(SHAPES)])
        seen[kin] = seen.get(kin, 0) + 1
    legend = alt.Legend(title="accelerator", **_above(columns))
    colour = alt.Scale(domain=accelerators, range=colours)
    shape = alt.Scale(domain=accelerators, range=shapes)
    return (
        alt.Color("hardware:N", scale=colour, legend=legend),
        alt.Shape("hardware:N", scale=shape, legend=legend),
    )
