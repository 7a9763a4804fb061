"""Tables of `infercost explain` for memory tiers, and for what directions change."""

from __future__ import annotations

from typing import Any

from infercost.commands.output import change, console, print_table, shown, what_binds

COMPARED = (
    ("time to first token or picture, mean", "ttft_s"),
    ("time per output token", "tpot_s"),
    ("decode or denoising step", "decode_step_s"),
    ("output tokens/s per device", "throughput_per_device_per_s"),
    ("cost per million output tokens", "cost_per_mtoken_usd"),
    ("energy per million output tokens", "energy_per_mtoken_j"),
    ("cost per request", "cost_per_request_usd"),
    ("energy per request", "energy_per_request_j"),
    ("operational carbon per million output tokens", "operational_carbon_per_mtoken_kgco2e"),
    ("memory needed over memory there", "memory_share"),
    ("devices of the smallest system", "minimum_devices"),
    ("sequences that fill the free memory", "batch_for_memory"),
    ("power of a device in decode", "decode_power_w"),
)
"""Columns of the table of changes: label and metric."""


def print_tiers(tiers: list[dict[str, Any]]) -> None:
    """Which memory tier holds what, and what a decode step asks of it."""
    from infercost.breakdown import CLASSES
    from infercost.units import show

    names = [name for name in CLASSES if any(tier[f"{name}_b"] > 0 for tier in tiers)]
    moved = sum(tier["moved_b"] for tier in tiers) or 1.0
    rows = []
    for tier in tiers:
        reached = show(tier["bandwidth_b_per_s"], "B/s")
        if tier["bandwidth_b_per_s"] < tier["peak_b_per_s"]:
            reached += f" of {show(tier['peak_b_per_s'], 'B/s')}"
        notes = [f"behind {tier['behind']}"] if tier["behind"] else []
        notes += [f"units near it: {tier['near']}"] if tier["near"] else []
        waits = tier["waits_s"] if tier["life_s"] is not None else 0.0
        notes += [f"a step waits {show(waits, 's')} for its cells"] if waits > 0 else []
        rows.append(
            [
                f"{tier['tier']}: {tier['stacks']:g} x {tier['technology']}",
                show(tier["room_b"], "B"),
                *(show(tier[f"{n}_b"], "B") if tier[f"{n}_b"] > 0 else "-" for n in names),
                reached,
                show(tier["latency_s"], "s"),
                f"{tier['moved_b'] / moved:.1%}",
                show(tier["stall_s"], "s") if tier["stall_s"] > 0 else "-",
                show(tier["access_power_w"], "W"),
                "-" if tier["life_s"] is None else f"{tier['life_s'] / 365.25 / 86400:.3g} year",
                ", ".join(notes),
            ]
        )
    headings = ["tier", "room", *(CLASSES[name] for name in names)]
    headings += ["bandwidth", "latency", "traffic", "stall", "power", "life", ""]
    print_table("Tier map of one device, and its decode step", headings, rows)


def print_change(base: dict[str, Any], patched: dict[str, Any], larger: Any = None) -> None:
    """The same point on the device as it is sold, and with its directions.

    `larger` is the base system on more devices, where those asked for do not hold the model.
    """
    compared = base if larger is None else larger
    designs = [base, patched] if larger is None else [base, larger, patched]
    rows = [
        ["what binds the cost of a token", *map(what_binds, designs), ""],
        ["what binds a decode step", *map(_binds_a_step, designs), ""],
    ]
    for label, name in COMPARED:
        values = [design["metrics"][name] for design in designs]
        # Weights that do not fit leave less than no room, which is none.
        cells = [shown(max(value, 0.0), name) for value in values]
        if any(cell != "-" for cell in cells):
            rows.append([label, *cells, change(compared["metrics"][name], values[-1])])
    wider = [] if larger is None else [f"base on {_devices(larger)}"]
    headings = ["", "base", *wider, "with directions", "change"]
    print_table("Change against the base system", headings, rows)
    if base["limited_by"] == "capacity" and patched["feasible"]:
        _print_why(base, larger)


def _devices(content: dict[str, Any]) -> str:
    return f"{content['metrics']['devices']:.0f} devices"


def _print_why(base: dict[str, Any], larger: Any) -> None:
    """Why the base system has no values, and what stands beside it."""
    n = base["metrics"]["minimum_devices"]
    said = f"The base system has no values here: {n:.0f} devices would hold model and caches. "
    if larger is not None:
        degrees = " ".join(f"{k}={larger['plan'][k]}" for k in ("tp", "pp", "dp", "ep"))
        said += (
            f"Changes are against {_devices(larger)} ({degrees}): of the smallest replicas of that"
            " tp or more that hold the same batch the one of the cheapest token. "
        )
    said += (
        "Each at its own best plan and batch: infercost compare --best "
        '"direction=none" "direction=..."'
    )
    console().print(said, markup=False)


def _binds_a_step(content: dict[str, Any]) -> str:
    """The resource that takes the largest part of a decode step, and its share."""
    from infercost.terms import RESOURCES

    if not content["feasible"]:
        return "-"
    shares = {name: content["metrics"].get(f"decode_stress_{name}", 0.0) for name in RESOURCES}
    most = max(shares, key=lambda name: shares[name])
    return f"{most.replace('_', ' ')} ({shares[most]:.0%})"
