"""Answers in words: numbers with the range that measurements give them."""

from __future__ import annotations

import numpy as np
import pytest

from infercost.calibrate.record import read_record
from infercost.stages.answer import _Number
from infercost.stages.trust import Span, span

H100 = {"h100-sxm": {"family": "nvidia-datacentre"}}


def test_a_number_is_told_with_its_range_where_the_format_asks() -> None:
    """2 USD times 0.5 and 1.5."""
    number = _Number(2.0)
    number.span = Span(0.5, 1.5, 10)
    assert f"{number:.2f~} USD" == "2.00 (1.00 to 3.00) USD"
    assert f"{number:.2f}" == "2.00"
    number.span = None
    assert f"{number:.2f~}" == "2.00"


def test_four_of_five_measurements_lie_in_the_span_of_their_family() -> None:
    record = read_record()
    found = span({"hardware": H100, "calibration": {"typical": {}}}, record)
    assert found is not None
    ratio = np.exp(-record.errors["typical"][record.where(family="nvidia-datacentre")])
    assert found.readings == ratio.size
    assert np.mean((ratio >= found.low) & (ratio <= found.high)) == pytest.approx(0.8, abs=0.01)


def test_a_floor_has_no_span() -> None:
    record = read_record()
    assert span({"hardware": H100, "calibration": {"ideal": {}}}, record) is None
    nowhere = {"x1": {"family": "nobody"}}
    assert span({"hardware": nowhere, "calibration": {"typical": {}}}, record) is None
    assert span({}, record) is None
