"""The roofs of a device on a roofline, with their notes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import altair as alt
import pandas as pd
from altair.typing import ChartType

from infercost.plots.axes import LogAxis
from infercost.plots.frame import FAINT
from infercost.plots.labels import Box, box_around, extent, is_free

X, Y = "intensity_flop_per_b", "rate_flop_per_s"
SIZE = 10


class Roofs:
    """A device's dense peaks (FLOP/s) and memory bandwidth (B/s) on two logarithmic axes."""

    def __init__(self, peaks: Sequence[float], bandwidth: float, x: LogAxis, y: LogAxis) -> None:
        self.peaks, self.bandwidth, self.x, self.y = list(peaks), bandwidth, x, y
        self.ridges = [peak / bandwidth for peak in peaks]

    def lines(self) -> ChartType:
        """Each roof: memory up to the ridge, then the peak; and the ridges."""
        corners = [
            {"peak": peak, X: intensity, Y: min(peak, self.bandwidth * intensity)}
            for peak, ridge in zip(self.peaks, self.ridges, strict=True)
            for intensity in (self.x.low, ridge, self.x.high)
        ]
        roofs = alt.Chart(pd.DataFrame(corners)).mark_line(
            color="#333333", strokeWidth=1.8, clip=True
        )
        feet = pd.DataFrame({X: self.ridges, Y: self.peaks, "floor": self.y.low})
        ridges = alt.Chart(feet).mark_rule(strokeDash=[3, 3], color="#999999")
        x, y = self.x.x(X), self.y.y(Y)
        return alt.layer(
            ridges.encode(x=x, y=y, y2="floor:Q"), roofs.encode(x=x, y=y, detail="peak:N")
        )

    def boxes(self) -> list[Box]:
        """Small boxes along the roofs."""
        boxes = []
        for peak, ridge in zip(self.peaks, self.ridges, strict=True):
            left = (0.0, self.y.pixel(self.bandwidth * self.x.low))
            top = self.y.pixel(peak)
            for (x0, y0), (x1, y1) in pairwise(
                [left, (self.x.pixel(ridge), top), (self.x.pixels, top)]
            ):
                steps = int((x1 - x0) // 4) + 1
                for n in range(steps + 1):
                    place = x0 + (x1 - x0) * n / steps, y0 + (y1 - y0) * n / steps
                    boxes.append(box_around(*place, 6, 6))
        return boxes

    def notes(self, marks: Sequence[Box]) -> tuple[ChartType, list[Box]]:
        """What each roof is, clear of the marks; and the boxes that the notes take."""
        peaks, over_peaks = self._peak_notes(marks)
        memory, over_memory = self._memory_note([*marks, *over_peaks])
        ridges, over_ridges = self._ridge_notes()
        layered: ChartType = alt.layer(peaks, memory, ridges)
        return layered, [*over_peaks, *over_memory, *over_ridges]

    def _peak_notes(self, marks: Sequence[Box]) -> tuple[alt.Chart, list[Box]]:
        """On or under each peak, as far right as marks allow."""
        rows: list[dict[str, Any]] = []
        boxes: list[Box] = []
        for peak, ridge in zip(self.peaks, self.ridges, strict=True):
            text = f"{si(peak, 'FLOP/s')} dense"
            across, up = extent(text, SIZE)
            right = self.x.pixels - across / 2 - 2
            step = max(right - self.x.pixel(ridge) - across / 2, 0.0) / 8
            tries = [
                (right - n * step, self.y.pixel(peak) + side * up)
                for n in range(9)
                for side in (0.7, -0.7)
            ]
            candidates = [[box_around(*place, across, up)] for place in tries]
            best = self._first_free(candidates, [*marks, *boxes])
            boxes += candidates[best]
            x, y = tries[best]
            rows.append({X: self.x.at(x), Y: self.y.at(y), "label": text})
        return self._texts(rows), boxes

    def _memory_note(self, marks: Sequence[Box]) -> tuple[alt.Chart, list[Box]]:
        """Along the slope, in its middle if marks allow."""
        text = f"memory {si(self.bandwidth, 'B/s')}"
        across, up = extent(text, SIZE)
        slope = math.atan2(self.y.per_decade, self.x.per_decade)
        low = max(self.y.pixel(self.bandwidth * self.x.low), 0.0)
        high = self.y.pixel(max(self.peaks))
        tries, candidates = [], []
        for share in (0.5, 0.4, 0.6, 0.3, 0.7, 0.2, 0.8):
            rate = self.y.at(low + share * (high - low))
            x = self.x.pixel(rate / self.bandwidth) - 9 * math.sin(slope)
            y = self.y.pixel(rate) + 9 * math.cos(slope)
            along = [across * (n / 8 - 0.5) for n in range(9)]
            tries.append((x, y))
            candidates.append(
                [
                    box_around(x + d * math.cos(slope), y + d * math.sin(slope), up, up)
                    for d in along
                ]
            )
        best = self._first_free(candidates, marks)
        x, y = tries[best]
        row = {X: self.x.at(x), Y: self.y.at(y), "label": text}
        return self._texts([row], angle=360 - math.degrees(slope)), candidates[best]

    def _ridge_notes(self) -> tuple[alt.Chart, list[Box]]:
        """Upwards beside each ridge, on the axis."""
        rows, boxes = [], []
        for ridge in self.ridges:
            text = f"ridge {ridge:,.0f} FLOP/B"
            across, up = extent(text, SIZE)
            x, y = self.x.pixel(ridge) - 0.7 * up, 8 + across / 2
            boxes.append(box_around(x, y, up, across))
            rows.append({X: self.x.at(x), Y: self.y.at(y), "label": text})
        return self._texts(rows, angle=270), boxes

    def _first_free(self, candidates: Sequence[Sequence[Box]], taken: Sequence[Box]) -> int:
        """The first candidate whose boxes are all free, else the first."""
        size = self.x.pixels, self.y.pixels
        free = (
            n for n, boxes in enumerate(candidates) if all(is_free(b, taken, *size) for b in boxes)
        )
        return next(free, 0)

    def _texts(self, rows: list[dict[str, Any]], angle: float = 0.0) -> alt.Chart:
        base = alt.Chart(pd.DataFrame(rows)).encode(x=self.x.x(X), y=self.y.y(Y), text="label:N")
        texts: alt.Chart = base.mark_text(
            fontSize=SIZE, color=FAINT, baseline="middle", angle=angle
        )
        return texts


def si(value: float, unit: str) -> str:
    """A large amount with a prefix: 1.979 PFLOP/s."""
    for prefix, size in (("P", 1e15), ("T", 1e12), ("G", 1e9)):
        if value >= size:
            return f"{value / size:.4g} {prefix}{unit}"
    return f"{value:.4g} {unit}"
