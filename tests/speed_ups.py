"""What the model says of published speed-ups: of speculation, of other software, of the catalogue.

`python tests/speed_ups.py` writes what it says now into `data/reference/catalogue_speed_ups.csv`,
which lists every measured speed-up of the catalogue of mitigations, and prints it as a table.
"""

from __future__ import annotations

import csv
import sys
from functools import cache
from pathlib import Path

from infercost.cost import Evaluation
from infercost.equations.speculation import expected_tokens
from infercost.paths import ROOT
from probes import number, point

Row = dict[str, str]
REFERENCE = ROOT / "data" / "reference"
CATALOGUE = REFERENCE / "catalogue_speed_ups.csv"


def table(file: Path) -> list[Row]:
    """Rows of a table."""
    with file.open() as lines:
        return list(csv.DictReader(lines))


SPECULATION = table(REFERENCE / "speculation.csv")
SOFTWARE = table(REFERENCE / "software_speed_ups.csv")


@cache
def times(*overrides: str) -> tuple[float, float]:
    """Time of a prefill and of one decode step, drafts and the host's part included."""
    evaluation = point(*overrides)
    assert number(evaluation.broken) == 0
    return number(evaluation.prefill_time), number(evaluation.step_time)


@cache
def step(*overrides: str) -> float:
    """Time of one decode step, drafts and the host's part included."""
    evaluation = point(*overrides)
    assert number(evaluation.broken) == 0
    return number(evaluation.step_time)


# --- speculation

VOCAB = {"llama-13b": 32000, "llama-3.1-8b": 128256, "llama-3.3-70b": 128256}
REDUCED = {"eagle-3": 32000, "fr-spec": 32064}
"""Entries of a head's own table where it is not the model's: of fr-spec a quarter of them."""
JOINED = {"eagle-3": 4}
HOST = {"sglang-0.4.4": (2.6, 0.09), "medusa": (4.0, 0.0)}
"""Time of the host, ms: of a step and of each of its sequences; of vLLM 0.65 and none."""
DRAFT_LAUNCH = {"eagle-3": 1.0, "fr-spec": 1.0}
"""Time in which vLLM's host launches a draft with a reduced table, ms; with the whole one at most
0.73, which hides behind what a draft reads."""
STACK = {
    "transformers": ("calibration=eager-pytorch",),
    "layerskip": ("calibration=eager-pytorch", "calibration.layer_launch=0.802 ms"),
    "medusa": ("calibration=eager-pytorch", "calibration.layer_launch=0.694 ms"),
}
"""Eager ones with the host's time for a layer of their own plain runs of 32 layers: 39.05 tokens/s
(layerskip-repo, README) and 45 (medusa-paper, a figure, as transcribed)."""
PROMPT = {"CNN/DM": 778}
"""Tokens of a prompt, of 100 where none is said: MLPerf's articles (data/reference/datasets.csv,
recalled); of questions assumed."""
SYSTEM = {"Vicuna-13B": 33}
"""Tokens of the system's prompt in front, of 108 where none is said: those of eagle-repo,
evaluation/gen_ea_answer_llama3chat.py (508 characters) and of Vicuna (153, recalled), at 4.7."""
ANSWER = {"CNN/DM": 128}
"""Tokens of an answer, of 256 where none is said: where MLPerf cuts summaries, which reach it
(611 characters); of questions assumed."""
THOUGHTS = 1024
"""Tokens of an answer with thoughts: where eagle-repo's evaluation cuts it."""


def lengths(row: Row) -> tuple[int, int]:
    """Prompt and answer of a row whose speed-up is of wall time."""
    thinks = row["checkpoint"].startswith("R1")
    prompt = PROMPT.get(row["data"], 100) + SYSTEM.get(row["checkpoint"], 108)
    return prompt, THOUGHTS if thinks else ANSWER.get(row["data"], 256)


def drafts(row: Row) -> tuple[str, ...]:
    """The mitigation that a row measures."""
    method, engine = row["method"], row["engine"]
    in_vllm = engine.startswith("vllm")
    fixed, each = HOST.get(engine, (0.65 if in_vllm else 0.0, 0.0))
    doses: dict[str, object] = {"drafted": row["drafted"], "overhead": f"{fixed} ms"}
    if method == "lookup":
        name = "speculation-lookup"
    elif method == "layers":
        name = "speculation-layers"
        doses["exit_at"] = int(row["exit_layer"]) / 32
    elif method.startswith("medusa"):
        name = "speculation-heads"
        doses["tree"] = row["tree"]
    else:
        name = "speculation-eagle-tree"
        doses["overhead_per_sequence"] = f"{each} ms"
        doses["tree"] = row["tree"]
        doses["joined"] = JOINED.get(method, 2)
        doses["vocab"] = REDUCED.get(method) or VOCAB[row["model"]]
        if in_vllm:
            doses["draft_launch"] = f"{DRAFT_LAUNCH.get(method, 0.0)} ms"
    return f"+mitigation={name}", *(f"mitigation.{name}.{k}={v}" for k, v in doses.items())


def plain(row: Row) -> tuple[str, ...]:
    """The case of a row without drafts, but for its lengths."""
    return (
        "plan=base",
        f"plan.pp={row['stages']}",
        f"model={row['model']}",
        f"hardware={row['hardware']}",
        f"batch={row['batch']}",
        *STACK.get(row["engine"], ("calibration=typical",)),
    )


def of_drafts(row: Row) -> float:
    """Tokens per pass times a plain step over one with drafts; of transformers whole answers."""
    base, tokens = plain(row), float(row["tokens"])
    if row["engine"] != "transformers":
        base = (*base, "workload=snapshot", "workload.context=500")
        return tokens * step(*base) / step(*base, *drafts(row))
    prompt, answer = lengths(row)
    said = (f"workload.prompt_tokens={prompt}", f"workload.output_tokens={answer}")
    base = (*base, "workload=fixed-lengths", *said)
    (plain_first, each), (first, drafted) = times(*base), times(*base, *drafts(row))
    return (plain_first + (answer - 1) * each) / (first + (answer - 1) * drafted / tokens)


# --- other software


def taken(evaluation: Evaluation, what: str) -> float:
    """Time of a step, or of what it reads of the cache."""
    assert number(evaluation.broken) == 0
    return number(evaluation.step_time if what == "step" else evaluation.decode.time["kv"])


def of_software(row: Row) -> float:
    """Time without the mitigation over that with it."""
    base, software = (
        tuple(override.replace("GB/s", " GB/s") for override in row[key].split())
        for key in ("base", "mitigation")
    )
    changed = {override.split("=")[0] for override in software}
    kept = tuple(override for override in base if override.split("=")[0] not in changed)
    alone = point("plan=base", *base)
    return taken(alone, row["of"]) / taken(point("plan=base", *kept, *software), row["of"])


def of_tpot(fixed: tuple[str, ...], name: str, dose: str) -> float:
    """TPOT of decode alone at 500 tokens of context, without over with a mitigation."""
    base = ("plan=base", *fixed, "workload=snapshot", "workload.context=500")
    bare = point(*base)
    sped = point(*base, f"+mitigation={name}", f"mitigation.{name}.{dose}")
    assert number(bare.broken) == number(sped.broken) == 0
    return number(bare.tpot) / number(sped.tpot)


MTP = ("model=deepseek-v3", "hardware=h200-sxm", "plan.tp=8", "plan.ep=8")
MTP_BATCHES = (1, 8, 32, 64, 128, 256)


def of_mtp(acceptance: float) -> list[float]:
    """Of DeepSeek-V3's own module on 8 x H200, at every batch: its source states no system."""
    dose = f"acceptance={acceptance}"
    return [of_tpot((*MTP, f"batch={n}"), "speculation-mtp", dose) for n in MTP_BATCHES]


def closed_form(acceptance: float, drafted: int, correlation: float = 0.0) -> float:
    """Expected tokens over the time of a pass whose drafts take 0.02 each: Leviathan, theorem 3.8.

    T5-small beside T5-XXL on a TPU-v4, tables 2 and 3 (recalled).
    """
    settled = number(expected_tokens(drafted, acceptance, 1.0, correlation))
    return settled / (1 + 0.02 * drafted)


# --- the catalogue


def said_of(entry: str) -> list[float]:
    """Predictions of what an entry of `of` names: a row, a case or a formula with its numbers."""
    kind, *numbers = entry.split(":")
    if kind == "closed-form":
        acceptance, drafted, *correlation = map(float, numbers)
        return [closed_form(acceptance, int(drafted), *correlation)]
    if kind == "mtp":
        return of_mtp(float(numbers[0]))
    if kind.startswith("M"):
        return [of_software(next(row for row in SOFTWARE if row["id"] == kind))]
    row = next(row for row in SPECULATION if row["id"] == kind)
    if numbers and numbers[0] == "split":
        return [of_drafts({**row, "stages": n}) for n in ("3", "4", "8")]
    return [of_drafts(row)]


def predictions(row: Row) -> list[float]:
    """All predictions that bear upon a row of the catalogue."""
    return [value for entry in row["of"].split() for value in said_of(entry)]


def gap(row: Row, found: list[float]) -> float:
    """Relative distance of the predictions from what is stated: 0 where the ranges meet."""
    low, high = float(row["low"]), float(row["high"])
    if max(found) < low:
        return max(found) / low - 1
    return min(found) / high - 1 if min(found) > high else 0.0


def settled(row: Row) -> Row:
    """A row with what the model says now."""
    if not row["of"] or row["verdict"] == "open":
        return {**row, "predicted_low": "", "predicted_high": "", "error": ""}
    found = predictions(row)
    return {
        **row,
        "predicted_low": f"{min(found):.2f}",
        "predicted_high": f"{max(found):.2f}",
        "error": f"{gap(row, found):+.3f}",
    }


def main() -> None:
    """Write the catalogue's table and print it."""
    rows = [settled(row) for row in table(CATALOGUE)]
    with CATALOGUE.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    for row in rows:
        stated = "-".join(dict.fromkeys((row["low"], row["high"])))
        found = "-".join(dict.fromkeys((row["predicted_low"], row["predicted_high"])))
        line = (row["variant"], row["setting"], stated, found, row["error"], row["verdict"])
        sys.stdout.write("| " + " | ".join((*line, row["why"])) + " |\n")


if __name__ == "__main__":
    main()
