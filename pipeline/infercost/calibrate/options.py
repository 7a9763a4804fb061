"""Fitted calibrations as options: one YAML per stack, per family, and one for all the rest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import yaml

from infercost.arrays import Array, BoolArray, FloatArray
from infercost.calibrate.examine import COMMON, FAMILY, KNOWN
from infercost.calibrate.fit import Fit, restored
from infercost.calibrate.public import OF_FORMAT, OWN, STEP_OVERHEAD, Public, load, stack_name
from infercost.errors import SpecError
from infercost.measurements.published import UNKNOWN_ERA
from infercost.specs.calibration import PARAMETERS, Calibration

COMMON_NAME = "common"
DIGITS = 3


def write_options(public: Public, fitted: Fit, folder: Path) -> None:
    """Write every fitted calibration as an option into `folder`."""
    for name, text in texts(public, fitted):
        (folder / f"{name}.yaml").write_text(text)


def texts(public: Public, fitted: Fit) -> Iterator[tuple[str, str]]:
    """Name and YAML of every fitted calibration."""
    error = np.abs(np.expm1(public.examination.errors(fitted)))
    names, index = fitted.groups.names, fitted.groups.index
    built = {
        architecture: fitted.deviations["architecture"][k]
        for k, architecture in enumerate(names["architecture"])
    }
    softwares = {
        era: fitted.deviations["software"][k]
        for k, era in enumerate(names["software"])
        if era != UNKNOWN_ERA
    }
    title = "Common to all systems"
    yield _text(COMMON_NAME, title, fitted.common, built, {}, error, softwares)
    for place, family in enumerate(names["family"]):
        mine = index["family"] == place
        line = fitted.line({"family": place})
        of_family = {a: built[a] for a in _labels(fitted, "architecture", mine)}
        yield _text(family, f"{family}, any software", line, of_family, {}, error[mine])
    for place, stack in enumerate(names["stack"]):
        if stack.endswith(f"-{UNKNOWN_ERA}"):
            continue  # software that was not stated is no stack to choose
        mine = index["stack"] == place
        above = int(index["family"][mine][0])
        era = int(np.bincount(index["software"][mine]).argmax())
        line = fitted.line({"family": above, "software": era, "pace": place, "stack": place})
        theirs = _labels(fitted, "architecture", index["family"] == above)
        formats = {
            kind.split(OF_FORMAT)[1]: fitted.deviations["format"][names["format"].index(kind)]
            for kind in _labels(fitted, "format", mine)
        }
        yield _text(stack, stack, line, {a: built[a] for a in theirs}, formats, error[mine])


def _labels(fitted: Fit, level: str, mine: BoolArray) -> list[str]:
    """The labels at a level of some rows, in the order in which they first appear."""
    return [fitted.groups.names[level][k] for k in dict.fromkeys(fitted.groups.index[level][mine])]


def own_option(own: Path, name: str, dirs: tuple[str, ...] = ()) -> tuple[str, int, list[str]]:
    """YAML of the calibration `name` fitted to a user's rows, beside all public ones.

    Returns the text, the rows used, and why others could not be read. Few rows move it little from
    its family's calibration, many move it freely. Raises `SpecError` where no row can be read.
    """
    public = load(own=own, dirs=dirs, name=name)
    unread = [
        f"{u.id.removeprefix(OWN)}: {u.reason}" for u in public.unread if u.id.startswith(OWN)
    ]
    used = sum(reading.id.startswith(OWN) for reading in public.readings)
    if not used:
        raise SpecError(str(own), "", "has no row that can be read", unread[0] if unread else "")
    fitted = public.examination.fitted(np.ones(len(public.rows), dtype=bool))
    text = dict(texts(public, fitted))[name]
    text = text.replace("data/reference/measured.csv", own.name)
    return f"# Written by `infercost calibrate`.\n{text.partition(chr(10))[2]}", used, unread


def _text(
    name: str,
    title: str,
    line: FloatArray,
    built: Mapping[str, FloatArray],
    formats: Mapping[str, FloatArray],
    error: FloatArray,
    softwares: Mapping[str, FloatArray] | None = None,
) -> tuple[str, str]:
    """One option: numbers to three digits, and in `sources` what they were fitted to."""
    content: dict[str, object] = {"name": title}
    content |= _numbers(line)
    content |= {"step_overhead": f"{STEP_OVERHEAD * 1e6:g} us", "memory_utilisation": 0.9}
    content["architectures"] = {label: _factors(d) for label, d in built.items() if d.any()}
    if softwares:
        content["softwares"] = {era: _factors(d) for era, d in softwares.items()}
    if formats:
        content["formats"] = {label: _numbers(line + d) for label, d in formats.items()}
    content["sources"] = {
        "default": (
            f"derived: fitted to {error.size} rows of data/reference/measured.csv, median error"
            f" {np.median(error):.0%} and p90 {np.quantile(error, 0.9):.0%} in sample"
        ),
        "step_overhead": "assumed: not separable from launches in any table",
        "memory_utilisation": "assumed: the default of vLLM and TensorRT-LLM",
    }
    head = f"# Written by `make calibrate`; {name} is chosen by name or by `infercost validate`.\n"
    return name, head + yaml.safe_dump(content, sort_keys=False, width=100)


def _numbers(line: FloatArray) -> dict[str, object]:
    return {p: _plain(p, float(restored(p, line[k]))) for k, p in enumerate(PARAMETERS)}


def _factors(deviation: FloatArray) -> dict[str, float]:
    """A deviation on the line as factors on odds and amounts; those of 1.000 are left out."""
    rounded = {p: round(float(np.exp(deviation[k])), 3) for k, p in enumerate(PARAMETERS)}
    return {p: factor for p, factor in rounded.items() if factor != 1.0}


def _plain(parameter: str, value: float) -> object:
    number = float(f"{value:.{DIGITS}g}")
    if not parameter.endswith("overhead"):
        return number
    return f"{float(f'{value * 1e6:.{DIGITS}g}'):g} us"


def taken_over(name: str, era: str, common: Calibration) -> Mapping[str, Array]:
    """Factors that a family's or the common calibration takes over from an era's software, as
    measured on other devices; none on a stack's own, nor on a current stack's."""
    stands_alone = name == CURRENT_NAME or name.endswith(f"-{era}")
    return {} if stands_alone else common.softwares.get(era, {})


CURRENT, CURRENT_NAME = "-2026", "typical"
"""Eras newer than any that the public table holds, and the calibration of a current stack."""


def option_of(family: str, era: str, known: frozenset[str]) -> tuple[str, str]:
    """The calibration that stands nearest to an era on a family, and how near.

    Its own, where rows of it were fitted; for an era newer than all of them the one of a current
    stack, since the family's stands on older ones; else the family's, else the common one.
    """
    stack = stack_name(family, era)
    if stack in known and era != UNKNOWN_ERA:
        return stack, KNOWN
    if era.endswith(CURRENT):
        return CURRENT_NAME, FAMILY
    if family in known:
        return family, FAMILY
    return COMMON_NAME, COMMON
