"""How the model of a measured row lies on its devices."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from infercost.loads import is_mlperf
from infercost.measurements import Fault, Row, number
from infercost.paths import config_dirs


@dataclass(frozen=True)
class Layout:
    """How a model lies on devices. `open`: nobody says; the least TP that holds the weights."""

    tp: int
    pp: int = 1
    dp: int = 1
    ep: int = 1
    cores: int = 1
    """Ranks of one device."""
    open: bool = False

    @property
    def devices(self) -> int:
        """Devices of the whole system."""
        return self.tp * self.pp * self.dp // self.cores


def layout_of(row: Row, devices: int) -> Layout:
    """How a row's model lies on its devices. Raises `Fault` for what the plan has no word for."""
    words = row.get("parallelism") or ""
    layout = _by_words(words, devices) or _by_experts(row, words, devices)
    if layout is not None:
        return layout
    if re.search(r"EP\d|ZeRO|weight-", words, re.IGNORECASE):
        # Weights gathered at each step, or products and messages split along two dimensions: read
        # as one ring, the latter comes out at twice its time.
        raise Fault(f"parallelism '{words}' is outside what rows are read as")
    tp, pp, dp = (_degree(row, name) for name in ("tp", "pp", "dp"))
    if is_mlperf(row) and not tp:
        return Layout(devices, open=True)
    pp, stated = max(pp, 1), dp
    tp = tp or max(devices // (pp * max(dp, 1)), 1)
    if tp * pp > devices:
        raise Fault(f"tp {tp} x pp {pp} exceeds {devices} devices")
    replicas, rest = divmod(devices, tp * pp)
    if rest or (stated and stated != replicas):
        groups = f" x dp {stated}" if stated else ""
        raise Fault(f"tp {tp} x pp {pp}{groups} does not lay out {devices} devices")
    return Layout(tp, pp, replicas)


def _by_words(words: str, devices: int) -> Layout | None:
    """Layouts that the words of a source name without degrees."""
    if "split" in words.lower():
        return Layout(1, devices)
    if re.search(r"\b1 instance per socket\b", words, re.IGNORECASE):
        return Layout(1)  # of each socket a model of its own, and each times its own requests
    if "neuroncores" in words.lower():
        return Layout(2 * devices, cores=2)
    workers = re.match(r"(\d+) workers per socket", words, re.IGNORECASE)
    if workers:  # each a replica on its share of the cores and of the memory's bandwidth
        return Layout(1, dp=int(workers[1]) * devices, cores=int(workers[1]))
    return None


def _by_experts(row: Row, words: str, devices: int) -> Layout | None:
    """Attention data parallelism: every device has a group of sequences and a share of experts."""
    if not _is_sparse(row["model"]):
        return None
    pp, ep = max(_degree(row, "pp"), 1), _degree(row, "ep")
    if re.match(r"DEP\d", words, re.IGNORECASE) or "attention-DP" in (row.get("notes") or ""):
        return Layout(1, pp, devices // pp, devices // pp)
    if re.fullmatch(r"\d+ GPUs", words, re.IGNORECASE):
        ep = devices
    if ep < devices:
        return None
    if row["scenario"] == "prefill":
        # DeepEP sends a token once to each node and hides that behind a second batch: half the
        # time or less of what messages to each expert, one after the other, would take.
        raise Fault("prefill over the experts of several nodes: needs overlapped, merged messages")
    return Layout(1, dp=ep, ep=ep)  # where ep > devices, the figures are of one node of a group


def _degree(row: Row, name: str) -> int:
    """A degree of parallelism; 0 where it is not stated."""
    text, degree = (row.get(name) or "").strip(), number(row, name)
    if not text:
        return 0
    if not degree >= 0 or degree != int(degree):
        raise Fault(f"{name} '{text}' is not a whole number")
    return int(degree)


@cache
def _is_sparse(model: str) -> bool:
    for folder in config_dirs():
        file = folder / "model" / f"{model}.yaml"
        if file.is_file():
            return "kind: moe" in file.read_text()
    return False
