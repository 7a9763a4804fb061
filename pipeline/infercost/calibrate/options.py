"""Fitted calibrations as options: one YAML per stack, per family, and one for all the rest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import yaml

from infercost.arrays import FloatArray
from infercost.calibrate.examine import COMMON, FAMILY, KNOWN
from infercost.calibrate.fit import EFFICIENCIES, PARAMETERS, Fit, restored
from infercost.calibrate.public import OWN, STEP_OVERHEAD, Public, load, stack_name
from infercost.errors import SpecError
from infercost.measurements import UNKNOWN_ERA

COMMON_NAME = "common"
DIGITS = 3


def write_options(public: Public, fitted: Fit, folder: Path) -> None:
    """Write every fitted calibration as an option into `folder`."""
    for name, text in texts(public, fitted):
        (folder / f"{name}.yaml").write_text(text)


def texts(public: Public, fitted: Fit) -> Iterator[tuple[str, str]]:
    """Name and YAML of every fitted calibration."""
    error = np.abs(np.expm1(public.examination.errors(fitted)))
    families = {s: f for f, s in _pairs(public)}
    yield COMMON_NAME, _text(COMMON_NAME, "Common to all systems", fitted.common, {}, error)
    for place, family in enumerate(fitted.groups.names["family"]):
        mine = fitted.groups.index["family"] == place
        line = fitted.common + fitted.deviations["family"][place]
        yield family, _text(family, f"{family}, any software", line, {}, error[mine])
    for place, stack in enumerate(fitted.groups.names["stack"]):
        if stack.endswith(f"-{UNKNOWN_ERA}"):
            continue  # software that was not stated is no stack to choose
        mine = fitted.groups.index["stack"] == place
        of_family = fitted.groups.names["family"].index(families[stack])
        line = fitted.common + fitted.deviations["family"][of_family]
        line = line + fitted.deviations["stack"][place]
        formats = {
            kind.split("|")[1]: line + fitted.deviations["format"][k]
            for k, kind in enumerate(fitted.groups.names["format"])
            if kind.split("|")[0] == stack
        }
        yield stack, _text(stack, stack, line, formats, error[mine])


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


def _pairs(public: Public) -> Iterator[tuple[str, str]]:
    groups = public.examination.groups
    for family, stack in zip(groups.index["family"], groups.index["stack"], strict=True):
        yield groups.names["family"][int(family)], groups.names["stack"][int(stack)]


def _text(
    name: str,
    title: str,
    line: FloatArray,
    formats: Mapping[str, FloatArray],
    error: FloatArray,
) -> str:
    """One option: numbers to three digits, and in `sources` what they were fitted to."""
    values = {p: float(restored(p, line[k])) for k, p in enumerate(PARAMETERS)}
    content: dict[str, object] = {"name": title}
    content |= {p: _plain(p, v) for p, v in values.items()}
    content |= {"step_overhead": f"{STEP_OVERHEAD * 1e6:g} us", "memory_utilisation": 0.9}
    if any(kind != "native" for kind in formats):
        content["formats"] = {
            kind: {
                p: _plain(p, float(restored(p, special[PARAMETERS.index(p)])))
                for p in ("memory_efficiency", "compute_efficiency")
            }
            for kind, special in formats.items()
            if kind != "native"
        }
    content["sources"] = {
        "default": (
            f"derived: fitted to {error.size} rows of data/reference/measured.csv, median error"
            f" {np.median(error):.0%} and p90 {np.quantile(error, 0.9):.0%} in sample"
        ),
        "step_overhead": "assumed: not separable from launches in any table",
        "memory_utilisation": "assumed: the default of vLLM and TensorRT-LLM",
    }
    head = f"# Written by `make calibrate`; {name} is chosen by name or by `infercost validate`.\n"
    return head + yaml.safe_dump(content, sort_keys=False, width=100)


def _plain(parameter: str, value: float) -> object:
    number = float(f"{value:.{DIGITS}g}")
    if parameter in (*EFFICIENCIES, "half_rate_tokens"):
        return number
    return f"{float(f'{value * 1e6:.{DIGITS}g}'):g} us"


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
