"""Logarithmic axes whose extent we know, since labels are placed by it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import altair as alt


@dataclass(frozen=True)
class LogAxis:
    """A logarithmic axis from `low` to `high` over a number of pixels."""

    low: float
    high: float
    pixels: float
    title: str | None
    form: str = ",.3~r"

    @classmethod
    def over(
        cls,
        values: Iterable[float],
        pixels: float,
        title: str | None,
        *,
        form: str = ",.3~r",
        room: tuple[float, float] = (0.04, 0.06),
    ) -> LogAxis:
        """An axis that holds `values` with `room` (shares of its length) at both ends."""
        finite = [v for v in values if v > 0 and math.isfinite(v)]
        low, high = math.log10(min(finite)), math.log10(max(finite))
        span = max(high - low, 0.3)
        middle = (low + high) / 2
        low, high = middle - span / 2, middle + span / 2
        scale = span / (1 - sum(room))
        low, high = low - room[0] * scale, high + room[1] * scale
        return cls(10**low, 10**high, pixels, title, form)

    def pixel(self, value: float) -> float:
        """Distance from the low end."""
        return self.pixels * math.log(value / self.low) / math.log(self.high / self.low)

    def at(self, pixel: float) -> float:
        """Value at a distance from the low end."""
        return self.low * float((self.high / self.low) ** (pixel / self.pixels))

    @property
    def per_decade(self) -> float:
        """Pixels of a factor of ten."""
        return self.pixels / math.log10(self.high / self.low)

    def ticks(self) -> list[float]:
        """Powers of ten, and 2 and 5 between where they have room; round steps on a short axis."""
        steps = [1.0] if self.per_decade < 90 else [1.0, 2.0, 5.0]
        powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        ticks = [float(f"{step}e{power}") for power in powers for step in steps]
        shown = [tick for tick in ticks if self.low <= tick <= self.high]
        return shown if len(shown) > 2 else self._even_ticks()

    def _even_ticks(self) -> list[float]:
        """Multiples of the round number that divides the axis into three to eight."""
        third = (self.high - self.low) / 3
        power = math.floor(math.log10(third))
        step = max(f * 10.0**power for f in (1, 2, 5) if f * 10.0**power <= third)
        first, last = math.ceil(self.low / step), math.floor(self.high / step)
        return [float(f"{n * step:.6g}") for n in range(first, last + 1)]

    def x(self, column: str) -> alt.X:
        """The axis as a chart's horizontal one."""
        return alt.X(f"{column}:Q", scale=self._scale(), axis=self._axis())

    def y(self, column: str) -> alt.Y:
        """The axis as a chart's vertical one."""
        return alt.Y(f"{column}:Q", scale=self._scale(), axis=self._axis())

    def _scale(self) -> alt.Scale:
        return alt.Scale(type="log", domain=[self.low, self.high], nice=False)

    def _axis(self) -> alt.Axis:
        return alt.Axis(title=self.title, values=self.ticks(), format=self.form)
