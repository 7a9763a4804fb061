"""Labels beside points, placed so that none covers another; those without room are left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

WIDTHS = {
    0.24: "ijl'|",
    0.29: "ftI .,:;/[]!",
    0.35: "r()-",
    0.51: "cksvxyzJ",
    0.62: "FTZ+",
    0.68: "ABEKPSVXY",
    0.74: "wCDHNRU",
    0.80: "GOQ",
    0.85: "mM%",
    0.96: "W",
}
"""Widths of characters in font sizes, Liberation Sans; others are as wide as a digit."""
WIDTH_OF = {character: width for width, found in WIDTHS.items() for character in found}
DIGIT = 0.57
LINE = 1.15
"""Height of a line in font sizes."""


@dataclass(frozen=True)
class Spot:
    """A point in pixels from the lower left corner, with its label; an empty one only blocks."""

    x: float
    y: float
    text: str = ""
    radius: float = 4.0
    group: str = ""


@dataclass(frozen=True)
class Placed:
    """A label and the middle of its text's box."""

    spot: Spot
    x: float
    y: float


Box = tuple[float, float, float, float]


def placed(
    spots: Sequence[Spot],
    width: float,
    height: float,
    size: float = 10.0,
    blocked: Sequence[Box] = (),
    outward: bool = False,
) -> list[Placed]:
    """Labels for `spots`, the first ones first, inside a panel of `width` by `height` pixels.

    Of the spots of a group, or of one text, the first that finds room is labelled. Labels keep
    clear of the boxes `blocked`. `outward` allows places to the lower right only.
    """
    taken = [box_around(s.x, s.y, 2 * s.radius, 2 * s.radius) for s in spots] + list(blocked)
    done: dict[str, Placed] = {}
    for spot in spots:
        key = spot.group or spot.text
        if not spot.text or key in done:
            continue
        across, up = extent(spot.text, size)
        for x, y in _places(spot, across, up, outward):
            box = box_around(x, y, across, up)
            if is_free(box, taken, width, height):
                taken.append(box)
                done[key] = Placed(spot, x, y)
                break
    return list(done.values())


def extent(text: str, size: float) -> tuple[float, float]:
    """Width and height of a text of one or more lines."""
    lines = text.split("\n")
    across = max(sum(WIDTH_OF.get(c, DIGIT) for c in line) for line in lines)
    return across * size, LINE * size * len(lines)


def box_around(x: float, y: float, across: float, up: float) -> Box:
    """The box of a width and height around its middle."""
    return x - across / 2, y - up / 2, x + across / 2, y + up / 2


def is_free(box: Box, taken: Sequence[Box], width: float, height: float) -> bool:
    """Whether a box lies inside the panel and meets no other."""
    inside = box[0] >= 0 and box[2] <= width and box[1] >= 0 and box[3] <= height
    return inside and not any(_meet(box, other) for other in taken)


def _meet(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _places(spot: Spot, across: float, up: float, outward: bool) -> list[tuple[float, float]]:
    """Middles of a label's box to try, the nearest and best readable first."""
    places = []
    for gap in (2.0, 8.0, 16.0):
        aside, above = spot.radius + gap + across / 2, spot.radius + gap + up / 2
        slant = 0.7 * spot.radius + gap
        right_below = (spot.x + slant + across / 2, spot.y - slant - up / 2)
        if outward:
            places += [right_below, (spot.x + aside, spot.y), (spot.x, spot.y - above)]
            continue
        places += [
            (spot.x + aside, spot.y),
            (spot.x - aside, spot.y),
            right_below,
            (spot.x - slant - across / 2, spot.y + slant + up / 2),
            (spot.x, spot.y - above),
            (spot.x, spot.y + above),
            (spot.x + slant + across / 2, spot.y + slant + up / 2),
            (spot.x - slant - across / 2, spot.y - slant - up / 2),
        ]
    return places
