"""Tables of measurements in the spelling of strangers."""

from __future__ import annotations

from pathlib import Path

import pytest

from infercost.errors import SpecError
from infercost.measurements.published import COLUMNS, Fault, read_table
from infercost.measurements.readings import Reading, Unread, read
from infercost.measurements.spelling import option_of, tidied

ROW = {
    **dict.fromkeys(COLUMNS, ""),
    "id": "x",
    "hardware": "h100-sxm",
    "model": "llama-3.1-8b",
    "n_devices": "1",
    "framework": "vLLM 0.6.0",
    "scenario": "decode",
    "batch": "16",
    "prompt_tokens": "512",
    "output_tokens": "128",
    "metric": "tpot_s",
    "value": "0.0125",
}
"""Invented."""


@pytest.mark.parametrize(
    ("group", "name", "option"),
    [
        ("hardware", "NVIDIA H100 SXM", "h100-sxm"),
        ("hardware", "H100_SXM", "h100-sxm"),
        ("hardware", "h100-sxm", "h100-sxm"),
        ("model", "meta-llama/Llama-3.1-8B", "llama-3.1-8b"),
        ("model", "Llama 3.1 8B", "llama-3.1-8b"),
        ("hardware", "H100", "H100"),
        ("model", "llama-3.1-9b", "llama-3.1-9b"),
        ("hardware", "", ""),
    ],
)
def test_a_name_is_known_by_its_letters_and_digits_alone(
    group: str, name: str, option: str
) -> None:
    """What is not spelt out stays as it is, and is refused: an H100 may be PCIe, SXM or NVL."""
    assert option_of(group, name) == option


@pytest.mark.parametrize(
    ("metric", "value", "number"),
    [
        ("tpot_s", "12.5 ms", 0.0125),
        ("tpot_s", "12500us", 0.0125),
        ("TTFT_S", "1.5 s", 1.5),
        ("ttft_s", "1.5 sec", 1.5),
        ("ttft_s", "2 seconds", 2.0),
        ("tpot_s", "12500 µs", 0.0125),
        ("tpot_s", "12500 μs", 0.0125),
        ("tpot_s", "1.25e-2", 0.0125),
        ("output_tokens_per_s", "1,250 tok/s", 1250.0),
        ("output_tokens_per_s_per_device", "80 tokens/s/GPU", 80.0),
        ("output_tokens_per_s", "80 TPS", 80.0),
    ],
)
def test_a_value_may_have_its_unit(metric: str, value: str, number: float) -> None:
    found = tidied({**ROW, "metric": metric, "value": value})
    assert float(found["value"].replace(",", "")) == pytest.approx(number)


@pytest.mark.parametrize(
    ("metric", "value"),
    [
        ("tpot_s", "80 tok/s"),
        ("output_tokens_per_s", "12 ms"),
        ("tpot_s", "12 kg"),
        ("output_tokens_per_s", "12 tokens"),
        ("tpot_s", "1,5 ms"),
    ],
)
def test_a_unit_of_another_quantity_is_a_reason(metric: str, value: str) -> None:
    with pytest.raises(Fault, match=f"'{value}' has a unit that {metric} does not have"):
        tidied({**ROW, "metric": metric, "value": value})
    found = read({**ROW, "metric": metric, "value": value})
    assert isinstance(found, Unread) and "unit" in found.reason


@pytest.mark.parametrize(
    ("metric", "value"),
    [
        ("output_tokens_per_s", "5000 tok/s/gpu"),
        ("output_tokens_per_s_per_user", "80 tokens/s/GPU"),
        ("output_tokens_per_s_per_device", "80 tok/s/user"),
    ],
)
def test_a_rate_of_another_than_its_metric_is_refused(metric: str, value: str) -> None:
    """5000 tokens/s for each of 8 devices are no 5000 tokens/s of all."""
    with pytest.raises(Fault, match=f"'{value}' is per .*, which {metric} is not"):
        tidied({**ROW, "metric": metric, "value": value})


def test_a_count_that_reads_two_ways_is_refused() -> None:
    """1.024 tokens are one, or a thousand and 24; a mean of 290.3 is a mean."""
    with pytest.raises(Fault, match=r"prompt_tokens '1\.024' may be 1024"):
        tidied({**ROW, "prompt_tokens": "1.024"})
    assert tidied({**ROW, "output_tokens": "290.3"})["output_tokens"] == "290.3"


def test_a_row_in_other_letters_is_the_same_reading() -> None:
    plain = read(ROW)
    assert isinstance(plain, Reading)
    other = {
        "hardware": "NVIDIA H100 SXM",
        "model": "meta-llama/Llama-3.1-8B",
        "n_devices": "1 GPU",
        "framework": "VLLM 0.6.0",
        "scenario": "Decode",
        "batch": "16 sequences",
        "metric": "TPOT_s",
        "value": "12.5 ms",
    }
    found = read({**ROW, **other})
    assert isinstance(found, Reading)
    assert found.time_s == pytest.approx(plain.time_s)
    assert (found.hardware, found.model, found.batch, found.era) == (
        *(plain.hardware, plain.model),
        *(plain.batch, plain.era),
    )


def test_headings_may_be_spelt_otherwise_but_not_twice(tmp_path: Path) -> None:
    """A column of another name is kept as it is; of two spellings the exact one is read."""
    file = tmp_path / "theirs.csv"
    names = [name.replace("_", " ").title() for name in COLUMNS]
    file.write_text(",".join([*names, "value", "mine"]) + "\n" + ",".join("1" * 14) + ",2,3\n")
    (row,) = read_table(file)
    assert (row["prompt_tokens"], row["value"], row["Value"], row["mine"]) == ("1", "2", "1", "3")


def test_a_row_with_more_cells_than_columns_is_refused(tmp_path: Path) -> None:
    """A text with a comma has shifted the others; empty cells at the end are a spreadsheet's."""
    file = tmp_path / "theirs.csv"
    head, cells = ",".join(COLUMNS), ",".join(["1"] * len(COLUMNS))
    file.write_text(f"{head}\n{cells}\n{cells},,\n\n{cells[:3]}\n")
    rows = read_table(file)
    assert len(rows) == 3, "an empty line is none"
    assert list(rows[2].values()) == ["1 (3)", "1", *[""] * (len(COLUMNS) - 2)]
    file.write_text(f"{head}\n{cells}\n{cells},more\n")
    with pytest.raises(
        SpecError, match=rf"row 3 has {len(COLUMNS) + 1} cells under {len(COLUMNS)}"
    ):
        read_table(file)


@pytest.mark.parametrize("mark", [";", "\t", "|"])
def test_cells_that_no_comma_separates_are_refused(tmp_path: Path, mark: str) -> None:
    file = tmp_path / "theirs.csv"
    file.write_text(mark.join(COLUMNS) + "\n")
    with pytest.raises(SpecError, match="has one column"):
        read_table(file)


def test_a_quotation_that_does_not_end_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "theirs.csv"
    file.write_text(",".join(COLUMNS) + '\n"one" and,2\n')
    with pytest.raises(SpecError, match="Save the table as CSV"):
        read_table(file)
