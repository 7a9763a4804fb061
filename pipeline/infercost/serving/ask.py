"""From overrides to a service and its requests: options of a case, and those of `serving`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infercost.compose import ComposedCase, Options
from infercost.errors import SpecError, SpecErrors
from infercost.evaluation import pinned
from infercost.options.faults import checked, unplain
from infercost.options.places import place_of
from infercost.options.question import ask, key_of, read_value, winning
from infercost.options.resolve import content_of
from infercost.options.witnesses import missing_witnesses
from infercost.paths import config_dirs
from infercost.serving.edge import EdgeAndCloud, edge_of
from infercost.serving.requests import Arrivals, of_workload
from infercost.serving.service import Service, service_of
from infercost.serving.unseen import refuse_replaced
from infercost.specs.case import Case
from infercost.specs.serving import Serving
from infercost.uncertainty.draws import full_path

DEFAULT = "chunked"


@dataclass(frozen=True)
class Words:
    """Overrides by what they speak of."""

    serving: list[str]
    prefill: list[str]
    """Of the prefill pool alone, as changes to the case."""
    edge: list[str]
    """Of the users' machines, as changes to the case."""
    case: list[str]


def asked_service(
    overrides: list[str], dirs: tuple[str, ...], count: int, rate: float | None, seed: int
) -> tuple[Service | EdgeAndCloud, Arrivals]:
    """The service and the requests that overrides ask for.

    `serving=NAME` and `serving.KEY=VALUE` choose how to serve, `prefill.GROUP...` changes the case
    of the prefill pool alone, `edge.GROUP...` that of the users' machines, all others are those of
    `infercost evaluate`. Raises `SpecError`.
    """
    words = sorted_words(overrides)
    refuse_replaced(words.case)
    case = one_case(words.case, dirs)
    serving = serving_of(words.serving, dirs)
    prefill = _changed(
        words, "prefill", serving.prefill_replicas > 0, "serving=disaggregated", dirs
    )
    edge = _changed(words, "edge", serving.edge is not None, "serving=edge-router", dirs)
    requests = of_workload(case.workload, count, rate, seed)
    service = service_of(case, serving, requests, prefill)
    if serving.edge is None:
        return service, requests
    return edge_of(service, edge or case, serving, requests), requests


def _changed(
    words: Words, what: str, exists: bool, remedy: str, dirs: tuple[str, ...]
) -> Case | None:
    """The case with the changes of a pool, if there are any."""
    changes: list[str] = getattr(words, what)
    if not changes:
        return None
    if not exists:
        fault = f"there is no {what} pool" if what == "prefill" else "there is no machine of users"
        raise SpecError(f"override '{what}.{changes[0]}'", what, fault, f"Take {remedy}")
    try:
        return one_case(winning(words.case, changes), dirs)
    except SpecErrors as errors:
        raise SpecErrors(_as_typed(one, what) for one in errors.faults) from None
    except SpecError as error:
        raise _as_typed(error, what) from None


def _as_typed(error: SpecError, what: str) -> SpecError:
    """An error of a pool's changes by the words that were typed, with the pool's prefix.

    The other overrides were read before, without the changes: what is at fault are these.
    """
    place, key, start = error.place, error.key, "override '"
    if place.startswith(start):
        place = f"{start}{what}.{place.removeprefix(start)}"
        key = f"{what}.{key}" if key else ""
    elif place == "replay":
        place = f"replay: overrides of '{what}.'"
    return SpecError(place, key, error.fault, error.remedy)


def sorted_words(overrides: list[str]) -> Words:
    """Overrides by what they speak of."""
    words = Words([], [], [], [])
    for text in overrides:
        if text.startswith(("serving=", "serving.")):
            words.serving.append(text)
        elif text.startswith("prefill."):
            words.prefill.append(text.removeprefix("prefill."))
        elif text.startswith("edge."):
            words.edge.append(text.removeprefix("edge."))
        else:
            words.case.append(text)
    return words


def one_case(overrides: list[str], dirs: tuple[str, ...]) -> Case:
    """The one case of overrides; lists are refused."""
    return one_composed(overrides, dirs).case


def one_composed(overrides: list[str], dirs: tuple[str, ...]) -> ComposedCase:
    """The one case of overrides with its options; lists, draws and distributions are refused."""
    question = ask(overrides, dirs)
    if question.draws is not None:
        raise SpecError("replay", "draw", "takes one value of each input", _DRAWN)
    if question.size != 1:
        raise SpecError("replay", "", f"the overrides span {question.size} points", "Name one")
    options = Options(question)
    _check_certain(overrides, options)
    return pinned(options, next(iter(options.cases())))


_DRAWN = "Name the value to replay; draws are for 'infercost evaluate draw=256' and studies"


def _check_certain(overrides: list[str], options: Options) -> None:
    """Refuse overrides that state a distribution: the replay of its middle says nothing of it."""
    uncertain = {path for inputs in options.uncertain.values() for path in inputs}
    for text in overrides:
        key, _, value = text.lstrip("+").partition("=")
        if value.startswith("{") and "." in key and full_path(options, key) in uncertain:
            fault = "is a distribution, and a replay takes one value"
            raise SpecError(f"override '{text}'", key, fault, _DRAWN)


def serving_of(words: list[str], dirs: tuple[str, ...] = ()) -> Serving:
    """A way to serve: an option of `conf/serving`, with values changed. Raises `SpecError`."""
    folders = config_dirs(dirs)
    name = next((w.removeprefix("serving=") for w in words if w.startswith("serving=")), DEFAULT)
    content = _content(folders, name)
    for text in words:
        if text.startswith("serving."):
            path, _, value = text.removeprefix("serving.").partition("=")
            _put(content, path.split("."), read_value(text, value) if value else None)
    serving: Serving
    serving, faults = checked("serving", content)
    if faults:
        given = {key_of(text).partition(".")[2]: text for text in words if "serving." in text}
        raise SpecErrors(
            SpecError(*_blamed(folders, name, key, given), fault, remedy)
            for key, fault, remedy in faults
        )
    bare = missing_witnesses(serving, content)
    if bare:
        raise SpecError(f"serving '{name}'", bare[0], "has no source", "Name one under 'sources'")
    return serving


def _blamed(
    folders: tuple[Path, ...], name: str, key: str, given: dict[str, str]
) -> tuple[str, str]:
    """The override that set a key, else its place in the option's file."""
    for path, text in given.items():
        if f"{key}.".startswith(f"{path}."):
            return f"override '{text}'", f"serving.{key}"
    return place_of(folders, "serving", name, key)


def idle_serving(words: Words, dirs: tuple[str, ...] = ()) -> list[str]:
    """One line for each key of serving that another one keeps from acting."""
    serving = serving_of(words.serving, dirs)
    needs = {
        "speculation.acceptance": (serving.speculation.drafted > 0, "speculation.drafted above 0"),
        "speculation.draft_time": (serving.speculation.drafted > 0, "speculation.drafted above 0"),
        "routing": (serving.replicas > 1, "replicas above 1"),
        "imbalance": (serving.routing == "prefix-aware", "routing=prefix-aware"),
        "prefix_tiers": (serving.prefix_cache, "prefix_cache=true"),
        "transfer_bandwidth": (serving.prefill_replicas > 0, "prefill_replicas above 0"),
        "transfer_latency": (serving.prefill_replicas > 0, "prefill_replicas above 0"),
    }
    return [
        f"override '{text}' changes nothing without serving.{what}"
        for text in words.serving
        for acts, what in [needs.get(key_of(text).removeprefix("serving."), (True, ""))]
        if not acts
    ]


def _content(folders: tuple[Path, ...], name: str) -> dict[str, Any]:
    content = content_of(folders, "serving", name)
    if content is None:
        raise unplain(folders, "serving", name)
    return content


def _put(content: dict[str, Any], steps: list[str], value: Any) -> None:
    *outer, last = steps
    for step in outer:
        inner = content.setdefault(step, {})
        if not isinstance(inner, dict):
            raise SpecError(f"serving.{'.'.join(steps)}", step, "is a list", "Set it as a whole")
        content = inner
    content[last] = value
