"""Inputs that change nothing are told, and those of which one would be lost are refused."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import pytest

import infercost
from infercost import NoEffect, SpecError
from infercost.__main__ import main
from infercost.commands.compare import _overrides
from infercost.compose import Options
from infercost.effects import idle
from infercost.evaluation import evaluate
from infercost.fleet.abilities import abilities, question_of
from infercost.fleet.scenario import load_fleet
from infercost.operating import best_point, usual_search
from infercost.options.question import ask, winning
from infercost.paths import CONF
from infercost.registry import metrics
from infercost.studies import plan_study
from probes import number

DENSE, ROUTED = "model=llama-3.1-8b", "model=mixtral-8x7b"


def notes(*overrides: str) -> list[str]:
    return idle(ask(list(overrides)))


@pytest.mark.parametrize(
    ("overrides", "named"),
    [
        (("trend=none", "trend.dose=3"), "trend.dose=3"),
        ((DENSE, "plan.formats.experts=fp8"), "plan.formats.experts=fp8"),
        ((DENSE, "plan.tp=1", "plan.overlap=0.3"), "plan.overlap=0.3"),
        ((DENSE, "plan.exchange=gather"), "plan.exchange=gather"),
        (("economics=rental", "hardware.price=5 USD"), "hardware.price=5 USD"),
        (("workload.slo.tpot=3 s",), "workload.slo.tpot=3 s"),
    ],
)
def test_an_override_that_changes_nothing_is_named(overrides: tuple[str, ...], named: str) -> None:
    (line,) = notes(*overrides)
    assert line.startswith(f"override '{named}' changes no number here")


@pytest.mark.parametrize(
    "overrides",
    [
        ("trend=reasoning", "trend.dose=3"),
        (ROUTED, "plan.formats.experts=fp8"),
        (f"{DENSE},{ROUTED.partition('=')[2]}", "plan.formats.experts=fp8"),
        (DENSE, "plan.tp=4", "plan.overlap=0.3"),
        ("economics=owner", "hardware.price=5 USD"),
        (DENSE, "plan.ep=1"),
        ("direction=hbf,none", "direction.hbf.stacks=2"),
        ("direction=hbf", "direction.hbf.stacks=4"),
        ("plan.tp=128", "plan.exchange=gather"),
    ],
)
def test_what_acts_on_any_case_or_says_what_stands_there_needs_no_note(
    overrides: tuple[str, ...],
) -> None:
    """Of two models one has experts; a plan that fits no model is a row that says so."""
    assert notes(*overrides) == []


def test_an_axis_along_which_nothing_moves_is_named() -> None:
    (line,) = notes("trend.dose=0,1,2")
    assert line.startswith("'trend.dose' changes no number here: trend 'none'")
    (line,) = notes(DENSE, "plan.formats.experts=fp8,bf16")
    assert line.startswith("'plan.formats.experts'")
    assert notes("trend=none,reasoning", "trend.dose=0,1,2") == []


def test_one_column_that_echoes_an_input_is_named_with_it() -> None:
    """Eight devices of one scale-up domain send nothing out; only handing caches over would."""
    (line,) = notes("plan.tp=8", "hardware.scale_out.bandwidth_out=3 GB/s,4 GB/s")
    assert line.endswith("changes no number here but cached_cost_per_minput_usd")


def test_python_warns_and_the_command_line_notes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.warns(NoEffect, match=r"trend\.dose=3"):
        infercost.evaluate(["trend.dose=3"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        infercost.evaluate(["trend=reasoning", "trend.dose=3"])
    for command in ("evaluate", "explain"):
        assert main([command, "trend.dose=3", "--json"]) == 0
        assert "note: override 'trend.dose=3' changes no number" in capsys.readouterr().err


def test_compare_notes_what_acts_on_neither_design(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", DENSE, ROUTED, "plan.formats.experts=fp8"]) == 0
    assert "note" not in capsys.readouterr().err
    assert main(["compare", f"{DENSE} plan.formats.experts=fp8", ROUTED]) == 0
    assert capsys.readouterr().err.count("note: override 'plan.formats.experts=fp8'") == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ("mitigation=none+w4",),
            "'none+w4' has 'none' beside others. Write 'w4', or 'none' alone",
        ),
        (("+mitigation=[w4,none]",), "has 'none' beside others"),
        (("direction=hbf+none,hbf",), "has 'none' beside others. Write 'hbf', or"),
    ],
)
def test_an_input_that_would_be_lost_is_refused(words: tuple[str, ...], said: str) -> None:
    with pytest.raises(SpecError) as caught:
        evaluate(list(words))
    assert said in str(caught.value)


def test_paths_and_lists_where_names_and_axes_belong_say_what_to_write() -> None:
    with pytest.raises(SpecError, match="Name it without folders, as 'mine', below --config-dir"):
        plan_study("/somewhere/study/mine.yaml")
    with pytest.raises(SpecError, match=r"Write an axis without brackets: batch=8,64"):
        evaluate(["batch=[1,8]"])


def test_draws_do_not_hide_what_changes_nothing() -> None:
    (line,) = notes("draw=4", "direction=hbf", "trend.dose=3")
    assert line.startswith("override 'trend.dose=3'")


def test_commands_note_what_a_later_override_replaces(capsys: pytest.CaptureFixture[str]) -> None:
    for words, said in (
        (["evaluate", "batch=4", "--json", "batch=8"], "'batch=4' sets nothing: 'batch=8'"),
        (["explain", "--json", "hardware=h100-sxm", "hardware=mi300x"], "'hardware=h100-sxm'"),
    ):
        assert main(words) == 0, words
        assert capsys.readouterr().err.count(f"note: override {said}") == 1, words


def test_one_text_or_file_sets_a_key_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "batch=4 batch=8", "batch=4"]) == 2
    assert "'batch=4' sets batch already" in capsys.readouterr().err


def test_python_warns_of_an_override_that_a_later_one_replaces() -> None:
    """Lists are put together there, defaults first."""
    with pytest.warns(NoEffect, match="override 'batch=4' sets nothing: 'batch=8' follows"):
        assert infercost.evaluate(["batch=4", "batch=8"]).batch.tolist() == [8]


def test_later_overrides_win_where_they_are_meant_to() -> None:
    assert winning(["a=1", "+b=2"], ["b=3"]) == ["a=1", "b=3"]
    assert _overrides("hardware.memory.hbm.bandwidth=3 TB/s batch=4") == [
        "hardware.memory.hbm.bandwidth=3 TB/s",
        "batch=4",
    ]


@pytest.mark.parametrize("given", ["batch=64", "plan.tp=8"])
def test_what_a_search_chooses_is_not_taken(given: str, capsys: pytest.CaptureFixture[str]) -> None:
    tie = ["--input", "direction.hbf.price", "--range", "1 USD/GB", "9 USD/GB"]
    for words in (
        ["breakeven", *tie, "--metric=tpot_s", "direction=hbf,none", "workload=snapshot", given],
        [
            "breakeven",
            *tie,
            "--metric=tpot_s",
            "direction=hbf,none",
            "direction.hbf.price=1 USD/GB",
        ],
    ):
        assert main(words) == 2, words
        assert "sets nothing" in capsys.readouterr().err
    with pytest.raises(SpecError, match="sets nothing: study 'memory-wall' chooses"):
        plan_study("memory-wall", (given,))
    assert main(["compare", "--best", "hardware=h100-sxm", "hardware=mi300x", given]) == 0
    assert f"note: override '{given}': sets nothing: --best" in capsys.readouterr().err


def test_a_best_point_takes_overrides_of_directions() -> None:
    """They are an axis of one point, which the search has to be given: at 100 times its price,
    flash that holds weights and caches of the same design cannot cost the same."""

    def cost(*overrides: str) -> float:
        options = Options(ask(["direction=hbf", "model=llama-3.1-70b", *overrides]))
        composed = next(iter(options.cases()))
        how = usual_search("cost_per_mtoken_usd", largest=4)
        _, point, limit = best_point(options, composed, how)
        assert limit == 0
        return number(metrics()["cost_per_mtoken_usd"].evaluate(point))

    assert cost("direction.hbf.price=300 USD/GB") > 1.5 * cost("direction.hbf.price=3 USD/GB")


def test_a_fleet_takes_overrides_of_directions_and_no_lists() -> None:
    fleet = load_fleet("steady")
    twice = fleet.model_copy(update={"overrides": [*fleet.overrides, "batch=8"]})
    with pytest.raises(SpecError, match="sets nothing: the plan of a fleet chooses batch"):
        question_of(twice)
    swept = fleet.model_copy(update={"overrides": ["plan=base", "hardware.price=1 USD,2 USD"]})
    with pytest.raises(SpecError, match=r"overrides: hardware\.price: takes one value"):
        question_of(swept)

    def price(*overrides: str) -> float:
        """Of the one kind with flash, without any demand: its ability costs a search."""
        some = {"kinds": {"flash": fleet.kinds["b200-flash"]}, "demand": {}}
        one = fleet.model_copy(update={**some, "overrides": [*fleet.overrides, *overrides]})
        options = Options(question_of(one))
        return abilities(one, options).devices["flash"].price

    # conf/direction/hbf.yaml: four stacks of hbf-1, 512 GB each: 2,048 GB at one dollar more.
    difference = price("direction.hbf.price=4 USD/GB") - price("direction.hbf.price=3 USD/GB")
    assert difference == pytest.approx(2048.0)


def test_a_replay_says_what_it_does_not_take(capsys: pytest.CaptureFixture[str]) -> None:
    few = ["replay", "--requests", "5", "--json"]
    assert main([*few, "batch=64"]) == 2
    assert "sets nothing: a replay forms its batches" in capsys.readouterr().err
    assert main([*few, "serving.imbalance=3", "serving.transfer_latency=1 s"]) == 0
    said = capsys.readouterr().err
    assert "'serving.imbalance=3' changes nothing without serving.routing=prefix-aware" in said
    assert "changes nothing without serving.prefill_replicas above 0" in said
    assert main([*few, "serving.replicas=2", "serving.routing=prefix-aware"]) == 0
    assert not capsys.readouterr().err


def test_no_rate_within_the_objective_is_json_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", "--requests", "5", "--slo", "--json", "workload.slo.tpot=1 us"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out) == []
    assert said.err.startswith("No rate keeps")


def test_overrides_may_follow_options(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "model=llama-3.1-8b", "--json", "batch=3"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["batch"] == 3
    for words in (["evaluate", "--batch", "8"], ["claims", "--nonsense"]):
        assert main(words) == 2
        said = capsys.readouterr().err
        assert said.startswith(f"infercost: {words[0]}: does not know '{words[1]}'. See infercost ")
        assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("batch=99999999999999999999", "is more than 1e+15 sequences"),
        ("plan.dp=99999999999999999999", "out of range. Expected a value less than or equal to"),
        ("hardware.memory.hbm.bandwidth=3e-300 B/s", "'3e-300 B/s' is beyond any such quantity"),
    ],
)
def test_numbers_that_no_arithmetic_takes_are_refused(word: str, said: str) -> None:
    with pytest.raises(SpecError) as caught:
        evaluate([word])
    assert said in str(caught.value)


def test_of_a_grid_too_large_to_look_at_the_points_looked_at_are_counted() -> None:
    """100 x 50 batches and bandwidths are thinned to ends and middles: 3 x 3 points."""
    (line,) = notes(
        "trend.dose=3", "batch=range(1,101)", "plan.overlap=range(0.01,0.51,0.01)", "plan.tp=4,8"
    )
    assert "changes no number at the 18 points looked at" in line


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("policy:", "name: again\npolicy:", "name: stands here a second time. Keep one of the two"),
        ("name: ", "name: ${x} ", "is not made of plain keys. Write values themselves, without"),
        ("policy: ", "policy: x", "is not known. Expected 'chunked', 'prefill-first' or"),
        ("name: ", "name: [", "is not YAML:"),
    ],
)
def test_a_faulty_way_to_serve_is_told_at_its_place(
    old: str, new: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "serving/mine.yaml"
    file.parent.mkdir()
    file.write_text((CONF / "serving/chunked.yaml").read_text().replace(old, new, 1))
    assert main(["replay", "serving=mine", "--config-dir", str(tmp_path)]) == 2
    message = capsys.readouterr().err
    assert message.startswith(f"infercost: {file}")
    assert said in message
