"""The ledger of claims: verdicts by rule, and every claim well-formed and recorded."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from infercost.__main__ import main
from infercost.claim_options import claims_of, digest_of, load_claim
from infercost.claims import (
    DEPENDS,
    REFUTED,
    SUPPORTED,
    UNTESTED,
    error_scale,
    judged,
    ledger,
    margins_of,
    news,
    record,
    recorded,
    summed_up,
)
from infercost.datasets import point_to, publish
from infercost.errors import SpecError
from infercost.options.question import option_names
from infercost.paths import CONF
from infercost.specs.claim import Claim
from infercost.studies import load_study

NAMES = option_names((CONF,), "claim")
CLAIM = {
    "claim": "Numbers are large.",
    "by": "thesis",
    "study": "numbers",
    "query": "SELECT kind, size AS value FROM rows",
    "value": "a number",
}


def claim(**changes: object) -> Claim:
    return Claim.model_validate({**CLAIM, "at_least": 2.0, **changes})


@pytest.fixture
def published(tmp_path: Path) -> Callable[..., Path]:
    """Publishes rows of a study `numbers`, predicted by a calibration."""

    def land(sizes: list[float], calibration: str = "typical") -> Path:
        kinds = ["a" if i % 2 == 0 else "b" for i in range(len(sizes))]
        table = pa.table(
            {
                "batch": pa.array(range(len(sizes)), pa.int64()),  # a key of the rows
                "kind": kinds,
                "size": pa.array(sizes, pa.float64()),
            }
        )
        pq.write_table(table, tmp_path / "part.parquet")
        about = {"options": {"calibration": {calibration: {}}}}
        root = tmp_path / "datasets"
        version = publish(root, "numbers", {"all": tmp_path / "part.parquet"}, about)
        point_to(root / "numbers" / "latest", version.name)
        return root

    return land


# --- verdicts


@pytest.mark.parametrize(
    ("sizes", "verdict"),
    [
        ([3, 4, 5, 2], SUPPORTED),
        ([1, 1, 1.9, 0.5], REFUTED),
        ([3, 1, 5, 1], DEPENDS),
        ([3.0] * 9 + [1.0], SUPPORTED),  # nine of ten is the share that is asked for
        ([3.0] * 8 + [1.0] * 2, DEPENDS),
        ([math.nan, math.nan], UNTESTED),
    ],
)
def test_a_verdict_follows_from_the_share_of_cases(
    published: Callable[..., Path], sizes: list[float], verdict: str
) -> None:
    assert judged("large", claim(), published(sizes)).verdict == verdict


def test_an_upper_bound_turns_the_verdict(published: Callable[..., Path]) -> None:
    small = claim(at_least=None, at_most=2.0)
    assert judged("small", small, published([3, 4, 5, 6])).verdict == REFUTED


def test_where_it_depends_the_region_is_named(published: Callable[..., Path]) -> None:
    """Kinds alternate: a has 3 and 5, b has 1 and 1."""
    found = judged("large", claim(), published([3, 1, 5, 1]))
    assert found.region == "kind: holds at a, not at b"
    assert (found.holding, found.cases) == (2, 4)


def test_cases_without_a_number_are_counted(published: Callable[..., Path]) -> None:
    found = judged("large", claim(), published([3, math.nan, 4, 5]))
    assert (found.verdict, found.cases, found.undecided) == (SUPPORTED, 3, 1)


def test_a_study_that_nobody_published_leaves_a_claim_untested(tmp_path: Path) -> None:
    assert judged("large", claim(), tmp_path).verdict == UNTESTED


# --- margins and probabilities


def test_margins_of_ratios_are_logarithms() -> None:
    assert margins_of(claim(), np.array([2.0, 4.0, 1.0])) == pytest.approx(
        [0.0, math.log(2), -math.log(2)]
    )


def test_margins_of_shares_are_log_odds() -> None:
    """A share of 2/3 has odds of 2, of 1/2 odds of 1."""
    share = claim(scale="share", at_least=0.5)
    assert margins_of(share, np.array([0.5, 2 / 3])) == pytest.approx([0.0, math.log(2)])


def test_a_factor_on_a_part_moves_its_odds_by_that_factor() -> None:
    """Why shares are held against odds: a part of 2 beside 3 is 2/5; doubled, 4/7."""
    share = claim(scale="share", at_least=0.5)
    before, after = margins_of(share, np.array([2 / 5, 4 / 7]))
    assert after - before == pytest.approx(math.log(2))


def test_a_case_at_the_threshold_is_as_likely_as_not(published: Callable[..., Path]) -> None:
    assert judged("even", claim(), published([2.0, 2.0])).probability == pytest.approx(0.5)


def test_a_margin_of_one_standard_deviation_is_held_by_84_percent(
    published: Callable[..., Path],
) -> None:
    """Normal distribution: 0.8413 of it lies below its mean plus one standard deviation."""
    away = 2.0 * math.exp(error_scale(("typical",)))
    found = judged("away", claim(), published([away, away]))
    assert found.probability == pytest.approx(0.8413, abs=1e-4)


def test_no_probability_without_measurements_of_the_calibration(
    published: Callable[..., Path],
) -> None:
    assert math.isnan(judged("floor", claim(), published([3.0, 3.0], "ideal")).probability)
    counted = claim(scale="count")
    assert math.isnan(judged("count", counted, published([3.0, 3.0])).probability)


# --- faults


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"at_most": 3.0}, "one threshold"),
        ({"at_least": None}, "one threshold"),
        ({"scale": "share"}, "between 0 and 1"),
        ({"at_least": -1.0}, "above 0"),
        ({"studdy": "x"}, "unknown key"),
    ],
)
def test_a_claim_at_fault_is_one_line(
    tmp_path: Path, changes: dict[str, object], words: str
) -> None:
    content = {k: v for k, v in {**CLAIM, "at_least": 2.0, **changes}.items() if v is not None}
    (tmp_path / "claim").mkdir()
    (tmp_path / "claim" / "mine.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(SpecError, match=words) as error:
        load_claim("mine", (str(tmp_path),))
    assert "mine.yaml" in str(error.value)


def test_a_wrong_query_names_its_claim(published: Callable[..., Path]) -> None:
    wrong = claim(query="SELECT sise AS value FROM rows")
    with pytest.raises(SpecError, match="claim 'large': query"):
        judged("large", wrong, published([1.0, 2.0]))
    with pytest.raises(SpecError, match="no column 'value'"):
        judged("large", claim(query="SELECT size FROM rows"), published([1.0, 2.0]))


# --- the project's own ledger


@pytest.mark.parametrize("name", NAMES)
def test_a_claim_is_sourced_and_names_a_study(name: str) -> None:
    sources = yaml.safe_load((CONF / "sources.yaml").read_text())
    found = load_claim(name)
    assert found.by == "thesis" or found.by.partition(",")[0] in sources
    assert load_study(found.study).name == found.study


def test_every_claim_has_a_recorded_verdict_with_a_reason() -> None:
    known = recorded()
    assert set(known) == set(NAMES)
    for name, (verdict, why) in known.items():
        assert verdict in (SUPPORTED, REFUTED, DEPENDS), name
        assert why, name


def test_a_verdict_that_changed_is_news(published: Callable[..., Path]) -> None:
    found = judged("large", claim(), published([3.0, 4.0]))
    assert list(news([found], {"large": (SUPPORTED, "")})) == []
    assert list(news([found], {"large": (REFUTED, "")})) == [
        "large: refuted before, supported now (2 of 2 cases >= 2, median 3.5)"
    ]
    assert list(news([], {"gone": (REFUTED, "")})) == [
        "gone: recorded, but there is no such claim any more"
    ]


def test_a_reason_stays_as_long_as_its_verdict_does(
    published: Callable[..., Path], tmp_path: Path
) -> None:
    file = tmp_path / "claims.csv"
    file.write_text("claim,verdict,why\nlarge,supported,as somebody wrote\n")
    record([judged("large", claim(), published([3.0, 4.0]))], file)
    assert recorded(file) == {"large": (SUPPORTED, "as somebody wrote")}
    changed = judged("large", claim(), published([3.0, 1.0]))
    with pytest.raises(SpecError, match=r"was supported and is depends now.*--why"):
        record([changed], file)
    record([changed], file, "sizes were wrong")
    verdict, why = recorded(file)["large"]
    assert verdict == DEPENDS
    told = "1 of 2 cases >= 2, median 2; kind: holds at a, not at b"
    assert why == f"{told}; sizes were wrong"


def test_the_command_prints_ledger_and_claim(
    published: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = published([3.0, 1.0])
    (tmp_path / "claim").mkdir()
    (tmp_path / "claim" / "mine.yaml").write_text(yaml.safe_dump({**CLAIM, "at_least": 2.0}))
    where = ["--root", str(root), "--config-dir", str(tmp_path)]
    assert main(["claims", "mine", *where]) == 0
    text = capsys.readouterr().out
    assert "depends: 1 of 2 cases" in text
    assert "SELECT kind, size AS value FROM rows" in text
    assert main(["claims", "mine", "--json", *where]) == 0
    assert json.loads(capsys.readouterr().out)[0]["holding"] == 1
    assert main(["claims", "mine", "--check", *where]) == 1
    assert "mine: not recorded before, depends now" in capsys.readouterr().out


def test_the_ledger_of_a_place_without_datasets_is_untested(tmp_path: Path) -> None:
    assert {verdict.verdict for verdict in ledger(tmp_path)} == {UNTESTED}


# --- draws, and what CI says


def drawn_rows(values: dict[str, list[float]]) -> pa.Table:
    pairs = [(kind, draw, v) for kind, found in values.items() for draw, v in enumerate(found)]
    kinds, draws, sizes = zip(*pairs, strict=True)
    return pa.table({"kind": list(kinds), "draw": list(draws), "value": list(sizes)})


def test_a_case_of_draws_is_their_median_and_tells_how_many_support_it() -> None:
    """Of a, two of three draws are 2 or more; of b, one of three. Medians: 3 and 1."""
    frame = drawn_rows({"a": [1.0, 3.0, 4.0], "b": [0.5, 1.0, 9.0]}).to_pandas()
    told, held = summed_up(claim(), frame)
    assert list(told["kind"]) == ["a", "b"]
    assert list(told["value"]) == [3.0, 1.0]
    assert held == pytest.approx([2 / 3, 1 / 3])
    assert told["value_p10"][0] == pytest.approx(1.4)  # a tenth of the way from 1 over 3 to 4


def test_the_probability_under_uncertain_inputs_is_the_share_of_draws(
    published: Callable[..., Path],
) -> None:
    """Six sizes as six draws of one case: four are 2 or more."""
    one = claim(query="SELECT batch AS draw, size AS value FROM rows")
    found = judged("large", one, published([3.0, 1.0, 4.0, 1.0, 5.0, 6.0]))
    assert (found.cases, found.verdict) == (1, SUPPORTED)
    assert found.drawn == pytest.approx(4 / 6)
    assert found.error == error_scale(("typical",))
    assert math.isnan(judged("large", claim(), published([3.0, 1.0])).drawn)


def test_a_changed_verdict_fails_with_claim_verdicts_and_remedy(
    published: Callable[..., Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    record_file = tmp_path / "claims.csv"
    record_file.write_text("claim,verdict,why\nmine,supported,before\n")
    monkeypatch.setattr("infercost.claims.RECORD", record_file)
    monkeypatch.setattr(recorded, "__defaults__", (record_file,))
    monkeypatch.setattr(record, "__defaults__", (record_file, ""))
    (tmp_path / "claim").mkdir()
    (tmp_path / "claim" / "mine.yaml").write_text(yaml.safe_dump({**CLAIM, "at_least": 2.0}))
    root = published([3.0, 1.0])
    where = ["--root", str(root), "--config-dir", str(tmp_path)]
    assert main(["claims", "mine", "--check", *where]) == 1
    said = capsys.readouterr().out
    assert "changed: claim mine: supported before, depends now (1 of 2 cases >= 2" in said
    assert "infercost claims --record --why" in said
    assert main(["claims", "--record", *where]) == 2
    assert "was supported and is depends now" in capsys.readouterr().err
    assert main(["claims", "--record", "--why", "sizes were wrong", *where]) == 0
    assert recorded(record_file)["mine"][0] == DEPENDS
    assert recorded(record_file)["mine"][1].endswith("; sizes were wrong")
    capsys.readouterr()
    assert main(["claims", "mine", "--check", *where]) == 0
    assert "1 verdicts are as recorded" in capsys.readouterr().out


def test_a_study_knows_the_claims_that_it_decides(tmp_path: Path) -> None:
    """A changed claim is a reason to write the study's report again."""
    assert set(claims_of("topology")) == {
        "fewer-hops-help-one-user",
        "reduction-in-the-network-helps",
    }
    (tmp_path / "claim").mkdir()
    file = tmp_path / "claim" / "mine.yaml"
    file.write_text(yaml.safe_dump({**CLAIM, "at_least": 2.0}))
    before = digest_of("numbers", (str(tmp_path),))
    file.write_text(yaml.safe_dump({**CLAIM, "at_least": 3.0}))
    assert digest_of("numbers", (str(tmp_path),)) != before
    assert digest_of("topology", (str(tmp_path),)) == digest_of("topology")
