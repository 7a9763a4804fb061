"""One fabric as collectives see it: how n ranks lie to one another, and what a step costs there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from infercost.arrays import Array, Bytes, Count, Ratio, Seconds, as_array
from infercost.equations import collectives as eq
from infercost.equations import topology as topo
from infercost.equations.availability import stale_share, straggling_factor
from infercost.specs.link import SIDES, Link, Topology, suits

PATTERN = {
    "ring": "neighbours",
    "bucket": "neighbours",
    "tree": "tree",
    "recursive_doubling": "partners",
    "one_shot": "everyone",
    "two_shot": "everyone",
    "in_network": "root",
    "direct": "everyone",
    "pairwise": "everyone",
    "bruck": "partners",
}
"""Whom a rank talks to in the steps of an algorithm: the same neighbours, partners ever further
away, those same partners without sharing links, everyone in turn or at once, or the switches."""


@dataclass(frozen=True)
class Shape:
    """How the ranks of a group lie in a topology."""

    nearest: Count
    """Hops between nearest devices."""
    diameter: Count
    mean_hops: Count
    bisection: Ratio
    halving_hops: Count
    """Hops of all steps of one phase of recursive doubling."""
    ports: Ratio = 1.0
    """Share of a device's ports that lead to its group."""
    sharing: Ratio = 1.0
    """Slowdown of recursive doubling by partners that share links."""
    bucket_steps: Count = 0.0
    """Steps of one phase of a ring along each side in turn."""
    open_ended: bool = False
    """Whether sides have ends, so that the step back to the first takes the whole way again."""

    def hops(self, algorithm: str, steps: Count, n: Count) -> Count:
        """Hops of all steps of a collective, one after the other."""
        pattern = PATTERN[algorithm]
        if pattern == "neighbours":
            # A path folds into a ring of steps of two hops.
            return steps * (2.0 if self.open_ended and algorithm == "bucket" else self.nearest)
        if pattern in ("partners", "tree"):
            return steps / np.maximum(eq.doubling_steps(n), 1.0) * self.halving_hops
        return steps * (self.mean_hops if algorithm == "pairwise" else self.diameter)

    def slowdown(self, pattern: str, n: Count) -> Ratio:
        """Time of the bytes over that on all ports of a device without contention."""
        if pattern == "everyone":
            return np.maximum(topo.uniform_slowdown(n, self.bisection), 1.0 / self.ports)
        return (self.sharing if pattern == "partners" else 1.0) / self.ports

    def travel(self, pattern: str) -> Ratio:
        """Hops of a byte over those between nearest devices: what its energy grows by."""
        if pattern == "partners":
            return np.maximum(self.sharing, 1.0)
        if pattern == "everyone":
            return np.maximum(self.mean_hops / self.nearest, 1.0)
        return 1.0


def shape_of(topology: Topology, domain: Count, n: Count) -> Shape:
    """The shape of a group of `n` of the `domain` devices of a fabric."""
    kind, radix = topology.kind.removeprefix("reducing_"), topology.radix
    n = as_array(n, dtype=np.float64)
    if kind in SIDES:
        return _box(kind, n)
    if kind == "fat_tree":
        return Shape(
            2.0,
            topo.fat_tree_diameter(n, radix),
            topo.fat_tree_mean_hops(n, radix),
            topo.fat_tree_bisection(n, radix, topology.oversubscription),
            topo.fat_tree_halving_hops(n, radix),
        )
    if kind == "dragonfly":
        return Shape(
            2.0,
            topo.dragonfly_diameter(n, radix),
            topo.dragonfly_mean_hops(n, radix),
            topo.dragonfly_bisection(n, radix),
            topo.dragonfly_halving_hops(n, radix),
        )
    several = np.minimum(n - 1.0, 1.0)
    if kind == "full_mesh":
        ports = np.where(n > 1.0, (n - 1.0) / np.maximum(as_array(domain) - 1.0, 1.0), 1.0)
        bisection = topo.full_mesh_bisection(n) * ports
        return Shape(1.0, several, several, bisection, eq.doubling_steps(n), ports)
    nearest = 2.0 if kind == "switch" else 1.0
    hops = nearest * several
    return Shape(nearest, hops, hops, 1.0 + 0.0 * n, nearest * eq.doubling_steps(n))


def _box(kind: str, n: Count) -> Shape:
    sides: list[Array] = []
    rest: Array = n
    for left in range(SIDES[kind], 0, -1):
        sides.append(topo.smallest_side(rest, float(left)))
        rest = rest / sides[-1]
    mesh = kind.startswith("mesh")
    return Shape(
        1.0,
        topo.mesh_diameter(*sides) if mesh else topo.torus_diameter(*sides),
        topo.mesh_mean_hops(*sides) if mesh else topo.torus_mean_hops(*sides),
        topo.mesh_bisection(*sides) if mesh else topo.torus_bisection(*sides),
        topo.halving_hops(*sides),
        topo.used_ports(*sides),
        topo.halving_slowdown(*sides),
        topo.bucket_steps(*sides),
        open_ended=mesh,
    )


@dataclass(frozen=True)
class Parts:
    """An ideal collective on one fabric: latency, transfer, bytes sent, and bytes times hops."""

    latency: Array
    bandwidth: Array
    sent: Bytes
    travelled: Bytes

    @property
    def time(self) -> Seconds:
        """Both parts together."""
        return self.latency + self.bandwidth


Volume = Callable[[Count], Ratio]
Table = Mapping[str, tuple[Callable[[Count], Count], Volume]]


Pace = Callable[[Parts], Seconds]
"""Time that a stack takes for a collective."""


def ideal_pace(parts: Parts) -> Seconds:
    """Time on an ideal link."""
    return parts.time


def fastest(ways: Sequence[Parts], pace: Pace = ideal_pace) -> Parts:
    """What takes least time at a pace, size by size."""
    best, *others = ways
    least = pace(best)
    for parts in others:
        time = pace(parts)
        wins = as_array(time < as_array(least))
        least = np.where(wins, time, least)
        best = Parts(
            np.where(wins, parts.latency, best.latency),
            np.where(wins, parts.bandwidth, best.bandwidth),
            np.where(wins, parts.sent, best.sent),
            np.where(wins, parts.travelled, best.travelled),
        )
    return best


@dataclass(frozen=True)
class Fabric:
    """A link with its topology."""

    link: Link

    @cached_property
    def reach(self) -> Count:
        """Devices that reach one another: the domain, or what the topology's switches connect."""
        if self.link.topology.kind != "dragonfly":
            return self.link.domain
        return np.minimum(self.link.domain, topo.dragonfly_reach(self.link.topology.radix))

    @property
    def stale(self) -> Ratio:
        """Share of ranks' messages that come after the time-out, for which earlier data stand."""
        late = self.link.straggling
        if late.timeout is None:
            return 0.0
        return np.where(as_array(late.tail) > 0.0, stale_share(late.timeout), 0.0)

    def shape(self, n: Count) -> Shape:
        """How a group of `n` lies in the fabric."""
        return shape_of(self.link.topology, self.link.domain, n)

    def ways(self, table: Table, names: Sequence[str], size: Bytes, n: Count) -> list[Parts]:
        """Each algorithm of `table` among `names` that suits the topology.

        `size` are the bytes that its volumes refer to.
        """
        found = [
            self._run(name, *self._counted(table, name, n), size, n)
            for name in names
            if suits(name, self.link.topology.kind)
        ]
        assert found  # the spec demands one algorithm that suits the topology
        return found

    def _counted(self, table: Table, name: str, n: Count) -> tuple[Count, Ratio]:
        """Steps and volume; buckets take theirs from the sides of the topology."""
        if name != "bucket":
            steps, volume = table[name]
            return steps(n), volume(n)
        phases = 2.0 if table is eq.ALL_REDUCE else 1.0
        return phases * self.shape(n).bucket_steps, table["ring"][1](n)

    def one_step(self, size: Bytes, steps: Count, n: Count) -> Parts:
        """A message of `size` bytes to one of n devices; none of either where `steps` is 0."""
        return self._run("pairwise", steps, 1.0, size, n)

    def _run(self, name: str, steps: Count, volume: Ratio, size: Bytes, n: Count) -> Parts:
        sent = volume * size
        if self._plain:
            bandwidth = eq.bandwidth_time(sent, self.link.bandwidth_out, self.link.payload)
            return Parts(eq.latency_time(steps, self.link.alpha), bandwidth, sent, sent)
        pattern, shape = PATTERN[name], self.shape(n)
        latency = eq.latency_time(steps, self._alpha(sent, steps))
        if self.link.hop_time is not None:
            hop = self.link.hop_time * self.link.endpoint.keep_wire
            latency = latency + eq.latency_time(shape.hops(name, steps, n), hop)
        late = self.link.straggling
        if not _is(late.tail, 0.0):
            timeout = np.inf if late.timeout is None else late.timeout
            latency = latency * straggling_factor(n, late.tail, timeout)
        latency = latency + self.link.setup * np.minimum(steps, 1.0)
        bandwidth = eq.bandwidth_time(
            sent * shape.slowdown(pattern, n), self.link.bandwidth_out, self.link.payload
        )
        if self.link.channels is not None:
            each = self.link.channels
            few = eq.channel_time(sent, size, n, each.message_per_rank, each.bandwidth)
            bandwidth = np.maximum(bandwidth, few)
        return Parts(latency, bandwidth, sent, sent * shape.travel(pattern))

    @cached_property
    def _plain(self) -> bool:
        """Whether nothing but alpha and bandwidth counts, as in most links: the short way."""
        link, end = self.link, self.link.endpoint
        kept = (end.keep_software, end.keep_nic, end.keep_landing, end.keep_wire)
        return link.hop_time is None and (
            link.topology.kind in ("ideal", "switch", "reducing_switch")
            and all(_is(share, 1.0) for share in kept)
            and _is(link.setup, 0.0)
            and link.channels is None
            and _is(link.straggling.tail, 0.0)
        )

    def _alpha(self, sent: Bytes, steps: Count) -> Seconds:
        """Fixed time of a step, hops apart where the topology counts them.

        Small packets land in SRAM where the endpoint has it.
        """
        end = self.link.endpoint
        each = sent / np.maximum(steps, 1.0)
        small = as_array(each <= as_array(end.small_packet), dtype=np.float64)
        return eq.step_alpha(
            self.link.alpha,
            end.nic,
            end.landing,
            end.wire,
            end.keep_software,
            end.keep_nic,
            1.0 - small * (1.0 - end.keep_landing),
            end.keep_wire if self.link.hop_time is None else 0.0,
        )


def _is(value: Array, neutral: float) -> bool:
    """Whether a number, or every number of an axis, is the neutral one."""
    return bool(np.all(as_array(value) == neutral))
