"""From overrides to a service and its requests: options of a case, and those of `serving`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from infercost.compose import Options
from infercost.errors import SpecError, SpecErrors, nearest
from infercost.faults import spec_faults
from infercost.paths import config_dirs
from infercost.question import ask, option_names
from infercost.resolve import content_of
from infercost.serving.requests import Arrivals, of_workload
from infercost.serving.service import Service, service_of
from infercost.specs.case import Case
from infercost.specs.serving import Serving
from infercost.witnesses import adapter, missing_witnesses

DEFAULT = "chunked"


def asked_service(
    overrides: list[str], dirs: tuple[str, ...], count: int, rate: float | None, seed: int
) -> tuple[Service, Arrivals]:
    """The service and the requests that overrides ask for.

    `serving=NAME` and `serving.KEY=VALUE` choose how to serve, `prefill.GROUP...` changes the case
    of the prefill pool alone, all others those of `infercost evaluate`. Raises `SpecError`.
    """
    serving_words, prefill_words, others = sorted_words(overrides)
    case = one_case(others, dirs)
    serving = serving_of(serving_words, dirs)
    other = None
    if prefill_words:
        if not serving.prefill_replicas:
            fault = "there is no prefill pool"
            raise SpecError(f"override 'prefill.{prefill_words[0]}'", "prefill", fault,
                            "Take serving=disaggregated")  # fmt: skip
        other = one_case([*_without(others, prefill_words), *prefill_words], dirs)
    requests = of_workload(case.workload, count, rate, seed)
    return service_of(case, serving, requests, other), requests


def sorted_words(overrides: list[str]) -> tuple[list[str], list[str], list[str]]:
    """Words of `serving`, of the prefill pool, and of the case."""
    serving, prefill, others = [], [], []
    for text in overrides:
        if text.startswith(("serving=", "serving.")):
            serving.append(text)
        elif text.startswith("prefill."):
            prefill.append(text.removeprefix("prefill."))
        else:
            others.append(text)
    return serving, prefill, others


def _without(others: list[str], changed: list[str]) -> list[str]:
    keys = {text.partition("=")[0] for text in changed}
    return [text for text in others if text.partition("=")[0] not in keys]


def one_case(overrides: list[str], dirs: tuple[str, ...]) -> Case:
    """The one case of overrides; lists are refused."""
    question = ask(overrides, dirs)
    if question.size != 1:
        raise SpecError("replay", "", f"the overrides span {question.size} points", "Name one")
    return next(iter(Options(question).cases())).case


def serving_of(words: list[str], dirs: tuple[str, ...] = ()) -> Serving:
    """A way to serve: an option of `conf/serving`, with values changed. Raises `SpecError`."""
    folders = config_dirs(dirs)
    name = next((w.removeprefix("serving=") for w in words if w.startswith("serving=")), DEFAULT)
    content = _content(folders, name)
    for text in words:
        if text.startswith("serving."):
            path, _, value = text.removeprefix("serving.").partition("=")
            _put(content, path.split("."), yaml.safe_load(value) if value else None)
    faults = spec_faults("serving", content)
    if faults:
        place = f"serving '{name}'"
        raise SpecErrors(SpecError(place, key, fault, remedy) for key, fault, remedy in faults)
    serving: Serving = adapter("serving").validate_python(content)
    bare = missing_witnesses(serving, content)
    if bare:
        raise SpecError(f"serving '{name}'", bare[0], "has no source", "Name one under 'sources'")
    return serving


def _content(folders: tuple[Path, ...], name: str) -> dict[str, Any]:
    content = content_of(folders, "serving", name)
    if content is None:
        known = option_names(folders, "serving")
        raise SpecError(f"serving={name}", "serving", "is no option", nearest(name, known))
    return content


def _put(content: dict[str, Any], steps: list[str], value: Any) -> None:
    *outer, last = steps
    for step in outer:
        inner = content.setdefault(step, {})
        if not isinstance(inner, dict):
            raise SpecError(f"serving.{'.'.join(steps)}", step, "is a list", "Set it as a whole")
        content = inner
    content[last] = value
