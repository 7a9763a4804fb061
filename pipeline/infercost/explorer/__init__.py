"""A published grid as one HTML page to play with, offline: choose, drag, compare.

The page holds the dataset's grid and interpolates between its points. How far that is from the
equations is measured when the page is made, and stated on it.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping
from importlib import resources
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup

from infercost.explorer.cube import Cube, Part, cube_of
from infercost.explorer.ends import ends_of, first_design
from infercost.explorer.error import error_of
from infercost.report.page import environment, in_script, policy_hash

if TYPE_CHECKING:
    from infercost.datasets import Version


def render(version: Version) -> str:
    """The page over one published version, a whole grid. Raises `SpecError` where it is none."""
    cube = cube_of(version)
    error = error_of(version, cube)
    script = resources.files("infercost.explorer").joinpath("explorer.js").read_text("utf-8")
    return (
        environment("explorer")
        .get_template("explorer.html.j2")
        .render(
            study=version.study,
            version=version.name,
            question=version.manifest()["question"],
            chosen=version.manifest()["chosen"],
            error=error,
            ends=ends_of(version, cube),
            first=first_design(cube),
            content=in_script(_content(version, cube)),
            script=Markup(script),  # ours: no text of a study is in it
            script_hash=policy_hash(script),
        )
    )


def _content(version: Version, cube: Cube) -> dict[str, Any]:
    devices = version.manifest()["options"]["hardware"]
    return {
        "axes": [
            {
                "name": axis.name,
                "label": axis.label,
                "values": list(axis.values),
                "stepped": axis.stepped,
                "numeric": axis.numeric,
                "reciprocal": axis.reciprocal,
                "heated": axis.heated,
                "length": axis.length,
            }
            for axis in cube.axes
        ],
        "hot": sorted(cube.hot),
        "limits": list(cube.limits),
        "limit": _encoded(cube.limit.astype(np.uint8)),
        "metrics": {
            name: {
                "dims": list(part.dims),
                "reciprocal": part.reciprocal,
                "curved": part.curved,
                "unit": part.unit,
                "meaning": part.meaning,
                **_quantised(part),
            }
            for name, part in cube.metrics.items()
        },
        "roofs": {name: _roof(content) for name, content in devices.items()},
    }


def _roof(device: Mapping[str, Any]) -> dict[str, float]:
    """The roofs of a device as sold: peak of its fastest format of 8 or 16 bits, bandwidth."""
    from infercost.units import parse

    peaks = device["peak_dense"]
    best = next(name for name in ("fp8", "int8", "bf16", "fp16") if name in peaks)
    main = next(iter(device["memory"].values()))
    return {
        "peak": float(parse(peaks[best], "FLOP/s")),
        "bandwidth": float(parse(main["bandwidth"], "B/s")),
    }


STEPS, NOTHING = 65534, 65535
"""Steps of a 16-bit scale; the number above them stands for no value."""
SHARE_STEPS = 1000
"""Steps of shares, which are shown to a tenth of a percent."""


def _quantised(part: Part) -> dict[str, Any]:
    """Values in 16 bits on a log scale between their ends, or in a thousand steps for shares.

    The step is a 65,534th of the range: for values over ten orders of magnitude, 0.04 % of each.
    """
    log = part.unit != "1" and bool(np.nanmin(part.values) > 0)
    steps = STEPS if log else SHARE_STEPS
    scaled = np.log(part.values) if log else part.values
    low, high = float(np.nanmin(scaled)), float(np.nanmax(scaled))
    width = (high - low) or 1.0
    codes = np.where(np.isnan(scaled), NOTHING, np.round((scaled - low) / width * steps))
    # Low bytes apart from high ones: these repeat, and compress.
    data = _encoded(codes.astype("<u2").reshape(-1, 1).view(np.uint8).T)
    return {"log": log, "low": low, "step": width / steps, "data": data}


def _encoded(values: Any) -> str:
    """Bytes, deflated, as text."""
    return base64.b64encode(zlib.compress(np.ascontiguousarray(values).tobytes(), 9)).decode()
