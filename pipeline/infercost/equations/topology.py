"""Topologies: hops between devices, and what a cut through the middle carries.

A hop is one link, from a device or a switch to the next; the way through one switch is two. `n`
devices take part, all of them alike. Bisection bandwidth is that of one direction across the
worst cut into halves, over n / 2 times what one device sends on all of its ports: 1 loses nothing,
and uniform traffic needs n / (2 (n - 1)) of it. One device is at hand of itself: 0 hops.
Sources: Dally and Towles 2004, for rings, tori and meshes; Kim, Dally, Scott
and Abts 2008 for dragonflies. All leave out queueing, failed links and uneven placement.
"""

from __future__ import annotations

from functools import cache, reduce
from operator import mul

import numpy as np

from infercost.arrays import Count, Ratio

# --- Rings, tori and meshes -----------------------------------------------------------------------


def smallest_side(n: Count, dimensions: Count) -> Count:
    """Smallest side of the most even box of `n` devices: the largest divisor up to n^(1/d).

    Taken again of what remains, it gives all sides: 128 in three dimensions are 4 x 4 x 8.
    """
    found: Count = np.vectorize(_largest_divisor, otypes=[np.float64])(n, dimensions)
    return found


@cache
def _largest_divisor(n: float, dimensions: float) -> float:
    whole = round(n)
    most = int(whole ** (1.0 / dimensions) + 1e-9)
    return float(next(side for side in range(max(most, 1), 0, -1) if whole % side == 0))


def _others(n: Count) -> Count:
    """Devices to talk to; 1 for one device, whose sums over others are 0 anyway."""
    return np.maximum(n - 1.0, 1.0)


def _devices(sides: tuple[Count, ...]) -> Count:
    return reduce(mul, sides)


def ring_diameter(n: Count) -> Count:
    """Most hops between two devices of a ring: floor(n / 2)."""
    return np.floor(n / 2.0)


def ring_mean_hops(n: Count) -> Count:
    """Mean hops between two different devices of a ring: floor(n² / 4) / (n - 1)."""
    return np.floor(n * n / 4.0) / _others(n)


def torus_diameter(*sides: Count) -> Count:
    """Most hops in a torus: Σ floor(k / 2) over its sides k. One side is a ring."""
    return sum((ring_diameter(k) for k in sides), start=0.0)


def torus_mean_hops(*sides: Count) -> Count:
    """Mean hops between two different devices of a torus.

        n / (n - 1) · Σ floor(k² / 4) / k

    The sides add up, each with its mean over all pairs, a device with itself among them.
    """
    n = _devices(sides)
    return n / _others(n) * sum((np.floor(k * k / 4.0) / k for k in sides), start=0.0)


def mesh_diameter(*sides: Count) -> Count:
    """Most hops in a mesh: Σ (k - 1)."""
    return sum((k - 1.0 for k in sides), start=0.0)


def mesh_mean_hops(*sides: Count) -> Count:
    """Mean hops between two different devices of a mesh.

    n / (n - 1) · Σ (k² - 1) / (3 k)
    """
    n = _devices(sides)
    return n / _others(n) * sum(((k * k - 1.0) / (3.0 * k) for k in sides), start=0.0)


def torus_bisection(*sides: Count) -> Ratio:
    """Bisection of a torus whose d sides have two ports each.

        links across the longest side k: 2 n / k of rate W / 2d, over n W / 2 = 2 / (d k)

    A side of two has one link between its devices, which halves it.
    """
    longest = reduce(np.maximum, sides)
    return np.where(longest > 1.0, _ports(longest) / (len(sides) * longest), 1.0)


def mesh_bisection(*sides: Count) -> Ratio:
    """Bisection of a mesh: half that of the torus, 1 / (d k)."""
    longest = reduce(np.maximum, sides)
    return np.where(longest > 1.0, 1.0 / (len(sides) * longest), 1.0)


def _ports(side: Count) -> Count:
    """Ports that a device uses along one side: 0, 1 or 2."""
    return np.minimum(side - 1.0, 2.0)


def used_ports(*sides: Count) -> Ratio:
    """Share of a device's 2 d ports that lead to devices of its group; 1 for one device."""
    used = sum((_ports(k) for k in sides), start=0.0) / (2.0 * len(sides))
    return np.where(_devices(sides) > 1.0, used, 1.0)


def bucket_steps(*sides: Count) -> Count:
    """Steps of a ring all-gather run along one side after the other: Σ (k - 1).

    The data are cut in as many parts as there are sides, each part takes them in another order,
    so that all links are in use. Source: Sack and Gropp 2015.
    """
    return mesh_diameter(*sides)


def halving_hops(*sides: Count) -> Count:
    """Hops of all steps of recursive doubling in a torus or mesh: partners 1, 2, 4, ... away.

    Σ (k - 1) over sides k that are powers of two.
    """
    return mesh_diameter(*sides)


def halving_slowdown(*sides: Count) -> Ratio:
    """Slowdown of recursive halving by messages that share the links of a side.

    The step over 2^i devices carries S / 2^(i+1) from each and 2^i of them on one link, so that
    every step loads it with S / 2: log2(k) / 2 · S in place of (k - 1) / k · S. Longest side.
    """
    longest = np.maximum(reduce(np.maximum, sides), 2.0)
    return np.maximum(np.log2(longest) / 2.0 * longest / (longest - 1.0), 1.0)


# --- Switches -------------------------------------------------------------------------------------


def full_mesh_bisection(n: Count) -> Ratio:
    """Bisection of a link between every two devices: floor(n / 2) ceil(n / 2) of n (n - 1) / 2."""
    pairs = np.maximum(n * (n - 1.0) / 2.0, 1.0)
    return np.where(n > 1.0, np.floor(n / 2.0) * np.ceil(n / 2.0) / pairs, 1.0)


def switch_hops(n: Count) -> Count:
    """Hops between two devices of one switch, or of parallel planes of switches: 2, up and down."""
    return 2.0 * np.minimum(n - 1.0, 1.0)


def fat_tree_levels(n: Count, radix: Count) -> Count:
    """Levels of switches of r ports that connect `n` devices: the least L with n <= 2 (r / 2)^L.

    Half of a switch's ports lead up, but for the top level, all of whose ports lead down.
    Source: Al-Fares, Loukissas and Vahdat 2008.
    """
    return np.maximum(np.ceil(np.log(n / 2.0) / np.log(radix / 2.0) - 1e-9), 1.0)


def fat_tree_diameter(n: Count, radix: Count) -> Count:
    """Most hops between two devices of a fat tree: 2 L, up to the top and down."""
    return fat_tree_levels(n, radix) * switch_hops(n)


def fat_tree_mean_hops(n: Count, radix: Count) -> Count:
    """Mean hops between two different devices of a fat tree, filled from one side.

        2 Σ_{l < L} (n - (r / 2)^l) / (n - 1)

    Two hops more for each level that does not hold both: (r / 2)^l devices are below one switch.
    """
    levels, half = fat_tree_levels(n, radix), radix / 2.0
    held = (half**levels - 1.0) / (half - 1.0)
    return 2.0 * (levels * n - held) / _others(n) * np.minimum(n - 1.0, 1.0)


def fat_tree_halving_hops(n: Count, radix: Count) -> Count:
    """Hops of all steps of recursive doubling in a fat tree, the nearest partners first.

        2 (L log2 n - L (L - 1) / 2 · log2(r / 2))

    of the log2 n steps, log2(r / 2) are made below each level but the top. Powers of two.
    """
    levels = fat_tree_levels(n, radix)
    below = levels * (levels - 1.0) / 2.0 * np.log2(radix / 2.0)
    return 2.0 * (levels * np.ceil(np.log2(n)) - below)


def fat_tree_bisection(n: Count, radix: Count, oversubscription: Ratio) -> Ratio:
    """Bisection of a fat tree whose leaf switches have fewer ports up than down by a ratio."""
    return np.where(fat_tree_levels(n, radix) > 1.0, 1.0 / oversubscription, 1.0)


def dragonfly_routers(radix: Count) -> Count:
    """Devices of one router of a balanced dragonfly of `radix` ports: p = (k + 1) / 4.

    p devices, p global links and 2 p - 1 links to the routers of its group make k = 4 p - 1.
    """
    return np.maximum(np.floor((radix + 1.0) / 4.0), 1.0)


def dragonfly_group(radix: Count) -> Count:
    """Devices of one group of a balanced dragonfly: a p with a = 2 p routers."""
    return 2.0 * dragonfly_routers(radix) ** 2


def dragonfly_reach(radix: Count) -> Count:
    """Devices of the largest balanced dragonfly: a p (a h + 1), one link between any two groups."""
    group = dragonfly_group(radix)
    return group * (group + 1.0)


def dragonfly_far_hops(radix: Count) -> Count:
    """Mean hops between devices of different groups on the minimal way.

        2 + 1 + 2 (a - 1) / a

    To a router and from one, the global link, and on either side a local link unless the router
    holds that global link itself.
    """
    routers = 2.0 * dragonfly_routers(radix)
    return 3.0 + 2.0 * (routers - 1.0) / routers


def dragonfly_diameter(n: Count, radix: Count) -> Count:
    """Most hops on minimal ways: 2 at one router, 3 in a group, 5 beyond."""
    beyond = np.where(n > dragonfly_group(radix), 5.0, 3.0)
    return np.where(n > dragonfly_routers(radix), beyond, switch_hops(n))


def dragonfly_mean_hops(n: Count, radix: Count) -> Count:
    """Mean hops between two different devices of a dragonfly, filled router by router.

        (2 (p' - 1) + 3 (g' - p') + h (n - g')) / (n - 1)

    with p' of n devices at one router, g' in one group, and h mean hops to other groups.
    """
    router = np.minimum(n, dragonfly_routers(radix))
    group = np.minimum(n, dragonfly_group(radix))
    hops = 2.0 * (router - 1.0) + 3.0 * (group - router) + dragonfly_far_hops(radix) * (n - group)
    return hops / _others(n)


def dragonfly_halving_hops(n: Count, radix: Count) -> Count:
    """Hops of all steps of recursive doubling in a dragonfly, the nearest partners first.

    2 log2 p' + 3 log2(g' / p') + 5 log2(n / g')
    """
    router = np.minimum(n, dragonfly_routers(radix))
    group = np.minimum(n, dragonfly_group(radix))
    return 2.0 * np.log2(router) + 3.0 * np.log2(group / router) + 5.0 * np.log2(n / group)


def dragonfly_bisection(n: Count, radix: Count) -> Ratio:
    """Bisection of a balanced dragonfly of g = n / (a p) groups, all of whose links are in use.

        a h links of each group, over g - 1 others: (g / 2)² a h / (g - 1) of g a p / 2

    which is g / (2 (g - 1)) with h = p: what uniform traffic needs. Within a group it is 1.
    """
    groups = np.maximum(n / dragonfly_group(radix), 1.0)
    return groups / (2.0 * np.maximum(groups - 1.0, 0.5))


# --- Traffic --------------------------------------------------------------------------------------


def uniform_slowdown(n: Count, bisection: Ratio) -> Ratio:
    """Slowdown of traffic from each to all by the bisection.

        max(1, n / (2 (n - 1)) / b)

    Half of what n / 2 devices send crosses the middle. In a ring it is the mean number of hops.
    """
    return np.maximum(n / (2.0 * _others(n)) / bisection, 1.0)


def hierarchical_mean_hops(n: Count, inside: Count, near: Count, far: Count) -> Count:
    """Mean hops where `inside` of n devices share a domain: near to those, far to the others."""
    return (near * (inside - 1.0) + far * (n - inside)) / _others(n)
