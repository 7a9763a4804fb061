"""Draws: a quasi-random sample of uncertain inputs as one axis of the grid.

Scrambled Sobol points (Owen 1998) from SciPy, one dimension per input in the order of their paths,
made to go together by a Gaussian copula where correlations are stated, and taken through the
inverse of each input's distribution. All designs of a study share the points: draw 17 has the same
quantile of an input wherever that input occurs, so that designs are compared draw by draw.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from infercost.arrays import FloatArray
from infercost.compose import ComposedCase, Options
from infercost.errors import SpecError, nearest
from infercost.grid import GridAxis
from infercost.options.patches import in_full
from infercost.options.places import COMBINING
from infercost.options.uncertain import is_distribution, read
from infercost.specs.draws import STATED, Distribution, Draws

DRAW = "draw"
"""The axis, and the column that numbers its points from 0."""

Plain = dict[str, Any]
_P90 = 1.2815515655446004
"""Normal score of the 90th percentile."""


def quantile(distribution: Distribution, u: FloatArray) -> FloatArray:
    """The values below which shares `u` of a distribution lie: the inverse of its CDF."""
    v = distribution.values
    if distribution.kind == "uniform":
        return v[0] + u * (v[1] - v[0])
    if distribution.kind == "loguniform":
        return np.asarray(v[0] * (v[1] / v[0]) ** u)
    if distribution.kind == "triangular":
        low, mode, high = v
        rising = low + np.sqrt(u * (high - low) * (mode - low))
        falling = high - np.sqrt((1 - u) * (high - low) * (high - mode))
        return np.where(u * (high - low) < mode - low, rising, falling)
    if distribution.kind == "lognormal":
        from scipy.special import ndtri

        sigma = np.log(v[1] / v[0]) / (2 * _P90)
        return np.asarray(np.sqrt(v[0] * v[1]) * np.exp(sigma * ndtri(u)))
    weights = distribution.weights or (1.0 / len(v),) * len(v)
    index = np.searchsorted(np.cumsum(weights), u, side="right")
    return np.asarray(v)[np.minimum(index, len(v) - 1)]


def shares(
    names: Iterable[str],
    count: int,
    seed: int,
    correlations: Iterable[Mapping[str, Any]] = (),
    design: str = "",
) -> dict[str, FloatArray]:
    """Points in the unit cube, one coordinate per name: `count` of a scrambled Sobol sequence."""
    from scipy.stats import qmc

    ordered = sorted(names)
    if design == SALTELLI:
        return saltelli(ordered, count, seed)
    sobol = qmc.Sobol(len(ordered), scramble=True, rng=np.random.default_rng(seed))
    points = sobol.random_base2(int(np.ceil(np.log2(max(count, 2)))))[:count]
    factor = _copula(ordered, correlations)
    if factor is not None:
        from scipy.special import ndtr, ndtri

        # Scrambled points may touch 0, whose score is not finite.
        scores = ndtri(np.clip(points, 1e-12, 1 - 1e-12))
        points = np.asarray(ndtr(scores @ factor.T), dtype=np.float64)
    return {name: points[:, position] for position, name in enumerate(ordered)}


SALTELLI = "saltelli"
"""The design that splits a variance: two samples, and the first with each column of the second."""


def saltelli(ordered: list[str], count: int, seed: int) -> dict[str, FloatArray]:
    """Saltelli's design as SALib makes it, from `count` base points, a power of two."""
    from SALib.sample import sobol

    points = sobol.sample(problem(ordered), count, calc_second_order=False, seed=seed)
    # Scrambled points may touch the ends, where some distributions are infinite.
    inside = np.clip(np.asarray(points, dtype=np.float64), 1e-12, 1 - 1e-12)
    return {name: inside[:, position] for position, name in enumerate(ordered)}


def problem(ordered: list[str]) -> Plain:
    """The unit cube of some inputs, as SALib wants it told."""
    return {"num_vars": len(ordered), "names": ordered, "bounds": [[0.0, 1.0]] * len(ordered)}


def _copula(names: list[str], correlations: Iterable[Mapping[str, Any]]) -> FloatArray | None:
    """Cholesky factor of the correlation of normal scores; nothing where none is stated."""
    stated = list(correlations)
    if not stated:
        return None
    matrix = np.eye(len(names))
    for entry in stated:
        i, j = (names.index(name) for name in entry["between"])
        matrix[i, j] = matrix[j, i] = entry["rho"]
    try:
        factor = np.asarray(np.linalg.cholesky(matrix), dtype=np.float64)
    except np.linalg.LinAlgError:
        fault = "contradict one another: no sample can have all of them"
        raise SpecError("draws", "correlations", fault, "Bring them nearer to 0") from None
    return factor


def described(options: Options, wanted: Draws, taken: Iterable[str] = ()) -> Plain:
    """Everything that a part needs to draw: by input and option its distribution, as plain data.

    `taken` are paths that the question fixes or sweeps. Raises `SpecError`.
    """
    stated = options.uncertain
    known = {path for inputs in stated.values() for path in inputs}
    if not wanted.inputs:
        inputs: dict[str, Any] = dict.fromkeys(sorted(known - set(taken)), STATED)
    else:
        listed = wanted.inputs
        pairs = listed.items() if isinstance(listed, dict) else ((path, STATED) for path in listed)
        inputs = {full_path(options, path): given for path, given in pairs}
    found = {path: _by_option(options, path, given, known) for path, given in inputs.items()}
    for path in found:
        if path in set(taken):
            raise SpecError(
                "draws", path, "is an axis or fixed by an override too", "Leave one out"
            )
    if not found:
        fault = "no option of this question states an uncertain number"
        raise SpecError("draws", "inputs", fault, "Name inputs, each with a distribution")
    correlations = [
        {"between": [full_path(options, path) for path in entry.between], "rho": entry.rho}
        for entry in wanted.correlations
    ]
    for entry in correlations:
        for path in entry["between"]:  # type: ignore[attr-defined]
            if path not in found:
                raise SpecError(
                    "draws", "correlations", f"'{path}' is no input", nearest(path, found)
                )
    if wanted.sensitivity and correlations:
        fault = "a variance is split among independent inputs only"
        raise SpecError("draws", "correlations", fault, "Leave out one of the two")
    if wanted.sensitivity and wanted.count & (wanted.count - 1):
        raise SpecError("draws", "count", f"{wanted.count} is no power of two", "Take 256")
    plain = {
        path: {option: dist.model_dump(mode="json") for option, dist in by_option.items()}
        for path, by_option in found.items()
    }
    shares(plain, 2, 0, correlations)  # contradictions are told before any job starts
    return {
        "count": wanted.count,
        "seed": wanted.seed,
        "inputs": plain,
        "correlations": correlations,
        "design": SALTELLI if wanted.sensitivity else "",
        "columns": list(wanted.columns),
    }


def full_path(options: Options, path: str) -> str:
    """An input's dotted path; its first step below a combined option may be a parameter of it."""
    group, _, inner = path.partition(".")
    if group not in COMBINING:
        return path
    name, _, key = inner.partition(".")
    for content in options.raw[group].values():
        if name in content:
            return f"{group}.{name}.{in_full(content[name], key)}"
    raise SpecError("draws", path, f"no case takes {group} '{name}'", f"Add {group}={name}")


def _by_option(options: Options, path: str, given: Any, known: set[str]) -> dict[str, Distribution]:
    """The distribution of an input in each option of its group that has it."""
    group, _, key = path.partition(".")
    if given == STATED:
        if path not in known:
            remedy = nearest(path, known) or "Write a distribution for it"
            raise SpecError("draws", path, "no option states it as uncertain", remedy)
        by_option = options.uncertain
        return {
            o: inputs[path] for (g, o), inputs in by_option.items() if g == group and path in inputs
        }
    if not is_distribution(given):
        raise SpecError("draws", path, "is no distribution", f"Write '{STATED}' or {{uniform: ..}}")
    if not given.get("source"):
        raise SpecError(
            "draws", path, "has no source", "Add 'source:', or 'assumed: why' as its text"
        )
    found = {}
    for option, content in options.raw.get(group, {}).items():
        if group in COMBINING and key.partition(".")[0] not in content:
            continue
        try:
            found[option] = read(group, content, key, given, ("draws", path))[0]
        except SpecError as error:
            if error.place == "draws":
                raise
            missing = error  # an option without such a key
    if not found:
        raise missing
    return found


def draws_of(plain: Plain) -> int:
    """Number of draws that a description asks for."""
    count: int = plain["count"]
    return count * (len(plain["inputs"]) + 2) if plain["design"] == SALTELLI else count


def draw_axis(plain: Plain, composed: ComposedCase) -> GridAxis:
    """The draws of one case: values at the paths that it has; not a number for those it lacks."""
    points = shares(
        plain["inputs"], plain["count"], plain["seed"], plain["correlations"], plain["design"]
    )
    count = draws_of(plain)
    values: dict[str, FloatArray] = {DRAW: np.arange(count, dtype=np.float64)}
    told = {DRAW}
    for path, by_option in plain["inputs"].items():
        option = composed.options[path.partition(".")[0]]
        if option in by_option:
            values[path] = quantile(Distribution.model_validate(by_option[option]), points[path])
        else:
            values[path] = np.full(count, np.nan)
            told.add(path)
    return GridAxis(DRAW, values, frozenset(told))
