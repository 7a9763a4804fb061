"""Hops, diameters and bisections against graphs built link by link and searched breadth first."""

from __future__ import annotations

import itertools
import math
from collections import deque
from collections.abc import Hashable, Iterable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infercost.equations import topology as eq

Node = Hashable
Graph = dict[Node, set[Node]]


def graph(links: Iterable[tuple[Node, Node]]) -> Graph:
    found: Graph = {}
    for a, b in links:
        found.setdefault(a, set()).add(b)
        found.setdefault(b, set()).add(a)
    return found


def distances(net: Graph, start: Node) -> dict[Node, int]:
    """Links from one node to every other, breadth first."""
    found, queue = {start: 0}, deque([start])
    while queue:
        node = queue.popleft()
        for other in net[node] - found.keys():
            found[other] = found[node] + 1
            queue.append(other)
    return found


def searched(net: Graph, devices: list[Node]) -> tuple[int, float]:
    """Diameter and mean hops between different devices."""
    pairs = [
        distance
        for a in devices
        for b, distance in distances(net, a).items()
        if b in set(devices) and b != a
    ]
    return max(pairs), sum(pairs) / len(pairs)


def box(sides: tuple[int, ...], wrapped: bool) -> Graph:
    """A torus or mesh: neighbours differ by one in one coordinate."""
    links = []
    for place in itertools.product(*map(range, sides)):
        for axis, side in enumerate(sides):
            step = place[axis] + 1
            if step < side or (wrapped and side > 1):
                links.append((place, (*place[:axis], step % side, *place[axis + 1 :])))
    return graph(links)


def cut(net: Graph, sides: tuple[int, ...]) -> int:
    """Links between the halves of a box along its longest side."""
    axis = sides.index(max(sides))
    lower = {place for place in net if place[axis] < max(sides) // 2}  # type: ignore[index]
    return sum(other not in lower for place in lower for other in net[place])


BOXES = [(5,), (6,), (2, 2), (3, 4), (4, 4), (2, 4, 4), (3, 3, 3), (2, 2, 2, 2, 2, 2)]


@pytest.mark.parametrize("sides", BOXES)
def test_tori_by_search(sides: tuple[int, ...]) -> None:
    net = box(sides, wrapped=True)
    diameter, mean = searched(net, list(net))
    counts = [float(side) for side in sides]
    assert eq.torus_diameter(*counts) == diameter
    assert eq.torus_mean_hops(*counts) == pytest.approx(mean)
    if len(sides) == 1:
        assert eq.ring_diameter(counts[0]) == diameter
        assert eq.ring_mean_hops(counts[0]) == pytest.approx(mean)


@pytest.mark.parametrize("sides", BOXES)
def test_meshes_by_search(sides: tuple[int, ...]) -> None:
    net = box(sides, wrapped=False)
    diameter, mean = searched(net, list(net))
    counts = [float(side) for side in sides]
    assert eq.mesh_diameter(*counts) == diameter
    assert eq.mesh_mean_hops(*counts) == pytest.approx(mean)


@pytest.mark.parametrize("sides", [s for s in BOXES if max(s) % 2 == 0])
@pytest.mark.parametrize("wrapped", [True, False])
def test_bisections_by_cutting(sides: tuple[int, ...], wrapped: bool) -> None:
    """Links across the middle, each 1 / 2d of a device's rate, over the rate of half of them."""
    net, n = box(sides, wrapped), math.prod(sides)
    counts = [float(side) for side in sides]
    bisection = eq.torus_bisection if wrapped else eq.mesh_bisection
    assert bisection(*counts) == pytest.approx(cut(net, sides) / (2 * len(sides)) / (n / 2))


def test_a_torus_of_a_pod_by_hand() -> None:
    """4 x 4 x 4: 2 + 2 + 2 hops at most; mean 64 / 63 · 3 · 1; 32 of 192 links cut, of 96."""
    assert eq.torus_diameter(4.0, 4.0, 4.0) == 6
    assert eq.torus_mean_hops(4.0, 4.0, 4.0) == pytest.approx(64 / 63 * 3)
    assert eq.torus_bisection(4.0, 4.0, 4.0) == pytest.approx(32 / 6 / 32)


def fat_tree(radix: int, levels: int) -> tuple[Graph, list[Node]]:
    """A folded Clos network: half of a switch's ports up, at the top all down.

    Switches of a level are digits in base r / 2, as in a butterfly; the top's pair up in one.
    """
    half = radix // 2
    if levels == 1:
        return graph((("d", i), "top") for i in range(radix)), [("d", i) for i in range(radix)]
    links: list[tuple[Node, Node]] = []
    devices: list[Node] = []
    for side in range(2):  # two halves, joined by the top level
        for place in itertools.product(range(half), repeat=levels):
            device = ("d", side, place)
            devices.append(device)
            links.append((device, ("s", 1, side, place[:-1])))
        for level in range(1, levels):
            for place in itertools.product(range(half), repeat=levels - 1):
                for digit in range(half):
                    other = list(place)
                    other[levels - 1 - level] = digit
                    above = ("s", level + 1, side, tuple(other))
                    if level + 1 == levels:
                        above = ("s", level + 1, -1, tuple(other))
                    links.append((("s", level, side, place), above))
    return graph(links), devices


@pytest.mark.parametrize(("radix", "levels"), [(4, 1), (4, 2), (6, 2), (4, 3), (6, 3), (4, 4)])
def test_fat_trees_by_search(radix: int, levels: int) -> None:
    net, devices = fat_tree(radix, levels)
    n = float(len(devices))
    assert n == (radix if levels == 1 else 2 * (radix // 2) ** levels)
    diameter, mean = searched(net, devices)
    assert eq.fat_tree_levels(n, radix) == levels
    assert eq.fat_tree_levels(n + 1, radix) == levels + 1
    assert eq.fat_tree_diameter(n, radix) == diameter
    assert eq.fat_tree_mean_hops(n, radix) == pytest.approx(mean)


def dragonfly(p: int) -> tuple[Graph, list[Node], dict[tuple[int, int], tuple[Node, Node]]]:
    """A balanced dragonfly of its largest size: a = 2 p routers, a p + 1 groups, p global links."""
    a, groups = 2 * p, 2 * p * p + 1
    links: list[tuple[Node, Node]] = []
    devices: list[Node] = []
    gates: dict[tuple[int, int], tuple[Node, Node]] = {}
    for group in range(groups):
        routers = [("r", group, i) for i in range(a)]
        links += list(itertools.combinations(routers, 2))
        for router in routers:
            for i in range(p):
                devices.append(("d", router, i))
                links.append((("d", router, i), router))
        for port in range(a * p):
            other = (group + port + 1) % groups
            back = (group - other) % groups - 1
            gates[group, other] = (routers[port // p], ("r", other, back // p))
    return graph(links), devices, gates


@pytest.mark.parametrize("p", [1, 2, 3])
def test_dragonflies_by_search_of_minimal_ways(p: int) -> None:
    """Within a group breadth first; to another over the one link between the two groups."""
    net, devices, gates = dragonfly(p)
    radix, n = 4.0 * p - 1.0, float(len(devices))
    assert eq.dragonfly_routers(radix) == p
    assert eq.dragonfly_group(radix) == 2 * p * p
    assert eq.dragonfly_reach(radix) == n
    within = {node: distances(net, node) for node in net}
    ways = []
    for start, end in itertools.permutations(devices, 2):
        here, there = start[1][1], end[1][1]  # type: ignore[index]
        if here == there:
            ways.append(within[start][end])
        else:
            out, into = gates[here, there]
            ways.append(within[start][out] + 1 + within[into][end])
    assert eq.dragonfly_diameter(n, radix) == max(ways)
    assert eq.dragonfly_mean_hops(n, radix) == pytest.approx(sum(ways) / len(ways))
    # Half of the groups against the others: (g - 1) / 2 times (g + 1) / 2 links; g is odd.
    groups = 2 * p * p + 1
    crossing = (groups**2 - 1) / 4
    assert eq.dragonfly_bisection(n, radix) == pytest.approx(crossing / (n / 2), rel=1 / groups)


def test_small_dragonflies_by_hand() -> None:
    """Radix 7: 2 devices a router, 4 routers a group. 2 hops, 3 in the group, 5 beyond."""
    assert eq.dragonfly_diameter(np.array([1, 2, 8, 9]), 7.0).tolist() == [0, 2, 3, 5]
    assert eq.dragonfly_mean_hops(8.0, 7.0) == pytest.approx((2 * 1 + 3 * 6) / 7)


def test_one_switch_and_a_full_mesh_by_hand() -> None:
    """Two hops through a switch. Eight devices in a mesh: 4 x 4 of 28 links cross."""
    assert eq.switch_hops(np.array([1, 2, 72])).tolist() == [0, 2, 2]
    assert eq.full_mesh_bisection(8.0) == pytest.approx(16 / 28)
    assert eq.uniform_slowdown(8.0, eq.full_mesh_bisection(8.0)) == pytest.approx(1)
    # Seven: 3 x 4 of 21 links.
    assert eq.full_mesh_bisection(7.0) == pytest.approx(12 / 21)
    assert eq.full_mesh_bisection(1.0) == 1


def test_a_pair_needs_one_switch_and_pays_for_no_spine() -> None:
    """Ports up are fewer by 4 : 1; 8 devices at a switch of 8 need none, 9 do."""
    assert eq.fat_tree_levels(np.array([1.0, 2.0, 8.0, 9.0]), 8.0).tolist() == [1, 1, 1, 2]
    assert eq.fat_tree_bisection(np.array([2.0, 8.0, 9.0]), 8.0, 4.0).tolist() == [1, 1, 0.25]


@pytest.mark.parametrize(
    ("n", "dimensions", "sides"),
    [(128, 3, (4, 4, 8)), (64, 2, (8, 8)), (64, 6, (2,) * 6), (12, 2, (3, 4)), (7, 2, (1, 7))],
)
def test_boxes_are_as_even_as_can_be(n: int, dimensions: int, sides: tuple[int, ...]) -> None:
    found, rest = [], float(n)
    for left in range(dimensions, 0, -1):
        found.append(float(eq.smallest_side(rest, float(left))))
        rest /= found[-1]
    assert tuple(found) == sides


@given(st.integers(2, 40))
def test_uniform_traffic_in_a_ring_is_slowed_by_its_mean_hops(half: int) -> None:
    """n devices send W each over n links of W / 2 both ways: each byte takes hops of them.

    For even n the bisection says the same: n² / 4 (n - 1).
    """
    n = 2.0 * half
    if n > 2:
        slowed = eq.uniform_slowdown(n, eq.torus_bisection(n))
        assert slowed == pytest.approx(eq.ring_mean_hops(n))


@given(st.sampled_from((2.0, 4.0, 8.0, 16.0)), st.integers(1, 6))
def test_halving_partners_in_a_torus_by_hand(side: float, dimensions: int) -> None:
    """1 + 2 + ... + k / 2 = k - 1 hops along each side."""
    by_hand = dimensions * sum(2**i for i in range(int(math.log2(side))))
    assert eq.halving_hops(*[side] * dimensions) == by_hand


def test_halving_partners_in_switches_by_hand() -> None:
    """16 devices on switches of 8: two steps below a leaf of 4, two through the top.

    On routers of 2 in groups of 8: one step of 2 hops, two of 3, one of 5.
    """
    assert eq.fat_tree_halving_hops(16.0, 8.0) == 2 * 2 + 2 * 4
    assert eq.dragonfly_halving_hops(16.0, 7.0) == 2 + 2 * 3 + 5
    # Twelve take as many steps as 16; one takes none.
    assert eq.fat_tree_halving_hops(12.0, 8.0) == 2 * 2 + 2 * 4
    assert eq.fat_tree_halving_hops(1.0, 8.0) == 0


def test_used_ports_by_hand() -> None:
    """4 x 4 of a 2D torus uses all 4 ports, 2 x 1 one of them; one device waits for none."""
    assert eq.used_ports(4.0, 4.0) == 1
    assert eq.used_ports(2.0, 1.0) == 0.25
    assert eq.used_ports(1.0, 1.0) == 1


def test_hops_across_domains_by_hand() -> None:
    """Of 15 others 7 share the switch (2 hops), 8 lie beyond (6): (14 + 48) / 15."""
    assert eq.hierarchical_mean_hops(16.0, 8.0, 2.0, 6.0) == pytest.approx(62 / 15)


@pytest.mark.parametrize(
    "hops",
    [
        eq.ring_mean_hops,
        eq.torus_mean_hops,
        eq.mesh_mean_hops,
        eq.switch_hops,
        lambda n: eq.fat_tree_mean_hops(n, 64.0),
        lambda n: eq.fat_tree_diameter(n, 64.0),
        lambda n: eq.dragonfly_mean_hops(n, 15.0),
        lambda n: eq.dragonfly_diameter(n, 15.0),
    ],
)
def test_one_device_is_at_hand_of_itself(hops: object) -> None:
    assert hops(np.array([1.0])) == 0  # type: ignore[operator]
