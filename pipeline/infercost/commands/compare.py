"""`infercost compare`: two designs side by side, what differs, and why the result does."""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Mapping
from typing import Any

from infercost.commands.arguments import add_config_dir
from infercost.commands.output import (
    change,
    console,
    print_json,
    print_notes,
    print_table,
    shown,
    what_binds,
)
from infercost.errors import SpecError

TOTALS = {
    "cost": "cost_per_mtoken_usd",
    "energy": "energy_per_mtoken_j",
    "decode": "decode_step_s",
    "prefill": "ttft_s",
}
"""Totals whose difference is taken apart by resource: family of stress -> metric."""

MEASURES = (
    "tpot_s",
    "ttft_s",
    "user_throughput_per_s",
    "throughput_per_device_per_s",
    "cost_per_mtoken_usd",
    "cost_per_request_usd",
    "energy_per_mtoken_j",
    "operational_carbon_per_mtoken_kgco2e",
    "embodied_carbon_per_mtoken_kgco2e",
    "decode_power_w",
    "memory_share",
    "minimum_devices",
)
_MOST_INPUTS = 30
_OF_DESIGNS = ("options", "plan", "feasible", "limited_by", "bound", "why")


def add_parser(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "compare",
        help="two designs side by side: what differs, and why the result does",
        description="Evaluate two designs. Each is a text of overrides; those after the two hold"
        " for both. With --best each is judged at its own best layout and batch within the"
        " workload's objectives; without, at the point that the overrides name.",
        epilog='example: infercost compare "hardware=h100-sxm" "hardware=mi300x plan.tp=4"'
        " model=llama-3.1-70b batch=64",
    )
    parser.add_argument("first", metavar="A", help="overrides of the first design, in quotes")
    parser.add_argument("second", metavar="B", help="overrides of the second design, in quotes")
    parser.add_argument(
        "overrides", nargs="*", default=[], metavar="key=value", help="what holds for both"
    )
    parser.add_argument("--best", action="store_true", help="each at its own best operating point")
    parser.add_argument(
        "--total",
        choices=sorted(TOTALS),
        default="cost",
        help="the total that is taken apart, and minimised by --best (default: cost)",
    )
    parser.add_argument("--json", action="store_true", help="everything as JSON")
    add_config_dir(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print both designs; infeasible ones are shown as such, with what ran out."""
    from infercost.options.question import winning

    dirs = tuple(arguments.config_dir)
    own = [_overrides(text) for text in (arguments.first, arguments.second)]
    _refuse_hidden(own, arguments.overrides)
    designs = [_design(winning(arguments.overrides, texts), dirs, arguments) for texts in own]
    first, second = (design.pop("idle") for design in designs)
    print_notes(_notes(first, second, arguments.overrides))
    content = _compared(designs, arguments.total)
    if arguments.json:
        print_json(content)
        return 0
    _print(content)
    if not arguments.best:
        print("each at its own best layout and batch: the same with --best")
    return 0


def _refuse_hidden(own: list[list[str]], both: list[str]) -> None:
    """Raise `SpecError` for what should hold for both designs, and which each sets itself."""
    from infercost.options.question import key_of

    first, second = ({key_of(text) for text in texts} for texts in own)
    for text in both:
        key = key_of(text)
        if key in first & second:
            fault = f"sets nothing: both designs set {key} themselves"
            remedy = f"Leave it out; more than two: infercost evaluate {key}=A,B,C, or a study"
            raise SpecError(f"override '{text}'", "", fault, remedy)


def _overrides(text: str) -> list[str]:
    """The overrides in a text; a word without '=' goes with the value before it: `3 TB/s`."""
    from infercost.options.question import refuse_repeats

    found: list[str] = []
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise SpecError(f"design '{text}'", "", str(error), "Close the quotation") from None
    for word in words:
        if "=" in word:
            found.append(word)
        elif found:
            found[-1] += f" {word}"
        else:
            remedy = "Write key=value, for example hardware=h100-sxm"
            raise SpecError(f"design '{text}'", "", f"'{word}' sets nothing", remedy)
    refuse_repeats(found)
    return found


def _design(
    overrides: list[str], dirs: tuple[str, ...], arguments: argparse.Namespace
) -> dict[str, Any]:
    from infercost.commands.explain import asked, explained
    from infercost.effects import chosen_anyway, idle

    options, composed, grid, point = asked(overrides, dirs)
    limit = 0
    if arguments.best:
        from infercost.operating import best_point, usual_search

        how = usual_search(TOTALS[arguments.total])
        found = [str(fault) for fault in chosen_anyway(options.question, how.over, "--best")]
        grid, point, limit = best_point(options, composed, how)
    else:  # what changes nothing at a best point may have chosen it
        found = idle(options.question, options)
    told = explained(composed, grid, point, limit)
    return {**told, "inputs": _inputs(composed.raw), "idle": found}


def _notes(first: list[str], second: list[str], both: list[str]) -> list[str]:
    """Notes of each design, and of what holds for both where it is idle in both."""
    common = [line for line in first if line in second]
    one = [line for line in (*first, *second) if line not in common]
    return [*common, *(line for line in one if not any(f"'{text}'" in line for text in both))]


def _inputs(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Every value that the options state, by dotted path, without witnesses and names."""
    flat: dict[str, Any] = {}

    def walk(path: str, value: Any) -> None:
        if isinstance(value, Mapping):
            for key, child in value.items():
                if key not in ("sources", "name"):
                    walk(f"{path}.{key}" if path else str(key), child)
        else:
            flat[path] = value

    walk("", raw)
    return flat


def _compared(designs: list[dict[str, Any]], total: str) -> dict[str, Any]:
    a, b = designs
    metrics = {
        name: {"a": a["metrics"][name], "b": b["metrics"][name]}
        for name in (*MEASURES, TOTALS["decode"])
        if name in a["metrics"]
    }
    return {
        "designs": [
            {
                **{name: d[name] for name in _OF_DESIGNS},
                "devices": d["metrics"]["devices"],
            }
            for d in designs
        ],
        "inputs": _differing(a["inputs"], b["inputs"]),
        "metrics": metrics,
        "total": TOTALS[total],
        "terms": _terms(a, b, total) if a["feasible"] and b["feasible"] else {},
    }


def _differing(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        path: {"a": a.get(path), "b": b.get(path)}
        for path in sorted({*a, *b})
        if a.get(path) != b.get(path)
    }


def _terms(a: Mapping[str, Any], b: Mapping[str, Any], total: str) -> dict[str, dict[str, float]]:
    """The total of both designs by the resource that bounds each part; the parts sum to it."""
    prefix, name = f"{total}_stress_", TOTALS[total]
    terms = {}
    for column in a["metrics"]:
        if column.startswith(prefix):
            values = [d["metrics"][column] * d["metrics"][name] for d in (a, b)]
            if any(value > 0 for value in values):
                terms[column.removeprefix(prefix)] = {"a": values[0], "b": values[1]}
    return terms


def _print(content: Mapping[str, Any]) -> None:
    out = console()
    out.print("\n".join((_verdict(content), *_unlike_answers(content["metrics"]))), markup=False)
    rows = [[key, *(d["options"][key] for d in content["designs"])] for key in _groups(content)]
    rows += [
        ["layout", *(_layout(d) for d in content["designs"])],
        ["what binds", *(what_binds(d) for d in content["designs"])],
    ]
    print_table("Designs", ["", "A", "B"], rows)
    _print_metrics(content["metrics"])
    if content["terms"]:
        _print_terms(content)
    _print_inputs(content["inputs"])


def _groups(content: Mapping[str, Any]) -> list[str]:
    """Groups whose options differ; the model and the hardware are always named."""
    a, b = (d["options"] for d in content["designs"])
    return [group for group in a if a[group] != b[group] or group in ("hardware", "model")]


def _layout(design: Mapping[str, Any]) -> str:
    degrees = " ".join(f"{k}={design['plan'][k]}" for k in ("tp", "pp", "dp", "ep"))
    return f"{int(design['devices'])} devices, {degrees}, batch {design['plan']['batch']}"


def _verdict(content: Mapping[str, Any]) -> str:
    """The result in words: how much, and which resources make most of the difference."""
    from infercost.quantities import quantity

    designs = content["designs"]
    out_of = [name for name, d in zip("AB", designs, strict=True) if not d["feasible"]]
    if out_of:
        why = ", ".join(f"{name} is {what_binds(designs['AB'.index(name)])}" for name in out_of)
        reasons = dict.fromkeys(d["why"] for d in designs if d["why"])
        return "\n".join((f"Not comparable: {why}.", *reasons))
    terms = content["terms"]
    sums = {side: sum(term[side] for term in terms.values()) for side in "ab"}
    ratio = sums["b"] / sums["a"]
    meaning = quantity(content["total"]).meaning.partition(":")[0].partition(";")[0].rstrip(".")
    if abs(ratio - 1.0) < 5e-4:
        return f"A and B tie: {meaning[0].lower()}{meaning[1:]} differs by less than 0.05 %."
    moves = sorted(terms, key=lambda r: -abs(terms[r]["b"] - terms[r]["a"]))[:2]
    unit = quantity(content["total"]).unit
    moved = {resource: terms[resource]["b"] - terms[resource]["a"] for resource in moves}
    parts = [f"{r.replace('_', ' ')} ({_signed(by, unit)})" for r, by in moved.items()]
    before, after = (_three_digits(sums[side], unit) for side in "ab")
    return (
        f"{meaning}: B has {ratio:#.3g} times that of A ({before} -> {after}),"
        f" most of it by {' and '.join(parts)}."
    )


def _unlike_answers(metrics: Mapping[str, Mapping[str, float]]) -> list[str]:
    """A line where requests of the designs differ in output tokens: then those do not compare."""
    requests, tokens = (
        metrics.get(name, {}) for name in ("cost_per_request_usd", "cost_per_mtoken_usd")
    )
    outputs = [
        requests[side] / tokens[side]
        for side in "ab"
        if requests.get(side, 0.0) > 0 and tokens.get(side, 0.0) > 0
    ]
    if len(outputs) < len("ab") or abs(outputs[1] / outputs[0] - 1.0) < _ALIKE:
        return []
    ratio = f"{outputs[1] / outputs[0]:.3g}"
    return [f"A request of B has {ratio} times the output tokens: compare costs per request, too."]


_ALIKE = 1e-3
"""Relative difference of output tokens per request below which costs per token compare."""


def _three_digits(value: float, unit: str) -> str:
    """A value with its unit and three digits, zeros at the end included: 1.00 USD."""
    from infercost.units import show

    text, _, suffix = show(value, unit, 3).partition(" ")
    padded = f"{float(text):#.3g}".rstrip(".")
    return f"{padded} {suffix}".rstrip()


def _signed(value: float, unit: str) -> str:
    text = _three_digits(value, unit)
    return text if value < 0 else f"+{text}"


def _print_metrics(metrics: Mapping[str, Mapping[str, float]]) -> None:
    from infercost.quantities import quantity

    rows = []
    for name, value in metrics.items():
        cells = [shown(value[side], name) for side in "ab"]
        meaning = re.split(r"[;:,]", quantity(name).meaning)[0].rstrip(".")
        if cells != ["-", "-"]:
            rows.append([meaning, *cells, change(value["a"], value["b"])])
    print_table("Results", ["", "A", "B", "change"], rows)


def _print_terms(content: Mapping[str, Any]) -> None:
    from infercost.quantities import quantity

    terms = content["terms"]
    difference = sum(t["b"] - t["a"] for t in terms.values())
    unit = quantity(content["total"]).unit
    rows = []
    for resource, term in sorted(terms.items(), key=lambda item: -abs(item[1]["b"] - item[1]["a"])):
        moved = term["b"] - term["a"]
        share = f"{moved / difference:+.0%}" if difference else "-"
        rows.append(
            [
                resource.replace("_", " "),
                *(_three_digits(term[side], unit) for side in "ab"),
                _signed(moved, unit),
                share,
            ]
        )
    title = f"Why: {content['total']} by the resource that bounds each part of it"
    headings = ["resource", "A", "B", "difference", "share of the difference"]
    print_table(title, headings, rows)


def _print_inputs(inputs: Mapping[str, Mapping[str, Any]]) -> None:
    told = [path for path in inputs if not _ABOUT_INPUTS.search(path)]
    rows = [
        [path, *(_written(inputs[path][side]) for side in "ab")] for path in told[:_MOST_INPUTS]
    ]
    if rows:
        print_table("Inputs that differ", ["", "A", "B"], rows)
    if len(inputs) > len(rows):
        print(f"and {len(inputs) - len(rows)} more, names and ranges among them: --json has all")


_ABOUT_INPUTS = re.compile(r"\.(parameters|ranges)\.")
"""Paths that name inputs of a direction or say how far sources disagree: no inputs themselves."""
_LONGEST = 40


def _written(value: Any) -> str:
    """A value as options state it, cut where it is long; a dash where there is none."""
    if value is None:
        return "-"
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 4]} ..."
