"""Messages of a pass: collectives laid over the scale-up and scale-out fabrics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np

from infercost.arrays import INSTANT, Array, Bytes, Count, Joules, Seconds, as_array
from infercost.equations import collectives as eq
from infercost.equations import roofline
from infercost.equations.energy import movement_energy
from infercost.equations.moe import merged_share
from infercost.network.fabric import Fabric, Parts, Table, fastest, ideal_pace
from infercost.specs.calibration import Calibration
from infercost.specs.hardware import Hardware


@dataclass(frozen=True)
class Message:
    """One collective of a pass, `count` times: its ideal time in two parts, and what is sent.

    `synchronised` ranks wait for one another; 1 where the message is between two. `inside` and
    `outside` are the algorithms that there were, of which it takes the fastest.
    """

    name: str
    count: Array
    latency: Seconds
    bandwidth: Seconds
    sent: Bytes
    energy: Joules
    synchronised: Count = 1.0
    inside: tuple[Parts, ...] = ()
    outside: tuple[Parts, ...] = ()

    @property
    def ways(self) -> tuple[tuple[Seconds, Seconds], ...]:
        """Its two parts under every choice of algorithms."""
        found = product(self.inside, self.outside)
        ways = tuple((a.latency + b.latency, a.bandwidth + b.bandwidth) for a, b in found)
        return ways or ((self.latency, self.bandwidth),)


def transfer_reached(calibration: Calibration, latency: Seconds, bandwidth: Seconds) -> Seconds:
    """Time in transit of a message whose ideal parts are these, at what a stack reaches."""
    return roofline.ramped_time(
        bandwidth,
        calibration.network_efficiency,
        calibration.collective_ramp * latency,
        calibration.collective_ramp_half * latency + INSTANT,
    )


@dataclass(frozen=True)
class Network:
    """The fabrics of one device. Groups fill scale-up domains first; one rank sends nothing.

    Of several algorithms each size takes the one that is fastest at what the stack reaches
    (`calibration`; on ideal links without one), so that a better link never makes it slower.
    """

    hardware: Hardware
    calibration: Calibration | None = None

    @cached_property
    def scale_up(self) -> Fabric:
        """The fabric inside a domain."""
        return Fabric(self.hardware.scale_up)

    @cached_property
    def scale_out(self) -> Fabric:
        """The fabric between domains."""
        return Fabric(self.hardware.scale_out)

    def all_reduce(self, name: str, count: Array, size: Bytes, n: Count) -> Message:
        """All-reduce of `size` bytes over `n` ranks.

        Inside a domain the group reduces and gathers; between domains each rank reduces its share
        of the tensor with its counterparts.
        """
        return self._by_levels(eq.ALL_REDUCE, name, count, size, n)

    def all_gather(self, name: str, count: Array, size: Bytes, n: Count) -> Message:
        """All-gather of a tensor of `size` bytes in total over `n` ranks, level by level."""
        return self._by_levels(eq.ALL_GATHER, name, count, size, n)

    def reduce_scatter(self, name: str, count: Array, size: Bytes, n: Count) -> Message:
        """Sum of tensors of `size` bytes, each of `n` ranks keeping its part, level by level."""
        return self._by_levels(eq.REDUCE_SCATTER, name, count, size, n)

    def _by_levels(self, table: Table, name: str, count: Array, size: Bytes, n: Count) -> Message:
        up, out = self.scale_up, self.scale_out
        inside = eq.ranks_inside(n, up.reach)
        outside = eq.domains_spanned(n, up.reach)
        near = up.ways(table, up.link.collectives, size, inside)
        far = out.ways(table, out.link.collectives, size / inside, outside)
        return self._joined(name, count, near, far, n)

    def all_to_all(
        self,
        name: str,
        count: Array,
        size: Bytes,
        n: Count,
        stride: Count,
        copies: Count | None = None,
    ) -> Message:
        """All-to-all in which a device sends `size` bytes, spread evenly over `n` groups.

        Ranks of one group are `stride` devices apart, so that `domain / stride` groups share a
        domain. What stays inside travels on scale-up while the rest is on scale-out: the slower
        counts. Of `copies` of a token each domain gets one, and hands it on over scale-up.
        """
        up, out = self.scale_up, self.scale_out
        domain = np.maximum(up.reach // as_array(stride), 1.0)
        inside = eq.ranks_inside(n, domain)
        outside_share = eq.remote_share(n, inside)
        inside_share = eq.remote_share(n, 1.0) - outside_share
        if copies is not None:
            inside_share = eq.remote_share(inside, 1.0)
            outside_share = outside_share * merged_share(copies, n / as_array(inside))
        near = self._fastest(up.ways(eq.ALL_TO_ALL, up.link.exchanges, size * inside_share, inside))
        # All ranks beyond are counterparts in other domains, reached over the same fabric.
        beyond = np.where(as_array(outside_share) > 0.0, n, 1.0)
        far = self._fastest(
            out.ways(eq.ALL_TO_ALL, out.link.exchanges, size * outside_share, beyond)
        )
        slower = as_array(self._pace(far) > as_array(self._pace(near)))
        return Message(
            name,
            count,
            np.where(slower, far.latency, near.latency),
            np.where(slower, far.bandwidth, near.bandwidth),
            near.sent + far.sent,
            self._energy(near, far),
        )

    def point_to_point(self, name: str, count: Array, size: Bytes, span: Count) -> Message:
        """A message to the next of several groups that together span `span` devices.

        It crosses scale-out where they do not fit one scale-up domain.
        """
        far = as_array(span > as_array(self.scale_up.reach), dtype=np.float64)
        inside = self.scale_up.one_step(size * (1.0 - far), 1.0 - far, 2.0)
        outside = self.scale_out.one_step(size * far, far, 2.0)
        return self._joined(name, count, [inside], [outside])

    def _pace(self, parts: Parts) -> Seconds:
        if self.calibration is None:
            return ideal_pace(parts)
        return parts.latency + transfer_reached(self.calibration, parts.latency, parts.bandwidth)

    def _fastest(self, ways: Sequence[Parts]) -> Parts:
        return fastest(ways, self._pace)

    def _joined(
        self,
        name: str,
        count: Array,
        inside: Sequence[Parts],
        outside: Sequence[Parts],
        synchronised: Count = 1.0,
    ) -> Message:
        near, far = self._fastest(inside), self._fastest(outside)
        return Message(
            name,
            count,
            near.latency + far.latency,
            near.bandwidth + far.bandwidth,
            near.sent + far.sent,
            self._energy(near, far),
            synchronised,
            tuple(inside),
            tuple(outside),
        )

    def _energy(self, near: Parts, far: Parts) -> Joules:
        up, out = self.hardware.scale_up, self.hardware.scale_out
        return movement_energy(near.travelled, up.transfer_energy) + movement_energy(
            far.travelled, out.transfer_energy
        )
