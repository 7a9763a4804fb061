"""Messages of a pass: collectives laid over the scale-up and scale-out fabrics."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from infercost.arrays import Array, Bytes, Count, Joules, Seconds
from infercost.equations import collectives as eq
from infercost.equations.energy import movement_energy
from infercost.specs.hardware import Hardware
from infercost.specs.link import Link


@dataclass(frozen=True)
class Message:
    """One collective of a pass, `count` times: its ideal time in two parts, and what is sent.

    `synchronised` ranks wait for one another; 1 where the message is between two.
    """

    name: str
    count: Array
    latency: Seconds
    bandwidth: Seconds
    sent: Bytes
    energy: Joules
    synchronised: Count = 1.0


@dataclass(frozen=True)
class _Parts:
    latency: Array
    bandwidth: Array
    sent: Array


@dataclass(frozen=True)
class Network:
    """The fabrics of one device. Groups fill scale-up domains first; one rank sends nothing."""

    hardware: Hardware

    def all_reduce(self, name: str, count: Array, size: Bytes, n: Count) -> Message:
        """All-reduce of `size` bytes over `n` ranks.

        Inside a domain the group reduces and gathers; between domains each rank reduces its share
        of the tensor with its counterparts.
        """
        inside = eq.ranks_inside(n, self.hardware.scale_up.domain)
        outside = eq.domains_spanned(n, self.hardware.scale_up.domain)
        near = self._fastest(self.hardware.scale_up, size, inside)
        far = self._fastest(self.hardware.scale_out, size / inside, outside)
        return self._joined(name, count, near, far, n)

    def all_to_all(self, name: str, count: Array, size: Bytes, n: Count, stride: Count) -> Message:
        """All-to-all in which a device sends `size` bytes, spread evenly over `n` groups.

        Ranks of one group are `stride` devices apart, so that `domain / stride` groups share a
        domain. What stays inside travels on scale-up while the rest is on scale-out: the slower
        counts.
        """
        domain = np.maximum(self.hardware.scale_up.domain // np.asarray(stride), 1.0)
        inside = eq.ranks_inside(n, domain)
        outside_share = eq.remote_share(n, inside)
        inside_share = eq.remote_share(n, 1.0) - outside_share
        up, out = self.hardware.scale_up, self.hardware.scale_out
        near = self._parts(up, eq.all_to_all_steps(inside), size * inside_share)
        far = self._parts(out, np.ceil(outside_share), size * outside_share)
        slower = np.asarray(far.latency + far.bandwidth > near.latency + near.bandwidth)
        return Message(
            name,
            count,
            np.where(slower, far.latency, near.latency),
            np.where(slower, far.bandwidth, near.bandwidth),
            near.sent + far.sent,
            movement_energy(near.sent, up.transfer_energy)
            + movement_energy(far.sent, out.transfer_energy),
        )

    def point_to_point(self, name: str, count: Array, size: Bytes, span: Count) -> Message:
        """A message to the next of several groups that together span `span` devices.

        It crosses scale-out where they do not fit one scale-up domain.
        """
        far = np.asarray(span > np.asarray(self.hardware.scale_up.domain), dtype=np.float64)
        near_parts = self._parts(self.hardware.scale_up, 1.0 - far, size * (1.0 - far))
        return self._joined(
            name, count, near_parts, self._parts(self.hardware.scale_out, far, size * far)
        )

    def _parts(self, link: Link, steps: Count, sent: Bytes) -> _Parts:
        return _Parts(
            eq.latency_time(steps, link.alpha),
            eq.bandwidth_time(sent, link.bandwidth_out, 1.0),
            sent,
        )

    def _fastest(self, link: Link, size: Bytes, n: Count) -> _Parts:
        """The all-reduce that is fastest on an ideal link, size by size."""
        best: _Parts | None = None
        for name in link.collectives:
            steps, volume = eq.ALL_REDUCE[name]
            parts = self._parts(link, steps(n), volume(n) * size)
            if best is None:
                best = parts
                continue
            wins = np.asarray(
                parts.latency + parts.bandwidth < np.asarray(best.latency + best.bandwidth)
            )
            best = _Parts(
                np.where(wins, parts.latency, best.latency),
                np.where(wins, parts.bandwidth, best.bandwidth),
                np.where(wins, parts.sent, best.sent),
            )
        assert best is not None  # the spec demands one algorithm at least
        return best

    def _joined(
        self, name: str, count: Array, near: _Parts, far: _Parts, synchronised: Count = 1.0
    ) -> Message:
        up, out = self.hardware.scale_up, self.hardware.scale_out
        return Message(
            name,
            count,
            near.latency + far.latency,
            near.bandwidth + far.bandwidth,
            near.sent + far.sent,
            movement_energy(near.sent, up.transfer_energy)
            + movement_energy(far.sent, out.transfer_energy),
            synchronised,
        )
