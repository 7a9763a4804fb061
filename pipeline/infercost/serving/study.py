"""A study of services: one part per case, its rows the replays at each load."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infercost.compose import Options
from infercost.errors import SpecError
from infercost.options.question import ask, winning
from infercost.parts import write_table
from infercost.serving.ask import asked_service, sorted_words
from infercost.serving.ask import serving_of as _serving_of
from infercost.serving.closed import capacity, steady_state
from infercost.serving.edge import EdgeAndCloud
from infercost.serving.requests import Arrivals, poisson, thinned
from infercost.serving.search import Objective, largest_rate
from infercost.serving.service import Service
from infercost.specs.study import Replays

if TYPE_CHECKING:
    import pyarrow as pa

Plain = dict[str, Any]


def described(study: Replays, dirs: tuple[str, ...] = ()) -> dict[str, Plain]:
    """The plain description of each part: its words, and all that they resolve to."""
    parts = {}
    for label, words in study.cases.items():
        words = winning(study.overrides, words)
        told = sorted_words(words)
        resolved = Options(ask(told.case, dirs)).to_plain()
        how = _serving_of(told.serving, dirs).model_dump()
        parts[label] = {
            "replays": study.model_dump(exclude={"cases"}),
            "case": label,
            "words": words,
            "rows": len(study.loads) + len(study.variations) * len(study.variation_loads) + 1,
            "options": {
                **resolved["options"],
                "serving": {how["name"]: how},
                "prefill": {label: _options_of(told.case, told.prefill, dirs)},
                "edge": {label: _options_of(told.case, told.edge, dirs)},
            },
        }
    return parts


def _options_of(case: list[str], changes: list[str], dirs: tuple[str, ...]) -> Plain:
    """Options of a pool that differs from the case."""
    if not changes:
        return {}
    found: Plain = Options(ask(winning(case, changes), dirs)).to_plain()["options"]
    return found


def write_replays(plain: Plain, dirs: tuple[str, ...], target: Path) -> int:
    """Replay a part and write it whole or not at all; returns its rows."""
    study = Replays.model_validate({**plain["replays"], "cases": {plain["case"]: ["x"]}})
    return write_table(to_arrow(rows_of(study, plain["case"], plain["words"], dirs)), target)


def rows_of(study: Replays, case: str, words: list[str], dirs: tuple[str, ...]) -> list[Plain]:
    """The largest rate within the objective, then replays at shares of it."""
    service, requests = asked_service(words, dirs, study.requests, study.rate, study.seed)
    requests = thinned(requests, study.every, study.arrivals == "poisson", study.seed)
    cloud = service.cloud if isinstance(service, EdgeAndCloud) else service
    slo = getattr(cloud.case.workload, "slo", None)
    if slo is None:
        raise SpecError(
            f"case '{case}'", "workload.slo", "is not stated", "State ttft, tpot or both"
        )
    ttft, tpot = slo.limits
    limits = Objective(ttft, tpot, study.share)
    found = largest_rate(service, requests, limits, study.tolerance, study.seed)
    plain = _closed(service)
    closed = capacity(plain, requests, ttft, tpot) if plain else None
    base = {
        "case": case,
        "hardware": cloud.case.hardware.name,
        "model": cloud.case.model.name,
        "workload": cloud.case.workload.name,
        "policy": cloud.serving.name,
        "largest_rate_per_s": found.rate,
        "largest_rate_per_device_per_s": found.rate / service.devices,
        "closed_capacity_per_s": float("nan") if closed is None else closed,
    }
    rows = []
    reference = found.rate if study.relative else 1.0
    for load in (*study.loads, *([1.0] if study.relative else [])):
        if load * reference <= 0:
            continue
        now = requests.at_rate(load * reference)
        rows.append(_row(base, service, now, load, study.arrivals, study.seed))
    for variation, load in product(study.variations, study.variation_loads):
        rate = load * reference
        if rate <= 0:
            continue
        times = poisson(rate, requests.size, study.seed, variation)
        now = requests.with_arrivals(times).at_rate(rate)  # as drawn, a sample is off its mean
        row = _row(base, service, now, load, "gamma", study.seed)
        rows.append({**row, "squared_variation": variation})
    if not rows:
        nothing = dict.fromkeys(service.answered(requests, study.seed), float("nan"))
        rows.append({**base, "kind": "none", "load": 0.0, "rate_per_s": 0.0, **_NO_FORM,
                     "squared_variation": float("nan"), **nothing})  # fmt: skip
    return rows


_NO_FORM = dict.fromkeys(("closed_ttft_s", "closed_tpot_s", "closed_batch"), float("nan"))


def _closed(service: Service | EdgeAndCloud) -> Service | None:
    """A service that the closed form speaks of: one pool, asked by everybody."""
    plain = isinstance(service, Service) and service.prefill is None
    return service if plain and isinstance(service, Service) else None


def _row(
    base: Plain,
    service: Service | EdgeAndCloud,
    requests: Arrivals,
    load: float,
    kind: str,
    seed: int,
) -> Plain:
    told = service.answered(requests, seed)
    form = dict(_NO_FORM)
    plain = _closed(service)
    if plain:
        state = steady_state(plain, requests, requests.rate)
        form = {
            "closed_ttft_s": state.ttft,
            "closed_tpot_s": state.tpot,
            "closed_batch": state.batch,
        }
    head = {"kind": kind, "load": load, "rate_per_s": requests.rate}
    return {**base, **head, **form, "squared_variation": float("nan"), **told}


MEANINGS = {
    "case": "Design and trace, by the study's name for it",
    "policy": "How it serves (conf/serving)",
    "kind": "Arrivals: trace (its own, stretched), poisson, gamma, none (no rate keeps the SLO)",
    "load": "Rate as a share of the largest within the SLO, or as stated",
    "rate_per_s": "Requests per second, offered",
    "requests_per_s": "Requests per second, finished",
    "largest_rate_per_s": "Largest rate at which the stated share of requests keeps the SLO",
    "largest_rate_per_device_per_s": "The same, per device of all pools",
    "closed_capacity_per_s": "Largest rate whose mean TTFT and TPOT keep the SLO, in closed form",
    "closed_ttft_s": "Mean TTFT in closed form, Poisson arrivals",
    "closed_tpot_s": "Mean TPOT in closed form",
    "closed_batch": "Sequences in flight in closed form",
    "squared_variation": "Squared coefficient of variation of gaps between arrivals",
    "slo_attainment": "Share of requests within TTFT and TPOT of the SLO",
    "goodput_requests_per_s": "Requests per second within the SLO",
    "utilisation": "Share of time that a replica runs a pass",
    "prefill_utilisation": "The same of the pool that prefills alone",
    "decode_utilisation": "The same of the pool that decodes alone",
    "batch_mean": "Mean sequences of a pass that decodes",
    "queue_mean": "Mean requests waiting",
    "queue_peak": "Most requests waiting",
    "kv_mean": "Share of KV blocks in use, mean over the time that passes run",
    "kv_peak": "Largest share of KV blocks in use on a data-parallel group",
    "recomputed_share": "Share of computed prompt tokens that preemption had computed before",
    "answer_mean_s": "Arrival to the first token behind the thoughts, mean",
    "thought_share": "Share of output tokens that are thought",
    "edge_share": "Share of requests that users' own machines answer",
    "edge_energy_per_request_j": "Energy of users' machines per request, of all requests",
    "edge_machine_per_request_usd": "Price of users' machines per request, by the time they work",
    "prefix_hit_share": "Share of prompt tokens found in a cache",
    "energy_per_request_j": "Energy at the meter per finished request, idle time included",
    "cost_per_request_usd": "Cost per finished request, idle time included",
    "cost_per_mtoken_usd": "Cost per million output tokens, idle time included",
    "devices": "Devices of all pools",
    "memory_life_s": "Life of the memory that wears out first under this load, if any does",
}


def to_arrow(rows: list[Plain]) -> pa.Table:
    """Rows with unit and meaning in each column's metadata."""
    import pyarrow as pa

    from infercost.quantities import Quantity, field_of

    arrays, fields = [], []
    for name in rows[0]:
        values = [row[name] for row in rows]
        array = pa.array(values, pa.string() if isinstance(values[0], str) else pa.float64())
        meaning = MEANINGS.get(name, name.replace("_", " "))
        about = Quantity(name, unit_of(name), "", meaning)
        arrays.append(array)
        fields.append(field_of(name, array.type, about))
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields))


def unit_of(name: str) -> str:
    """Unit of a column, by its suffix."""
    suffixes = {"_per_s": "1/s", "_s": "s", "_usd": "USD", "_j": "J", "_kgco2e": "kgCO2e"}
    return next((unit for suffix, unit in suffixes.items() if name.endswith(suffix)), "1")
