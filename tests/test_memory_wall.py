"""The study memory-wall: what it says in words is what its rows say."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from infercost.datasets import Version, publish
from infercost.parts import write_part
from infercost.stages.aggregate import connect, query
from infercost.stages.answer import sentences
from infercost.studies import StudyPlan, plan_study

ABOUT = {"question": "?", "digests": {"inputs": "", "code": ""}, "options": {}}


@pytest.fixture(scope="module")
def plan() -> StudyPlan:
    return plan_study("memory-wall")


@pytest.fixture(scope="module")
def version(plan: StudyPlan, tmp_path_factory: pytest.TempPathFactory) -> Version:
    folder = tmp_path_factory.mktemp("memory-wall")
    files = {label: folder / f"{label}.parquet" for label in plan.parts}
    for label, plain in plan.parts.items():
        write_part(plain, files[label])
    return publish(folder / "datasets", "memory-wall", files, ABOUT)


@pytest.fixture(scope="module")
def best(version: Version) -> pd.DataFrame:
    rows = version.rows()
    return rows[rows["best"]]


def values(plan: StudyPlan, version: Version, number: int) -> dict[str, Any]:
    text = plan.study.answers[number].values
    return query(connect(version), "answer", text).to_dict("records")[0]  # type: ignore[return-value]


def stress(rows: pd.DataFrame, total: str) -> pd.DataFrame:
    """Shares of a total by kind of resource."""

    def share(*resources: str) -> pd.Series:
        return sum(rows[f"{total}_stress_{r}"] for r in resources)  # type: ignore[return-value]

    return pd.DataFrame(
        {
            "compute": share("compute"),
            "memory": share("weights", "kv", "activations"),
            "network": share("network_bandwidth", "network_latency"),
            "overhead": share("overhead", "power"),
        }
    )


def test_it_looks_at_the_accelerators_models_and_services_it_was_asked_for(best: Any) -> None:
    """At least ten accelerators, six models, three traces; one best row for each combination."""
    assert best["hardware"].nunique() >= 10
    assert best["model"].nunique() >= 6
    assert best["workload"].nunique() == 3
    count = best["hardware"].nunique() * best["model"].nunique() * best["workload"].nunique()
    assert len(best) == count
    assert not best.duplicated(["hardware", "model", "workload"]).any()


def test_the_first_sentence_tells_the_decode_step(plan: Any, version: Any, best: Any) -> None:
    served = best[best["feasible"]]
    shares, told = stress(served, "decode"), values(plan, version, 0)
    assert told["cases"] == len(served)
    assert told["decode"] == pytest.approx(shares["memory"].median())
    assert told["share"] == pytest.approx((shares.idxmax(axis=1) == "memory").mean())


def test_the_second_sentence_tells_the_price(plan: Any, version: Any, best: Any) -> None:
    served = best[best["feasible"]]
    shares = stress(served, "cost").assign(capacity=served["cost_stress_capacity"])
    assert shares.sum(axis=1).to_numpy() == pytest.approx(1.0, abs=1e-12)
    told, largest = values(plan, version, 1), shares.idxmax(axis=1)
    for kind in ("compute", "memory", "network", "capacity"):
        assert told[kind] == pytest.approx((largest == kind).mean()), kind
    code = served["workload"] == "azure-2023-code"
    assert told["code"] == pytest.approx(shares.loc[code, "compute"].median())


def test_the_third_sentence_tells_who_is_cheapest(plan: Any, version: Any, best: Any) -> None:
    told = values(plan, version, 2)
    chat = best[
        best["feasible"]
        & (best["model"] == "llama-3.1-70b")
        & (best["workload"] == "azure-2023-conversation")
    ].set_index("hardware")["cost_per_mtoken_usd"]
    assert (told["cheapest"], told["dearest"]) == (chat.idxmin(), chat.idxmax())
    assert (told["least"], told["most"]) == (chat.min(), chat.max())
    assert told["infeasible"] == (~best["feasible"]).sum()


def test_every_sentence_is_filled(plan: StudyPlan, version: Version) -> None:
    told = sentences(plan.study, version)
    assert len(told) == 3
    assert not any("{" in sentence or "nan" in sentence for sentence in told)
