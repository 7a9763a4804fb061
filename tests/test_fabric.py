"""Collectives on topologies: steps, hops and contention by hand, and laws that always hold."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from infercost.arrays import FloatArray
from infercost.equations import collectives as eq
from infercost.network.fabric import Fabric, Parts, fastest
from infercost.network.messages import Message, Network
from infercost.passes.forward import message_terms
from infercost.paths import CONF
from infercost.specs.hardware import Hardware
from infercost.specs.link import Endpoint, Link, Straggling, Topology
from probes import point

ALPHA, HOP, RATE = 2e-6, 0.5e-6, 1e11


def fabric(kind: str = "ideal", names: tuple[str, ...] = ("ring",), **values: Any) -> Fabric:
    """2 µs a step, half a microsecond a hop where hops differ, 100 GB/s, 64 devices."""
    about: dict[str, Any] = {"radix": values.pop("radix", 16)}
    about["hop"] = None if kind == "ideal" else HOP
    about["oversubscription"] = values.pop("oversubscription", 1.0)
    parts: dict[str, Any] = {
        "technology": "test",
        "alpha": "2 us",
        "bandwidth_out": "100 GB/s",
        "domain": 64,
        "transfer_energy": "1 pJ/bit",
        "collectives": list(names),
        "sources": {},
        "topology": Topology.model_construct(kind=kind, **about),
    }
    link = Link.model_validate(parts | {"topology": {"kind": kind, "hop": "0.5 us"}})
    return Fabric(link.model_copy(update={"topology": parts["topology"], **values}))


def all_reduce(net: Fabric, size: Any, n: float) -> Parts:
    return fastest(net.ways(eq.ALL_REDUCE, net.link.collectives, size, n))


def exchange(net: Fabric, sent: float, n: float) -> Parts:
    return fastest(net.ways(eq.ALL_TO_ALL, net.link.exchanges, sent, n))


S = 1e6


@pytest.mark.parametrize(
    ("kind", "name", "latency", "transfer"),
    [
        # 30 steps between neighbours, 1.875 S on all ports.
        ("ring", "ring", 30 * (ALPHA + HOP), 1.875),
        # 8 steps; a phase takes 1 + 2 + 4 + 8 = 15 hops, and log2 16 / 2 · 16 / 15 of the links.
        ("ring", "recursive_doubling", 8 * ALPHA + 30 * HOP, 1.875 * 2 * 16 / 15),
        ("ring", "tree", 8 * ALPHA + 30 * HOP, 1.875),
        # The farthest of a ring is 8 hops away; 16² / 4 / 15 hops of all 15 S.
        ("ring", "one_shot", ALPHA + 8 * HOP, 15 * 64 / 15),
        # 4 x 4: 3 + 3 steps each way.
        ("torus_2d", "bucket", 12 * (ALPHA + HOP), 1.875),
        # 3 + 3 hops a phase of 4 steps, and log2 4 / 2 · 4 / 3.
        ("torus_2d", "recursive_doubling", 8 * ALPHA + 12 * HOP, 1.875 * 4 / 3),
        # 2 + 2 hops to the far corner; 16 / 30 over a bisection of 2 / (2 · 4).
        ("torus_2d", "two_shot", 2 * (ALPHA + 4 * HOP), 1.875 * 16 / 30 / 0.25),
        # The path's ring is folded: two hops a step. Corner to corner 6 hops; half the bisection.
        ("mesh_2d", "bucket", 12 * (ALPHA + 2 * HOP), 1.875),
        ("mesh_2d", "one_shot", ALPHA + 6 * HOP, 15 * 16 / 30 / 0.125),
        # Two hops through one switch, whoever it is.
        ("switch", "one_shot", ALPHA + 2 * HOP, 15),
        ("reducing_switch", "in_network", 2 * (ALPHA + 2 * HOP), 1 + 1 / 16),
        # 16 devices are on one switch of 16.
        ("fat_tree", "recursive_doubling", 8 * (ALPHA + 2 * HOP), 1.875),
        ("reducing_fat_tree", "in_network", 2 * (ALPHA + 2 * HOP), 1 + 1 / 16),
        # 15 of 63 links.
        ("full_mesh", "ring", 30 * (ALPHA + HOP), 1.875 * 63 / 15),
        # Radix 16 leaves 4 devices to a router, 32 to a group: 2 hops, or 3 in the group.
        ("dragonfly", "two_shot", 2 * (ALPHA + 3 * HOP), 1.875),
        ("dragonfly", "recursive_doubling", 8 * ALPHA + 2 * (2 * 2 + 2 * 3) * HOP, 1.875),
    ],
)
def test_all_reduces_of_16_ranks_by_hand(
    kind: str, name: str, latency: float, transfer: float
) -> None:
    parts = all_reduce(fabric(kind, (name,)), S, 16.0)
    assert parts.latency == pytest.approx(latency)
    assert parts.bandwidth == pytest.approx(transfer * S / RATE)


def test_bytes_sent_are_those_of_the_fastest_way() -> None:
    """16 ranks of a ring: 100 B in one shot, to 15 others, each 64 / 15 hops away in the mean.

    1 GB goes from neighbour to neighbour, 2 · 15 / 16 of it.
    """
    parts = all_reduce(fabric("ring", ("ring", "one_shot")), np.array([1e2, 1e9]), 16.0)
    assert np.asarray(parts.sent).tolist() == [1500, 1.875e9]
    assert np.asarray(parts.travelled) == pytest.approx([6400, 1.875e9])
    assert np.asarray(parts.latency) == pytest.approx([ALPHA + 8 * HOP, 30 * (ALPHA + HOP)])
    assert np.asarray(parts.bandwidth) == pytest.approx([6400 / RATE, 1.875e9 / RATE])


def test_a_message_of_one_way_has_its_own_parts() -> None:
    """One of several algorithms has the parts of each; inside a domain the other level has none."""
    assert Message("m", 1.0, 2.0, 3.0, 4.0, 5.0).ways == ((2.0, 3.0),)
    one, two = Parts(1.0, 2.0, 0.0, 0.0), Parts(10.0, 20.0, 0.0, 0.0)
    several = Message("m", 1.0, 2.0, 3.0, 4.0, 5.0, 8.0, (one, two), (one,))
    assert several.ways == ((2.0, 4.0), (11.0, 22.0))


def test_beyond_a_leaf_by_hand() -> None:
    """64 devices on switches of 16: leaves of 8, three of six steps cross the top, 4 hops.

    One shot waits for the top too; a leaf that has half as many ports up halves the bisection.
    """
    halving = all_reduce(fabric("fat_tree", ("recursive_doubling",)), S, 64.0)
    assert halving.latency == pytest.approx(12 * ALPHA + 2 * (3 * 2 + 3 * 4) * HOP)
    shot = all_reduce(fabric("fat_tree", ("two_shot",)), S, 64.0)
    assert shot.latency == pytest.approx(2 * (ALPHA + 4 * HOP))
    lean = all_reduce(fabric("fat_tree", ("two_shot",), oversubscription=2.0), S, 64.0)
    slowed = 64 / (2 * 63) / 0.5
    assert lean.bandwidth / shot.bandwidth == pytest.approx(slowed)


def test_halves_of_an_all_reduce_by_hand() -> None:
    """On a 4 x 4 torus: 6 steps and 15 / 16 of the tensor, either way."""
    net = fabric("torus_2d", ("bucket",))
    for table in (eq.ALL_GATHER, eq.REDUCE_SCATTER):
        parts = fastest(net.ways(table, net.link.collectives, S, 16.0))
        assert parts.latency == pytest.approx(6 * (ALPHA + HOP))
        assert parts.bandwidth == pytest.approx(15 / 16 * S / RATE)


def test_exchanges_by_hand() -> None:
    """A device of a ring of 16 sends S: 64 / 15 hops of each byte, the last 8 hops away."""
    direct = exchange(fabric("ring"), S, 16.0)
    assert direct.latency == pytest.approx(ALPHA + 8 * HOP)
    assert direct.bandwidth == pytest.approx(64 / 15 * S / RATE)
    assert direct.travelled == pytest.approx(64 / 15 * S)
    pairwise = exchange(fabric("ring", exchanges=["pairwise"]), S, 16.0)
    assert pairwise.latency == pytest.approx(15 * ALPHA + 64 * HOP)
    bruck = exchange(fabric(exchanges=["bruck"]), S, 16.0)
    assert bruck.latency == pytest.approx(4 * ALPHA)
    assert bruck.sent == pytest.approx(2 * 16 / 15 * S)


def test_the_fastest_exchange_is_taken() -> None:
    """Small messages pass blocks on where each step is dear, large ones go straight."""
    net = fabric(exchanges=["pairwise", "bruck"])
    for size in (1e3, 1e9):
        alone = [exchange(fabric(exchanges=[name]), size, 16.0).time for name in net.link.exchanges]
        assert exchange(net, size, 16.0).time == min(alone)
    assert exchange(net, 1e3, 16.0).latency < exchange(net, 1e9, 16.0).latency


# --- Endpoints, set-up, stragglers ----------------------------------------------------------------


def test_small_packets_land_in_sram() -> None:
    """Landing takes a quarter of 2 µs; kept at 0 for steps of up to 64 KiB, of S = n · 32 KiB."""
    end = Endpoint(landing=0.25, keep_landing=0.0)
    net = fabric(endpoint=end)
    small = all_reduce(net, 16 * 32768.0, 16.0)
    large = all_reduce(net, 16 * 131072.0, 16.0)
    assert small.latency == pytest.approx(30 * 1.5e-6)
    assert large.latency == pytest.approx(30 * 2e-6)
    just = all_reduce(net, 16 * 65536.0, 16.0)
    assert just.latency == pytest.approx(30 * 1.5e-6)
    # One shot of 8 KiB to 15 others is one step of 120 KiB.
    shot = all_reduce(fabric(names=("one_shot",), endpoint=end), 8192.0, 16.0)
    assert shot.latency == pytest.approx(2e-6)


def test_counted_hops_stand_for_the_wire_in_alpha() -> None:
    """A fifth of α is wire: 8 hops of a ring take its place. Half as long, where wires are."""
    net = fabric("ring", ("one_shot",), endpoint=Endpoint(wire=0.2))
    assert all_reduce(net, S, 16.0).latency == pytest.approx(0.8 * ALPHA + 8 * HOP)
    net = fabric("ring", ("one_shot",), endpoint=Endpoint(wire=0.2, keep_wire=0.5))
    assert all_reduce(net, S, 16.0).latency == pytest.approx(0.8 * ALPHA + 8 * HOP / 2)
    net = fabric("ideal", ("one_shot",), endpoint=Endpoint(wire=0.2, keep_wire=0.5))
    assert all_reduce(net, S, 16.0).latency == pytest.approx(0.9 * ALPHA)


def test_algorithms_that_a_topology_cannot_run_are_left_out() -> None:
    """A ring has no switches, a switch no sides."""
    every = ("ring", "bucket", "in_network")
    for kind, others in (("ring", ("ring", "bucket")), ("switch", ("ring",))):
        assert all_reduce(fabric(kind, every), S, 8.0) == all_reduce(fabric(kind, others), S, 8.0)


def test_a_set_up_is_paid_once_per_collective() -> None:
    net = fabric(setup=6e-6)
    found = all_reduce(net, S, np.array([1.0, 8.0]))  # type: ignore[arg-type]
    assert np.asarray(found.latency) == pytest.approx([0.0, 6e-6 + 14 * ALPHA])
    some = all_reduce(fabric(setup=np.array([0.0, 6e-6])), S, 8.0)
    assert np.asarray(some.latency) == pytest.approx([14 * ALPHA, 6e-6 + 14 * ALPHA])


def test_late_ranks_lengthen_each_step() -> None:
    """A mean delay of a tenth of α: the slowest of 8 takes 761 / 280 of it; at most one of it."""
    late = all_reduce(fabric(straggling=Straggling(tail=0.1)), S, 8.0)
    assert late.latency == pytest.approx(14 * ALPHA * (1 + 0.1 * 761 / 280))
    cut = all_reduce(fabric(straggling=Straggling(tail=0.1, timeout=1.0)), S, 8.0)
    assert 14 * ALPHA * 1.08 < cut.latency < 14 * ALPHA * 1.1


def test_late_messages_are_a_share_of_all() -> None:
    """Beyond twice the mean delay 13.5 %; none without a time-out or without delays."""
    assert fabric(straggling=Straggling(tail=0.1, timeout=2.0)).stale == pytest.approx(0.1353, 1e-3)
    assert fabric(straggling=Straggling(tail=0.1)).stale == 0
    assert fabric(straggling=Straggling(timeout=2.0)).stale == 0


# --- Laws -----------------------------------------------------------------------------------------

KINDS = (
    "ideal",
    "switch",
    "reducing_switch",
    "full_mesh",
    "ring",
    "mesh_2d",
    "mesh_3d",
    "torus_2d",
    "torus_3d",
    "torus_6d",
    "fat_tree",
    "reducing_fat_tree",
    "dragonfly",
)
SOFTWARE = ("ring", "tree", "recursive_doubling", "one_shot", "two_shot")


@pytest.mark.parametrize("kind", KINDS)
def test_one_rank_costs_nothing(kind: str) -> None:
    net = fabric(kind, SOFTWARE, setup=1e-6, straggling=Straggling(tail=0.3))
    for table in (eq.ALL_REDUCE, eq.ALL_GATHER, eq.REDUCE_SCATTER):
        parts = fastest(net.ways(table, net.link.collectives, S, 1.0))
        assert parts.time == parts.sent == parts.travelled == 0
    assert exchange(net, 0.0, 1.0).time == 0


@pytest.mark.parametrize("kind", KINDS)
@given(
    n=st.sampled_from((2.0, 4.0, 8.0, 16.0, 32.0, 64.0)),
    size=st.floats(1.0, 1e9),
    name=st.sampled_from(SOFTWARE),
    less=st.floats(0.1, 1.0),
)
def test_lower_latency_and_more_bandwidth_are_never_slower(
    kind: str, n: float, size: float, name: str, less: float
) -> None:
    base = fabric(kind, (name,))
    time = all_reduce(base, size, n).time * (1 + 1e-12)
    was = base.link.topology.hop
    hop = base.link.topology.model_copy(update={"hop": None if was is None else was * less})
    for better in ({"alpha": ALPHA * less}, {"bandwidth_out": RATE / less}, {"topology": hop}):
        assert all_reduce(Fabric(base.link.model_copy(update=better)), size, n).time <= time


@pytest.mark.parametrize("kind", KINDS)
@given(n=st.sampled_from((1.0, 2.0, 8.0, 64.0)), size=st.floats(1.0, 1e9))
def test_no_topology_beats_the_ideal_one(kind: str, n: float, size: float) -> None:
    """Whatever lies between the devices, one step of all ports to any of them is the floor."""
    for name in SOFTWARE:
        floor = all_reduce(fabric("ideal", (name,)), size, n)
        found = all_reduce(fabric(kind, (name,)), size, n)
        assert floor.latency <= found.latency * (1 + 1e-12)
        assert floor.bandwidth <= found.bandwidth * (1 + 1e-12)
        assert floor.travelled <= found.travelled * (1 + 1e-12)


def test_groups_along_an_axis_are_each_as_if_alone() -> None:
    sizes = np.array([1.0, 2.0, 4.0, 8.0, 64.0])
    for kind in KINDS:
        net = fabric(kind, SOFTWARE)
        found = all_reduce(net, S, sizes)  # type: ignore[arg-type]
        assert np.asarray(found.time) == pytest.approx([all_reduce(net, S, n).time for n in sizes])


def test_a_small_dragonfly_limits_the_domain() -> None:
    """Radix 7: 8 devices a group, 9 groups."""
    assert fabric("dragonfly", radix=7).reach == 64
    assert fabric("dragonfly", radix=4).reach == 6


# --- What cannot be ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        ({"topology": {"kind": "torus_3d"}}, "State hop"),
        ({"collectives": ["in_network"], "topology": {"kind": "switch"}}, "no switch runs in_netw"),
        ({"collectives": ["bucket"]}, "no ideal runs bucket. Add ring"),
        ({"endpoint": {"nic": 0.6, "landing": 0.5}}, "are 1.1 of alpha"),
        ({"topology": {"kind": "fat_tree", "hop": "1 us", "radix": 2}}, "greater than or equal"),
    ],
)
def test_links_that_cannot_be(values: dict[str, Any], fault: str) -> None:
    plain: dict[str, Any] = {
        "technology": "test",
        "alpha": "2 us",
        "bandwidth_out": "100 GB/s",
        "domain": 64,
        "transfer_energy": "1 pJ/bit",
        "collectives": ["ring"],
        "sources": {},
    }
    with pytest.raises(ValidationError, match=fault):
        Link.model_validate(plain | values)


# --- Links that are sold, in every topology ------------------------------------------------------

LINKS = {path.stem: yaml.safe_load(path.read_text()) for path in (CONF / "link").glob("*.yaml")}
TOPOLOGIES = {
    path.stem: yaml.safe_load(path.read_text()) for path in (CONF / "topology").glob("*.yaml")
}
BY_PROTOCOL = (
    "nvlink-4-nccl-ll",
    "nvlink-4-nccl-ll128",
    "nvlink-4-nccl-simple",
    "nvlink-4-mscclpp",
)
"""Constants of one library's protocol on one machine: what a hop takes is not told from them."""


@pytest.mark.parametrize("name", sorted(TOPOLOGIES))
@pytest.mark.parametrize("link", sorted(set(LINKS) - set(BY_PROTOCOL)))
def test_a_link_takes_a_topology_or_refuses_it_by_name(link: str, name: str) -> None:
    """What composes reduces in finite time, no sooner than where no step takes any."""
    raw, topology = LINKS[link], TOPOLOGIES[name]
    domain = {"domain": max(int(raw["domain"]), 64)}
    algorithms = {"collectives": ["ring", "recursive_doubling", "one_shot", "two_shot"]}
    changed = {**raw, **domain, **algorithms, "topology": topology}
    if topology["kind"] not in raw["builds"]:
        with pytest.raises(ValidationError, match=re.escape(raw["technology"])):
            Link.model_validate(changed)
        return
    net = Fabric(Link.model_validate(changed))
    none = {"topology": {"kind": "ideal"}, "endpoint": {"wire": 0}, "alpha": "0 us"}
    floor = Fabric(Link.model_validate({**changed, **none}))
    for n in (2.0, 8.0, 64.0):
        for size in (1e3, 1e8):
            found = all_reduce(net, size, n)
            assert np.isfinite(found.time)
            assert found.time >= all_reduce(floor, size, n).time


def test_every_link_says_what_it_builds() -> None:
    for name in set(LINKS) - set(BY_PROTOCOL):
        link = Link.model_validate(LINKS[name])
        assert link.builds
        assert link.hop is not None
        assert link.topology.kind in ("ideal", *link.builds)


def test_hops_of_a_torus_are_those_of_its_link() -> None:
    """A ring of 16 in steps between neighbours: 30 steps, each a hop and what is not wire of alpha.

    TPU ICI: all of alpha is wire, 30 · 1 us. NeuronLink: 2 us, half of it wire, 30 · (1 + 1) us.
    """
    for name, step in (("tpu-ici-3d", 1e-6), ("neuronlink-v3", 2e-6)):
        ring = {"topology": {"kind": "ring"}, "collectives": ["ring"]}
        net = Fabric(Link.model_validate({**LINKS[name], **ring}))
        assert all_reduce(net, 0.0, 16.0).latency == pytest.approx(30 * step)


REACHED = ("ideal", "typical", "nvidia-datacentre-vllm-2026")


@pytest.mark.parametrize("stack", REACHED)
@pytest.mark.parametrize("hardware", ["mi300x", "h100-sxm", "tpu-v5e", "gb200-nvl72"])
def test_no_algorithm_makes_more_bytes_or_a_worse_link_faster(hardware: str, stack: str) -> None:
    """Each size takes what is fastest at what the stack reaches, not on an ideal link.

    Otherwise a message just above the size at which ideal algorithms change would be faster than
    one just below: in MI300X's mesh two steps that send an eighth, against one that sends all.
    """
    device = point(f"hardware={hardware}").case.hardware
    calibration = point(f"calibration={stack}").case.calibration
    sizes = np.geomspace(1e2, 1e9, 2000)

    def time(device: Hardware) -> FloatArray:
        message = Network(device, calibration).all_reduce("", 1.0, sizes, 8.0)
        return np.asarray(message_terms(calibration, message).total)

    link = device.scale_up
    plain = time(device)
    assert np.all(np.diff(plain) >= 0)
    for field, factor in (("bandwidth_out", 1.07), ("alpha", 0.93)):
        better = link.model_copy(update={field: getattr(link, field) * factor})
        assert np.all(time(device.model_copy(update={"scale_up": better})) <= plain * (1 + 1e-12))
