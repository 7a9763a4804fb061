"""What differs between two versions of a study: inputs, and rows by every metric."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from infercost.datasets import Manifest, Version
from infercost.errors import SpecError, nearest

if TYPE_CHECKING:
    import pandas as pd

ID = "id"
"""The column that alone identifies the rows of a dataset that has it."""
METRICS = ("cost_per_mtoken_usd", "predicted_s")
"""What versions are compared by: the first that both have."""
OUTCOMES = ("limited_by", "bound")
"""Texts that say what came out, not what was asked."""
ASKED = ("load", "squared_variation")
"""Numbers that a replay is asked for: share of the largest rate, and how arrivals vary."""
NTH = "nth"
"""Place of a row among those of equal keys, in the order in which they were published."""


class Movement(NamedTuple):
    """How far one metric moved."""

    metric: str
    rows: int
    largest: float
    """Largest relative change; NaN where a value appeared or went."""


@dataclass(frozen=True)
class Difference:
    """What differs between two versions of a study."""

    inputs: list[tuple[str, Any, Any]]
    """Dotted path, value before, value after: of options, of the study's own keys below `study`,
    of packages, and the digest of the code."""
    compared: int
    """Rows in both: of a study that chooses, the best ones."""
    only_before: int
    only_after: int
    by_order: bool
    """Whether rows of equal keys were paired by their order."""
    movements: list[Movement]
    """Every metric that moved, largest relative change first."""
    moved: pd.DataFrame
    """Rows in both whose metric moved: keys, metric before, after, change; largest first."""
    metric: str


def diff(before: Version, after: Version, metric: str = "") -> Difference:
    """Which inputs changed, and which rows moved in `metric`, largest relative change first."""
    told = before.manifest(), after.manifest()
    old, new = before.rows(), after.rows()
    if "best" in old and "best" in new and ID not in old:  # plans may move between versions
        old, new = old[old["best"]], new[new["best"]]
    keys = [name for name in _keys(old, told[0]) if name in new]
    shared = [c for c in map(str, old.columns) if c in new and c not in keys]
    numbers = [c for c in shared if old[c].dtype.kind == "f"]
    metric = metric or next((m for m in METRICS if m in numbers), METRICS[0])
    if metric not in numbers:
        fault = "is not a number that both versions have beside their keys"
        raise SpecError(f"metric '{metric}'", "", fault, nearest(metric, numbers))
    old, by_order = _by_keys(old, keys, numbers)
    new, also = _by_keys(new, keys, numbers)
    both = old.index.intersection(new.index, sort=False)
    first, second = old.loc[both], new.loc[both]
    with np.errstate(all="ignore"):
        change = second / first - 1.0
    moved = ~((first == second) | (first.isna() & second.isna()))
    rows = first.index.to_frame(index=False).reset_index(drop=True)
    rows[f"{metric}_before"], rows[f"{metric}_after"] = first[metric].values, second[metric].values
    rows["change"] = change[metric].values
    mine = rows[moved[metric].to_numpy()]
    order = mine["change"].abs().fillna(np.inf).sort_values(ascending=False, kind="stable").index
    return Difference(
        _changed(_inputs(told[0]), _inputs(told[1]), ""),
        len(both),
        len(old) - len(both),
        len(new) - len(both),
        by_order or also,
        _movements(moved, change),
        mine.loc[order],
        metric,
    )


def _inputs(manifest: Manifest) -> Manifest:
    """Everything on which a version's rows depend."""
    study = {**manifest.get("definition", {}), "overrides": manifest.get("chosen", [])}
    code, packages = manifest["digests"]["code"], manifest.get("packages", {})
    return {**manifest["options"], "study": study, "code": code, "packages": packages}


def _keys(rows: pd.DataFrame, manifest: Manifest) -> list[str]:
    """Columns that say which point a row is: texts, axes, counts, but nothing that was found."""
    if ID in rows:
        return [ID]
    drawn = "draw" in rows
    axes = _axes(manifest)
    found = []
    for name in map(str, rows.columns):
        kind = rows[name].dtype.kind
        if "." in name:
            wanted = name in axes or not drawn
        elif kind == "i":
            wanted = "best" not in rows or name == "draw"
        else:
            wanted = name in ASKED or (kind not in "fb" and name not in OUTCOMES)
        found += [name] if wanted else []
    return found


def _axes(manifest: Manifest) -> set[str]:
    """Dotted paths along which a study's rows were asked, as its parts tell."""
    parts = manifest.get("parts", {}).values()
    entries = (entry for part in parts for key in ("axes", "labels") for entry in part.get(key, ()))
    sampled = ((part.get("sample") or {}).get("over", {}) for part in parts)
    return {path for entry in entries for path in entry["values"]}.union(*sampled)


def _by_keys(rows: pd.DataFrame, keys: list[str], numbers: list[str]) -> tuple[pd.DataFrame, bool]:
    """Numbers by keys, one row each; whether rows of equal keys had to be told by their order."""
    named = rows[keys].astype(str)
    repeated = bool(named.duplicated().any())
    named[NTH] = named.groupby(keys, sort=False).cumcount() if repeated else 0
    table = rows[numbers].set_axis(_index(named), axis=0)
    return table, repeated


def _index(named: pd.DataFrame) -> pd.MultiIndex:
    import pandas as pd

    return pd.MultiIndex.from_frame(named)


def _movements(moved: pd.DataFrame, change: pd.DataFrame) -> list[Movement]:
    found = []
    for name in map(str, moved.columns):
        those = change.loc[moved[name].to_numpy(), name]
        if len(those):
            sizes = those.abs().fillna(np.inf)
            largest = float(those.iloc[int(sizes.to_numpy().argmax())])
            found.append(Movement(name, len(those), largest))
    return sorted(found, key=lambda m: -np.inf if np.isnan(m.largest) else -abs(m.largest))


def _changed(before: Any, after: Any, path: str) -> list[tuple[str, Any, Any]]:
    """Leaves that differ between two trees of plain data."""
    if isinstance(before, dict) and isinstance(after, dict):
        return [
            leaf
            for key in sorted({*before, *after})
            for leaf in _changed(before.get(key), after.get(key), f"{path}.{key}".lstrip("."))
        ]
    return [] if before == after else [(path, before, after)]
