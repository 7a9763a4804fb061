"""What a user gets wrong, and the one line that says so: place, key, fault and remedy.

Every file here is an option of the user's own, changed in one place from one of the project's.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from infercost import SpecError, evaluate
from infercost.__main__ import main
from infercost.errors import SpecErrors, nearest
from infercost.paths import CONF
from infercost.studies import load_study

Edit = Callable[[str], str]


def option(group: str, name: str) -> str:
    return (CONF / group / f"{name}.yaml").read_text()


CHIP = option("hardware", "h100-sxm")
MODEL = option("model", "llama-3.1-70b")
SPARSE = option("model", "mixtral-8x7b")
FIXED = option("workload", "fixed-lengths")
SMOKE = option("study", "smoke")
TRACE = option("workload", "azure-2023-code")


def instead(old: str, new: str) -> Edit:
    """Exchange what occurs in the text; the first place counts."""

    def edit(text: str) -> str:
        assert old in text, f"{old!r} is not in the option any more: mend this test"
        return text.replace(old, new, 1)

    return edit


def line_with(text: str, words: str) -> int:
    """Number of the first line that holds `words`."""
    return next(n for n, line in enumerate(text.splitlines(), start=1) if words in line)


def own(folder: Path, group: str, text: str, name: str = "mine") -> Path:
    """Write an option of the user's own."""
    file = folder / group / f"{name}.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def refused(*overrides: str, dirs: tuple[str, ...] = ()) -> str:
    """The one line with which `evaluate` refuses."""
    with pytest.raises(SpecError) as caught:
        evaluate(list(overrides), dirs=dirs)
    message = str(caught.value)
    assert "\n" not in message, f"more than one line:\n{message}"
    assert not any(word in message for word in ("pydantic", "Error", "Traceback", "Input should"))
    return message


# --- files: (group, text, edit, words of the faulty line, key, fault, remedy)

HARDWARE = [
    pytest.param(
        instead("tdp: 700 W\n", "tpd: 700 W\n"),
        "tpd: 700 W",
        "tpd: unknown key. Did you mean 'tdp'?",
        id="misspelt-key",
    ),
    pytest.param(
        instead("bandwidth: 3.35 TB/s", "bandwith: 3.35 TB/s"),
        "bandwith",
        "memory.hbm.bandwith: unknown key. Did you mean 'bandwidth'?",
        id="misspelt-key-inside",
    ),
    pytest.param(
        instead("tdp: 700 W\n", "tdp: 700 W\nflux_capacitor: 3\n"),
        "flux_capacitor",
        "flux_capacitor: unknown key. Known: architecture, bill, compute_power, embodied_carbon,",
        id="key-like-no-other",
    ),
    pytest.param(
        instead("tdp: 700 W\n", ""),
        "",
        "tdp: required key is missing. Add 'tdp:'",
        id="missing-key",
    ),
    pytest.param(
        instead(", bandwidth: 3.35 TB/s", ""),
        "capacity: 80 GB",
        "memory.hbm.bandwidth: required key is missing. Add 'bandwidth:'",
        id="missing-key-inside",
    ),
    pytest.param(
        instead("tdp: 700 W", "tdp: 700"),
        "tdp: 700",
        "tdp: 700 has no unit. Write for example '700 W'",
        id="missing-unit",
    ),
    pytest.param(
        instead("tdp: 700 W", "tdp: 700 watt"),
        "tdp: 700 watt",
        "tdp: unknown unit 'watt'. Write for example '700 W'",
        id="unknown-unit",
    ),
    pytest.param(
        instead("400 Gbit/s", "400 Gb/s"),
        "400 Gb/s",
        "scale_out.bandwidth_out: unknown unit 'Gb'. Write GB for bytes or Gbit for bits",
        id="ambiguous-unit",
    ),
    pytest.param(
        instead("bf16: 989 TFLOP/s", "bf16: 989 TFLOPS"),
        "TFLOPS",
        "peak_dense.bf16: unknown unit 'TFLOPS'. Write TFLOP/s",
        id="unit-of-the-data-sheet",
    ),
    pytest.param(
        instead("bandwidth: 3.35 TB/s", "bandwidth: 3.35 TB"),
        "3.35 TB}",
        "memory.hbm.bandwidth: '3.35 TB' cannot be read in B/s: it is an amount of data, not a "
        "data rate. Write for example '3.35 TB/s'",
        id="wrong-dimension",
    ),
    pytest.param(
        instead("tdp: 700 W", "tdp: 700 W/"),
        "700 W/",
        "tdp: unit 'W/' lacks a symbol beside '*' or '/'. Write for example '700 W'",
        id="half-a-unit",
    ),
    pytest.param(
        instead("price: 38580 USD", "price: -38580 USD"),
        "-38580",
        "price: '-38580 USD' is out of range. Expected a value greater than or equal to 0",
        id="negative",
    ),
    pytest.param(
        instead("price: 38580 USD", "price: 38,580 USD"),
        "38,580",
        "price: '38,580 USD' cannot be read as a number with a unit. Write for example",
        id="thousands-separator",
    ),
    pytest.param(
        instead("capacity: 80 GB", "capacity: 0 GB"),
        "capacity: 0 GB",
        "memory.hbm.capacity: '0 GB' is out of range. Expected a value greater than 0",
        id="zero",
    ),
    pytest.param(
        instead("tdp: 700 W", "tdp: .nan"),
        ".nan",
        "tdp: nan has no unit. Write for example '700 W'",
        id="nan",
    ),
    pytest.param(
        instead("tdp: 700 W", "tdp: inf W"),
        "inf W",
        "tdp: 'inf W' cannot be read as a number with a unit. Write for example '700 W'",
        id="infinite",
    ),
    pytest.param(
        instead("tdp: 700 W", "tdp: yes"),
        "tdp: yes",
        "tdp: true is not a quantity in W. Write for example '700 W'",
        id="boolean",
    ),
    pytest.param(
        instead("tdp: 700 W", "tdp:"),
        "tdp:",
        "tdp: nothing is not a quantity in W. Write for example '700 W'",
        id="no-value",
    ),
    pytest.param(
        instead("domain: 8}", "domain: eight}"),
        "eight",
        "scale_up.domain: 'eight' is not a whole number. Write digits alone, such as 8",
        id="text-for-a-count",
    ),
    pytest.param(
        instead("domain: 8}", "domain: 8.5}"),
        "8.5",
        "scale_up.domain: 8.5 is not a whole number. Write digits alone, such as 8",
        id="half-a-device",
    ),
    pytest.param(
        instead("bf16: 989", "bf61: 989"),
        "bf61",
        "peak_dense.bf61: 'bf61' is not known. Expected 'fp4', 'fp8', 'int8', 'bf16'",
        id="unknown-format",
    ),
    pytest.param(
        instead("idle_power: 70 W", "idle_power: 700 W"),
        "idle_power: 700 W",
        "idle_power: 700.0 W leaves nothing of tdp 700.0 W",
        id="idle-power-of-tdp",
    ),
    pytest.param(
        instead("  tdp: bekman-accelerators\n", ""),
        "tdp: 700 W",
        "tdp: has no source. Name one under 'sources', or write 'assumed: why'",
        id="number-without-source",
    ),
    pytest.param(
        instead(CHIP[CHIP.index("sources:") :], "sources: the data sheet\n"),
        "sources:",
        "sources: 'the data sheet' stands where keys belong. Write keys below it",
        id="text-for-keys",
    ),
    pytest.param(
        instead("hbm: hbm3\n", "hbm: hbm33\n"),
        "hbm33",
        "defaults: there is no memory 'hbm33'. Did you mean 'hbm3'?",
        id="unknown-memory-in-the-defaults-list",
    ),
    pytest.param(
        instead("/memory@", "/memry@"),
        "memry",
        "defaults: there is no group 'memry'. Did you mean 'memory'?",
        id="unknown-group-in-the-defaults-list",
    ),
    pytest.param(
        instead("  - _self_", "  - mine\n  - _self_"),
        "- mine",
        "defaults: includes itself. Name another option",
        id="defaults-list-in-a-circle",
    ),
    pytest.param(
        instead("  - _self_", "  - 7\n  - _self_"),
        "- 7",
        "defaults: 7 is no entry of a list of options. Write '- name' or '- /group@key: name'",
        id="number-in-the-defaults-list",
    ),
    pytest.param(
        instead("tdp: 700 W", "tdp: ${power}"),
        "${power}",
        "tdp: Interpolation key 'power' not found. Write the value itself",
        id="reference-to-nothing",
    ),
    pytest.param(
        instead("tdp: 700 W\n", "tdp: 700: W\n"),
        "700: W",
        "is not YAML: mapping values are not allowed here. Mind the brackets",
        id="broken-yaml",
    ),
    pytest.param(
        instead("tdp: 700 W\n", "tdp: 700 W\ntdp: 800 W\n"),
        "tdp: 800 W",
        "tdp: stands here a second time. Keep one of the two",
        id="key-written-twice",
    ),
    pytest.param(lambda _: "", "", "is empty. Write its keys", id="empty-file"),
    pytest.param(lambda _: "# to do\n", "", "is empty. Write its keys", id="comment-alone"),
    pytest.param(
        lambda _: "- name: mine\n- tdp: 700 W\n",
        "",
        "holds a list, not keys. Write lines of 'key: value'",
        id="list-of-keys",
    ),
    pytest.param(
        lambda text: "# @package _global_\n" + text,
        "",
        "puts nothing under 'hardware'. Remove its '# @package'",
        id="package-elsewhere",
    ),
]

MODELS = [
    pytest.param(
        MODEL,
        instead("mixer: full", "mixer: fulll"),
        "all: {count",
        "layers.all: names 'fulll'. Did you mean 'full'?",
        id="layers-name-a-missing-mixer",
    ),
    pytest.param(
        MODEL,
        instead("ffn: dense}", "ffn: moe}"),
        "all: {count",
        "layers.all: names 'moe'. Known: dense",
        id="layers-name-a-missing-block",
    ),
    pytest.param(
        MODEL,
        instead("n_kv_heads: 8", "n_kv_heads: 7"),
        "full: {kind",
        "mixers.full: 64 query heads do not share 7 KV heads evenly",
        id="heads-that-do-not-divide",
    ),
    pytest.param(
        SPARSE,
        instead("n_active: 2", "n_active: 9"),
        "moe: {kind",
        "ffns.moe: 9 active experts of only 8",
        id="more-active-experts-than-there-are",
    ),
    pytest.param(
        MODEL,
        instead("d_ff: 28672", "d_ff: -28672"),
        "dense: {kind",
        "ffns.dense.d_ff: -28672 is out of range. Expected a value greater than or equal to 1",
        id="negative-width",
    ),
    pytest.param(
        MODEL,
        instead("kind: gqa", "kind: gqaa"),
        "kind: gqaa",
        "mixers.full.kind: 'gqaa' is not a known kind. Known: gqa, mla",
        id="unknown-kind",
    ),
    pytest.param(
        MODEL,
        instead("kind: gqa", "kind: moe"),
        "kind: moe",
        "mixers.full.kind: 'moe' is not a known kind. Known: gqa, mla",
        id="kind-of-another-part",
    ),
    pytest.param(
        MODEL,
        instead("kind: gqa, ", ""),
        "full: {n_q",
        "mixers.full.kind: required key is missing. Add 'kind:'",
        id="no-kind",
    ),
    pytest.param(
        MODEL,
        instead("weights: bf16", "weights: bf61"),
        "bf61",
        "formats.weights: unknown number format 'bf61'. Did you mean 'bf16'?",
        id="unknown-weight-format",
    ),
    pytest.param(
        MODEL,
        instead("compute: bf16", "compute: int4"),
        "int4",
        "formats.compute: no matrix unit computes in 'int4'. Did you mean 'int8'?",
        id="format-without-a-matrix-unit",
    ),
    pytest.param(
        MODEL,
        instead("tied_embeddings: false", "tied_embeddings: 0"),
        "tied_embeddings: 0",
        "tied_embeddings: 0 is not true or false. Write one of the two",
        id="number-for-a-truth-value",
    ),
]

WORKLOADS = [
    pytest.param(
        FIXED,
        instead("1024", "1024 token"),
        "1024 token",
        "prompt_tokens: '1024 token' is not a number. Write a bare number, without unit",
        id="unit-on-a-count",
    ),
    pytest.param(
        FIXED,
        instead("output_tokens: 256", "output_tokens: 1"),
        "output_tokens: 1",
        "output_tokens: 1 is out of range. Expected a value greater than 1",
        id="one-output-token",
    ),
    pytest.param(
        FIXED,
        instead("256", ".nan"),
        ".nan",
        "output_tokens: nan is ",
        id="nan-for-a-count",
    ),
    pytest.param(
        FIXED,
        instead("kind: fixed", "kind: fixd"),
        "kind: fixd",
        "kind: 'fixd' is not a known kind. Known: fixed, trace, snapshot",
        id="unknown-workload-kind",
    ),
    pytest.param(
        TRACE,
        instead("ttft: 2 s", "ttft: 2"),
        "ttft: 2",
        "slo.ttft: 2 has no unit. Write for example",
        id="objective-without-unit",
    ),
    pytest.param(
        TRACE,
        instead("sha256: 2428", "sha256: 24xx"),
        "24xx",
        "sha256: '24xxe7c6a89a670f70a037d61f541252ae4501b8b606c5f9d126b55cc84...",
        id="checksum-that-is-none",
    ),
]


def check_file(folder: Path, group: str, text: str, words: str, said: str) -> None:
    file = own(folder, group, text)
    line = f":{line_with(text, words)}" if words else ""
    message = refused(f"{group}=mine", dirs=(str(folder),))
    assert message.startswith(f"{file}{line}: {said}"), message


@pytest.mark.parametrize(("edit", "words", "said"), HARDWARE)
def test_a_wrong_device_file(tmp_path: Path, edit: Edit, words: str, said: str) -> None:
    check_file(tmp_path, "hardware", edit(CHIP), words, said)


@pytest.mark.parametrize(("text", "edit", "words", "said"), MODELS)
def test_a_wrong_model_file(tmp_path: Path, text: str, edit: Edit, words: str, said: str) -> None:
    check_file(tmp_path, "model", edit(text), words, said)


@pytest.mark.parametrize(("text", "edit", "words", "said"), WORKLOADS)
def test_a_wrong_workload_file(
    tmp_path: Path, text: str, edit: Edit, words: str, said: str
) -> None:
    check_file(tmp_path, "workload", edit(text), words, said)


def test_several_faults_are_told_at_once_one_line_each(tmp_path: Path) -> None:
    text = instead("tdp: 700 W", "tdp: 700")(CHIP)
    text = instead("capacity: 80 GB", "capacity: 80 gb")(text)
    file = own(tmp_path, "hardware", text)
    with pytest.raises(SpecErrors) as caught:
        evaluate(["hardware=mine"], dirs=(str(tmp_path),))
    assert str(caught.value).splitlines() == [
        f"{file}:{line_with(text, '80 gb')}: memory.hbm.capacity: "
        "unknown unit 'gb'. Did you mean 'GB'?",
        f"{file}:{line_with(text, 'tdp: 700')}: tdp: 700 has no unit. Write for example '700 W'",
    ]
    assert [fault.key for fault in caught.value.faults] == ["memory.hbm.capacity", "tdp"]


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    file = own(tmp_path, "hardware", "")
    file.write_bytes("name: caf\xe9\n".encode("latin-1"))
    assert refused("hardware=mine", dirs=(str(tmp_path),)) == (
        f"{file}: is not UTF-8 text. Save it as such"
    )


def test_a_fault_in_a_mounted_file_is_placed_there(tmp_path: Path) -> None:
    """The device is right; the memory technology that it mounts is not."""
    own(tmp_path, "hardware", instead("hbm: hbm3\n", "hbm: mine\n")(CHIP))
    memory = instead("access_energy: 3.9 pJ/bit", "access_energy: 3.9 pJ")(option("memory", "hbm3"))
    file = own(tmp_path, "memory", memory)
    line = line_with(memory, "access_energy")
    assert refused("hardware=mine", dirs=(str(tmp_path),)).startswith(
        f"{file}:{line}: access_energy: '3.9 pJ' cannot be read in J/B: it is an energy, not"
    )


def test_a_fault_behind_two_defaults_lists_is_placed_there(tmp_path: Path) -> None:
    """A device that builds on another, which mounts the memory."""
    own(tmp_path, "hardware", instead("hbm: hbm3\n", "hbm: mine\n")(CHIP), "base")
    own(tmp_path, "hardware", "defaults: [base, _self_]\nname: Mine\n")
    memory = instead("3.4 kgCO2e/GB", "3.4 kg/GB")(option("memory", "hbm3"))
    file = own(tmp_path, "memory", memory)
    line = line_with(memory, "3.4 kg/GB")
    assert refused("hardware=mine", dirs=(str(tmp_path),)).startswith(
        f"{file}:{line}: embodied_carbon: unknown unit 'kg'"
    )


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("- text:", "- txt:", "answers.0.txt: unknown key. Did you mean 'text'?"),
        (
            "- {name: stress-map}",
            "- {name: stress-map, x: batch}",
            "figures.0.x: unknown key. Known: name, options",
        ),
        (
            "by_accelerator: >-",
            "operators: >-",
            "aggregates.operators: is a table of every study. Choose another name",
        ),
    ],
    ids=["misspelt", "in-the-wrong-place", "a-table-of-ours"],
)
def test_a_wrong_name_in_a_study(tmp_path: Path, old: str, new: str, said: str) -> None:
    text = instead(old, new)(SMOKE)
    file = own(tmp_path, "study", text)
    with pytest.raises(SpecError) as caught:
        load_study("mine", (str(tmp_path),))
    assert str(caught.value) == f"{file}:{line_with(text, new)}: {said}"


def test_a_wrong_file_that_nobody_chose_does_not_matter(tmp_path: Path) -> None:
    own(tmp_path, "hardware", "tdp: [", "broken")
    own(tmp_path, "hardware", CHIP)
    assert len(evaluate(["hardware=mine"], dirs=(str(tmp_path),))) == 1


# --- traces


def own_trace(folder: Path, prompts: list[int], outputs: list[int], sha256: str = "") -> Path:
    file = folder / "lengths.parquet"
    pq.write_table(pa.table({"input_tokens": prompts, "output_tokens": outputs}), file)
    sha256 = sha256 or hashlib.sha256(file.read_bytes()).hexdigest()
    own(
        folder,
        "workload",
        f"name: Mine\nkind: trace\nfile: {file}\nsha256: {sha256}\n"
        "slo: {ttft: 2 s, tpot: 100 ms}\nsources: {default: 'assumed: a test'}\n",
    )
    return file


def test_a_trace_with_another_checksum_is_not_read(tmp_path: Path) -> None:
    file = own_trace(tmp_path, [100, 200], [10, 20], sha256="f" * 64)
    message = refused("workload=mine", dirs=(str(tmp_path),))
    assert f"{file}: sha256: is {hashlib.sha256(file.read_bytes()).hexdigest()}" in message
    assert "f" * 64 in message


def test_a_trace_that_is_not_there(tmp_path: Path) -> None:
    file = own_trace(tmp_path, [100], [10])
    file.unlink()
    message = refused("workload=mine", dirs=(str(tmp_path),))
    assert f"{file}: cannot be read: No such file or directory" in message


@pytest.mark.parametrize(
    ("prompts", "outputs", "fault"),
    [
        ([100, -5], [10, 20], "1 of 2 rows are not positive counts"),
        ([100, 200], [0, 20], "1 of 2 rows are not positive counts"),
        ([100, 200], [1, 1], "holds no request with two output tokens"),
        ([], [], "holds no request"),
    ],
    ids=["negative-prompt", "no-output", "one-output-token-each", "no-rows"],
)
def test_a_trace_with_impossible_lengths(
    tmp_path: Path, prompts: list[int], outputs: list[int], fault: str
) -> None:
    file = own_trace(tmp_path, prompts, outputs)
    message = refused("workload=mine", dirs=(str(tmp_path),))
    assert f"{file}: input_tokens, output_tokens: {fault}" in message


# --- overrides

OVERRIDES = [
    ("hardwar=h100-sxm", "hardwar: unknown key 'hardwar'. Did you mean 'hardware'?"),
    ("chip=a,b", "chip: unknown key 'chip'. Known: batch, calibration, direction, economics,"),
    ("hardwar.tdp=1 W,2 W", "hardwar.tdp: unknown key 'hardwar'. Did you mean 'hardware'?"),
    ("hydra.verbose=true", "hydra.verbose: unknown key 'hydra'. Known: batch,"),
    ("hardware=h100", "hardware: there is no hardware 'h100'. Did you mean 'h100-"),
    ("hardware=H100-SXM", "hardware: there is no hardware 'H100-SXM'. Did you mean 'h100-sxm'?"),
    ("model=gpt-5,dbrx", "model: there is no model 'gpt-5'. Did you mean 'gpt-"),
    ("hardware=glob(zx*)", "matches no option. Known: a100-pcie-80gb,"),
    ("hardware=../hardware/h100-sxm", "there is no hardware '../hardware/h100-sxm'"),
    ("hardware=null", "hardware: there is no hardware 'null'. Known: a100-pcie-80gb,"),
    ("hardware=dbrx", "hardware: there is no hardware 'dbrx'. Known: a100-pcie-80gb,"),
    ("hardware=h100-sxm,h100-sxm", "names h100-sxm twice. Name each value once"),
    ("hardware.tpd=700 W", "hardware.tpd: unknown key 'tpd'. Did you mean 'tdp'?"),
    ("hardware.memory.ddr.capacity=1 GB", "unknown key 'ddr'. Known: hbm"),
    ("model.tdp=700 W", "model.tdp: unknown key 'tdp'. Known: d_model,"),
    (
        "workload.prompt_tokens=5",
        "unknown key 'prompt_tokens'. Only kind 'fixed' has it, as workload=fixed-lengths",
    ),
    (
        "workload.qqq=5",
        "unknown key 'qqq'. Known: answers_alone, empty_prompts, file, kind, name,",
    ),
    ("+hardware.tdp=700 W", "hardware.tdp: is set already. Leave out the '+'"),
    (
        "model.mixers.full.window=1024",
        "model.mixers.full.window: is not set in 'llama-3.1-70b'. "
        "Write '+model.mixers.full.window=1024' to add it",
    ),
    ("hardware.tdp=700", "hardware.tdp: 700 has no unit. Write for example '700 W'"),
    ("hardware.tdp=700 GB", "hardware.tdp: '700 GB' cannot be read in W: it is an amount of data"),
    ("hardware.tdp=true", "hardware.tdp: true is not a quantity in W. Write for example"),
    ("hardware.tdp=${power}", "Interpolation key 'power' not found. Write the value itself"),
    ("hardware.idle_power=700 W", "hardware.idle_power: 700.0 W leaves nothing of tdp 700.0 W"),
    ("hardware.scale_up=nvlink-5", "'nvlink-5' stands where keys belong. Write below it: alpha,"),
    ("hardware.scale_up.collectives=[]", "holds 0 entries. Expected at least 1"),
    ("hardware.scale_up.collectives=ring", "'ring' is not a list. Write it in brackets"),
    ("model.mixers.full.n_kv_heads=7", "model.mixers.full: 64 query heads do not share 7 KV heads"),
    ("model.layers.all.mixer=fulll", "model.layers.all: names 'fulll'. Did you mean 'full'?"),
    ("plan.formats.weights=fp9", "unknown number format 'fp9'. Did you mean 'fp8'?"),
    ("plan.phases=split", "'split' is not known. Expected 'colocated' or 'disaggregated'"),
    ("calibration.memory_efficiency=80 %", "'80 %' is not a number. Write a bare number, without"),
    ("calibration.memory_efficiency=80", "Expected a value less than or equal to 1"),
    ("plan.tp=2.0", "plan.tp: 2.0 is not a whole number. Write digits alone, such as 8"),
    ("batch=-1", "batch: -1 is not a whole number above 0. Write a count such as 8"),
    ("batch=0", "batch: 0 is not a whole number above 0. Write a count such as 8"),
    ("batch=1.5", "batch: 1.5 is not a whole number above 0. Write a count such as 8"),
    ("batch=many", "batch: 'many' is not a whole number above 0. Write a count such as 8"),
    ("batch=interval(1,8)", "an interval has no values. Write a list or range(a, b, step)"),
    ("batch=glob(*)", "glob(...) chooses options, not values. Write a list"),
    ("batch=range(8,1)", "has no values. Write at least one"),
    ("batch=range(1,8,0)", "range() arg 3 must not be zero. Write a list or range(a, b, step)"),
    ("batch=range(1,100000000)", "has 1e+08 values, more than 1,000,000. Write a wider step"),
    ("batch=range(1,inf)", "has inf values, more than 1,000,000. Write a wider step"),
    ("batch.x=8", "batch.x: is one value, without keys. Set batch itself"),
    ("+memory@hardware.memory.hbm=hbm4", "hbm: is set already. Leave out the '+'"),
    ("batch=1,8,1", "names 1 twice. Name each value once"),
    ("~hardware", "deletes a key that every case needs. Set it instead"),
    ("~hardware.tdp", "deletes a key that every case needs. Set it instead"),
    ("batch", "missing EQUAL at '<EOF>'. Write key=value, for example batch=1,8,64"),
    ("batch=1,", "mismatched input '<EOF>'. Write key=value, for example batch=1,8,64"),
    ("=8", "names no key. Write key=value, for example batch=1,8,64"),
    ("", "mismatched input '<EOF>'. Write key=value, for example batch=1,8,64"),
    ("memory=hbm3e", "unknown key 'memory'. Say where to mount it: memory@path=hbm3e"),
    ("memory@hardware.memory.hbm=hbm5", "memory: there is no memory 'hbm5'. Did you mean 'hbm"),
    ("memory@hardware.memory.hbm=hbm3,hbm4", "mounts one option at a time. Lists are for options"),
    ("link@hardware.scale_upp=nvlink-5", "Did you mean to override one of link@hardware.scale_"),
]


@pytest.mark.parametrize(
    ("text", "said"), OVERRIDES, ids=[text or "empty" for text, _ in OVERRIDES]
)
def test_a_wrong_override(text: str, said: str) -> None:
    message = refused(text)
    assert message.startswith(f"override '{text}': "), message
    assert said in message, message


@pytest.mark.parametrize(
    ("text", "said"), OVERRIDES, ids=[text or "empty" for text, _ in OVERRIDES]
)
def test_a_wrong_override_ends_a_command_with_one_line_and_exit_code_2(
    capsys: pytest.CaptureFixture[str], text: str, said: str
) -> None:
    assert main(["evaluate", "--", text]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert len(told.err.splitlines()) == 1
    assert said in told.err


SWEEPS = [
    ("hardware.tpd=1 W,2 W", "hardware.tpd=1 W", "unknown key 'tpd'. Did you mean 'tdp'?"),
    ("hardware.tdp=700 W,800", "hardware.tdp=800", "800 has no unit. Write for example '700 W'"),
    ("hardware.tdp=700 W,800 J", "hardware.tdp=800 J", "it is an energy, not a power"),
    ("hardware.tdp=700 W,0.7 kW", "hardware.tdp=0.7 kW", "is 700 W again. Name it once"),
    ("hardware.price=[1],[2]", "hardware.price=[1]", "[1] is not a quantity in USD. Write for"),
    ("hardware.tdp='700 GB','1 W'", "hardware.tdp=700 GB", "it is an amount of data"),
    (
        "hardware.price=choice({uniform:[1,2]},3)",
        "hardware.price={'uniform': [1, 2]}",
        "{'uniform': [1, 2]} is not a quantity in USD. Write for example",
    ),
    ("hardware.tdp=range(1,4)", "hardware.tdp=1", "1 has no unit. Write for example '700 W'"),
    ("hardware.tdp=1,000 W", "hardware.tdp=1", "1 has no unit. Write for example '700 W'"),
    ("hardware.idle_power=1 W,1 kW", "hardware.idle_power=1 kW", "leaves nothing of tdp 700.0 W"),
    ("hardware.name=1,2", "hardware.name=1", "hardware.name: 1 is not text"),
    ("plan.phases=1,2", "plan.phases=1", "Expected 'colocated' or 'disaggregated'"),
    ("plan.phases=colocated,split", "plan.phases=split", "'split' is not known. Expected"),
    ("plan.formats.kv=fp8,fp9", "plan.formats.kv=fp9", "Did you mean 'fp8'?"),
    ("plan.formats.kv=fp8,4", "plan.formats.kv=4", "plan.formats.kv: 4 is not text"),
    ("plan.formats.weigths=fp8,fp4", "plan.formats.weigths=fp8", "Did you mean 'weights'?"),
    ("plan.formats=fp8,fp4", "plan.formats=fp8", "stands where keys belong. Write below it: act"),
    ("model.tied_embeddings=0,1", "model.tied_embeddings=0", "0 is not true or false"),
    (
        "model.layers.all.mixer=full,half",
        "model.layers.all.mixer=half",
        "names 'half'. Known: full",
    ),
    ("batch=1,0", "batch=0", "0 is not a whole number above 0"),
    ("batch=1,1.5", "batch=1.5", "1.5 is not a whole number above 0"),
    ("batch=1,many", "batch=many", "'many' is not a whole number above 0"),
    ("workload.prompt_tokens=5,6", "workload.prompt_tokens=5", "unknown key 'prompt_tokens'"),
]


@pytest.mark.parametrize(("text", "blamed", "said"), SWEEPS, ids=[text for text, *_ in SWEEPS])
def test_a_wrong_value_of_a_sweep_is_named_alone(text: str, blamed: str, said: str) -> None:
    message = refused(text)
    assert message.startswith(f"override '{blamed}': "), message
    assert said in message, message


def test_the_override_that_causes_a_fault_is_blamed_not_its_neighbour() -> None:
    message = refused("hardware.price=3 USD", "hardware.idle_power=1 kW", "hardware.host_power=5 W")
    assert message.startswith("override 'hardware.idle_power=1 kW': hardware.idle_power: 1000.0 W")


def test_a_fault_of_the_file_is_not_blamed_on_an_override(tmp_path: Path) -> None:
    file = own(tmp_path, "hardware", instead("idle_power: 70 W", "idle_power: 1 kW")(CHIP))
    message = refused("hardware=mine", "hardware.price=3 USD", dirs=(str(tmp_path),))
    assert message.startswith(f"{file}:{line_with(CHIP, 'idle_power:')}: idle_power: 1000.0 W")


def test_an_option_without_the_key_of_an_override_is_found_among_several() -> None:
    """The first option has the key, the second has not."""
    message = refused("workload=fixed-lengths,azure-2023-code", "workload.prompt_tokens=5")
    assert "unknown key 'prompt_tokens'. Only kind 'fixed' has it" in message


def test_a_trend_that_a_workload_cannot_bear() -> None:
    assert refused("workload=snapshot", "trend=reasoning") == (
        "trend 'Reasoning': output_tokens: a snapshot decodes at one context and has no outputs to "
        "lengthen. Take a workload of kind 'fixed' or 'trace'"
    )


# --- folders


@pytest.mark.parametrize(
    "text", ["hydra.searchpath=[/no/such/folder]", "hydra.searchpath=[file:///no/such/folder]"]
)
def test_an_unknown_folder_in_the_search_path(text: str) -> None:
    assert refused(text) == "/no/such/folder: is not a folder of options. Name one that exists"


def test_an_unknown_folder_of_options() -> None:
    assert refused(dirs=("/no/such/folder",)).startswith("/no/such/folder: is not a folder")


def test_an_unknown_folder_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFERCOST_CONFIG_PATH", "/no/such/folder")
    assert refused().startswith("/no/such/folder: is not a folder")


def test_a_swept_search_path() -> None:
    assert refused("hydra.searchpath=/one,/two") == (
        "override 'hydra.searchpath=/one,/two': takes one list. Write hydra.searchpath=[one,other]"
    )


def test_an_option_of_the_project_is_not_shadowed_in_silence(tmp_path: Path) -> None:
    """Hydra would take the project's file and never look at the user's."""
    file = own(tmp_path, "hardware", CHIP, "h100-sxm")
    message = refused("hardware=h100-sxm", dirs=(str(tmp_path),))
    assert f"h100-sxm.yaml and {file} bear one name. Rename your own" in message


def test_a_misspelt_option_of_the_users_own_is_found_too(tmp_path: Path) -> None:
    own(tmp_path, "hardware", CHIP, "warp-drive")
    message = refused("hardware=warp-drvie", dirs=(str(tmp_path),))
    assert message.endswith("Did you mean 'warp-drive'?")


def test_a_folder_or_a_dangling_link_is_no_option(tmp_path: Path) -> None:
    """Such a name would be offered as what was meant."""
    own(tmp_path, "hardware", CHIP, "warp")
    (tmp_path / "hardware" / "drive.yaml").mkdir()
    (tmp_path / "hardware" / "drift.yaml").symlink_to("nowhere.yaml")
    for name in ("drive", "drift"):
        message = refused(f"hardware={name}", dirs=(str(tmp_path),))
        assert f"there is no hardware '{name}'" in message
        assert f"mean '{name}'" not in message


# --- and what is right works


@pytest.fixture
def own_chip(tmp_path: Path) -> Path:
    """A folder with a device of 1 TB that mounts the project's memory technology."""
    own(tmp_path, "hardware", instead("capacity: 80 GB", "capacity: 1 TB")(CHIP))
    return tmp_path


def room(*overrides: str, dirs: tuple[str, ...] = ()) -> float:
    frame = evaluate(["hardware=mine", "calibration=ideal", *overrides], dirs=dirs)
    return float(frame["memory_room_b"].item())


def test_an_option_of_the_users_own_is_found_by_dirs(own_chip: Path) -> None:
    assert room(dirs=(str(own_chip),)) == 1e12


def test_an_option_of_the_users_own_is_found_by_the_environment(
    own_chip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INFERCOST_CONFIG_PATH", os.pathsep.join([str(own_chip), ""]))
    assert room() == 1e12


@pytest.mark.parametrize("form", ["[{}]", "[file://{}]", "{}"])
def test_an_option_of_the_users_own_is_found_by_hydras_search_path(
    own_chip: Path, form: str
) -> None:
    assert room(f"hydra.searchpath={form.format(own_chip)}") == 1e12


def test_a_folder_named_twice_is_one_folder(
    own_chip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INFERCOST_CONFIG_PATH", str(own_chip))
    assert room(dirs=(str(own_chip),)) == 1e12


def test_a_relative_folder_starts_from_here(
    own_chip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(own_chip.parent)
    assert room(dirs=(own_chip.name,)) == 1e12


@pytest.mark.parametrize("name", ["with space", "with,comma", "it's", "a=b", "[x]", "{y}", "ü"])
def test_a_folder_may_have_any_name(tmp_path: Path, name: str) -> None:
    own(tmp_path / name, "hardware", instead("capacity: 80 GB", "capacity: 1 TB")(CHIP))
    assert room(dirs=(str(tmp_path / name),)) == 1e12


def test_own_and_project_options_stand_side_by_side(own_chip: Path) -> None:
    frame = evaluate(["hardware=h100-sxm,mine"], dirs=(str(own_chip),))
    assert frame["hardware"].tolist() == ["h100-sxm", "mine"]


def test_a_glob_finds_own_options_too(own_chip: Path) -> None:
    frame = evaluate(["hardware=glob(m*)"], dirs=(str(own_chip),))
    assert "mine" in set(frame["hardware"])


def test_an_own_chip_inherits_a_memory_of_the_project(own_chip: Path) -> None:
    """3.4 kgCO2e/GB of HBM3 x 1000 GB: stated in conf/memory alone."""
    from infercost.compose import Options
    from infercost.options.question import ask

    (case,) = Options(ask(["hardware=mine"], (str(own_chip),))).cases()
    tier = case.case.hardware.tier
    assert tier.technology == "HBM3"
    assert tier.embodied_carbon * tier.capacity == pytest.approx(3400)


def test_an_own_chip_inherits_a_chip_of_the_project(tmp_path: Path) -> None:
    own(
        tmp_path,
        "hardware",
        "defaults:\n  - h100-sxm\n  - override /memory@memory.hbm: hbm3e\n  - _self_\n"
        "name: Mine\nmemory:\n  hbm: {capacity: 1 TB}\n",
    )
    assert room(dirs=(str(tmp_path),)) == 1e12


def test_an_own_model_and_an_own_memory_are_treated_alike(tmp_path: Path) -> None:
    own(tmp_path, "model", instead("count: 80", "count: 40")(MODEL))
    own(tmp_path, "memory", option("memory", "hbm4"), "hbm9")
    overrides = ["model=mine", "memory@hardware.memory.hbm=hbm9"]
    assert evaluate(overrides, dirs=(str(tmp_path),))["parameter_count"].item() < 40e9


def test_an_override_needs_no_source(tmp_path: Path) -> None:
    """Only what a file states has to name where it comes from."""
    own(tmp_path, "hardware", instead("  tdp: bekman-accelerators\n", "")(CHIP))
    frame = evaluate(["hardware=mine", "hardware.tdp=600 W"], dirs=(str(tmp_path),))
    assert len(frame) == 1


# --- the errors themselves


def test_an_error_is_one_line_whatever_its_parts_hold() -> None:
    assert str(SpecError("a.yaml", "b", "c\n  d", "e\nf")) == "a.yaml: b: c d. e f"


def test_an_error_keeps_its_parts() -> None:
    error = SpecError("a.yaml:3", "tdp", "is wrong", "Mend it")
    assert (error.place, error.key, error.fault, error.remedy) == (
        "a.yaml:3",
        "tdp",
        "is wrong",
        "Mend it",
    )


def test_an_error_is_a_value_error() -> None:
    assert issubclass(SpecErrors, SpecError)
    assert issubclass(SpecError, ValueError)


@pytest.mark.parametrize(
    ("word", "remedy"),
    [
        ("bandwith", "Did you mean 'bandwidth'?"),
        ("BANDWIDTH", "Did you mean 'bandwidth'?"),
        ("zzz", "Known: alpha, bandwidth"),
    ],
)
def test_the_nearest_word_is_named_or_else_all(word: str, remedy: str) -> None:
    assert nearest(word, ["bandwidth", "alpha"]) == remedy
