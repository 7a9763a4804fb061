"""Every kind of mixer, encoder and way of generation against arithmetic by hand.

All at the physical floor, on one device unless said. Amounts are per device and pass.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

import infercost
from infercost.compose import Options
from infercost.cost import Evaluation
from infercost.operators.base import Operator
from infercost.operators.stack import blocks, state_bytes_per_sequence
from infercost.options.question import ask
from infercost.placement import kv_bytes_per_sequence
from probes import number

FLOOR = ("calibration=ideal", "plan=single-device")


@cache
def point(*overrides: str) -> Evaluation:
    return Evaluation(next(iter(Options(ask([*FLOOR, *overrides])).cases())).case)


def operator(at: Evaluation, block: str, name: str, *, prefill: bool = False) -> Operator:
    """One operator of the decode pass, or of the prefill pass."""
    step = at.prefill_pass if prefill else at.decode_pass
    (found,) = (
        op for b in blocks(at.layout, step) if b.name == block for op in b.operators
        if op.name == name
    )  # fmt: skip
    return found


# --- recurrent states


STATES = {
    # (elements of the state, of the past) of one layer; the sum is that of the models catalogue.
    "mamba-2-2.7b": ("all", 80 * 64 * 128, 3 * (5120 + 2 * 128), 671_488),
    "nemotron-h-56b": ("mamba", 256 * 64 * 256, 3 * (16384 + 2 * 8 * 256), 4_255_744),
    "nemotron-3-nano-30b-a3b": ("mamba", 64 * 64 * 128, 3 * (4096 + 2 * 8 * 128), 542_720),
    "nemotron-3-super-120b-a12b": ("mamba", 128 * 64 * 128, 3 * (8192 + 2048), 1_079_296),
    "nemotron-3-ultra-550b-a55b": ("mamba", 256 * 64 * 128, 3 * (16384 + 2048), 2_152_448),
    "zamba2-2.7b": ("mamba", 80 * 64 * 64, 3 * (5120 + 2 * 64), 343_424),
    "falcon-mamba-7b": ("all", 8192 * 16, 3 * 8192, 155_648),
    "jamba-1.5-large": ("dense", 16384 * 16, 3 * 16384, 311_296),
    "qwen3-next-80b-a3b": ("linear", 32 * 128 * 128, 3 * (2 * 2048 + 4096), 548_864),
    "qwen3.5-397b-a17b": ("linear", 64 * 128 * 128, 3 * (2 * 2048 + 8192), 1_085_440),
    "kimi-linear-48b-a3b": ("kda", 32 * 128 * 128, 3 * 3 * 4096, 561_152),
    "kimi-k3": ("kda", 96 * 128 * 128, 3 * 3 * 12288, 1_683_456),
    "minimax-text-01": ("linear", 64 * 128 * 128, 0, 1_048_576),
    "minimax-m1": ("linear", 64 * 128 * 128, 0, 1_048_576),
    "rwkv-7-2.9b": ("all", 40 * 64 * 64, 2 * 2560, 168_960),
    "rwkv-7-7.2b": ("all", 64 * 64 * 64, 2 * 4096, 270_336),
}


@pytest.mark.parametrize("model", STATES)
def test_the_state_of_a_layer_is_the_published_one(model: str) -> None:
    """fp32 for the state, 16 bit for what a convolution keeps; decode reads and writes both."""
    block, state, past, published = STATES[model]
    assert state + past == published
    at = point(f"model={model}", "workload=snapshot", "batch=3")
    update = operator(at, block, "state update")
    assert number(update.traffic["kv"]) == 2 * 3 * (4 * state + 2 * past)


def test_a_state_does_not_grow_with_context() -> None:
    """Mamba-2: 64 layers of 655,360 x 4 B + 16,128 x 2 B for each of 8 sequences, at any context.

    A transformer's cache of 32 times the context takes 32 times the memory.
    """
    sizes = {}
    for model in ("mamba-2-2.7b", "llama-3.1-8b"):
        for context in (1000, 32000):
            at = point(
                f"model={model}", "workload=snapshot", f"workload.context={context}", "batch=8"
            )
            sizes[model, context] = number(at.memory.kv)
    assert sizes["mamba-2-2.7b", 1000] == 8 * 64 * (655_360 * 4 + 16_128 * 2)
    assert sizes["mamba-2-2.7b", 32000] == sizes["mamba-2-2.7b", 1000]
    assert sizes["llama-3.1-8b", 32000] == 32 * sizes["llama-3.1-8b", 1000]


def test_a_prefix_of_any_length_is_one_state() -> None:
    """What must be kept to go on from a prefix: a state whole, and tokens of attention layers.

    Jamba at 100 tokens: 63 states, and 9 layers x 100 tokens x 2 x 8 x 128 x 2 B.
    """
    at = point("model=jamba-1.5-large", "workload=snapshot", "workload.context=100")
    states = 63 * (16384 * 16 * 4 + 3 * 16384 * 2)
    assert number(state_bytes_per_sequence(at.layout)) == states
    kept = number(kv_bytes_per_sequence(at.layout, at.lengths))
    assert kept == states + 9 * 100 * 2 * 8 * 128 * 2


def test_a_state_is_split_by_heads() -> None:
    """tp = 8: 16 of Nemotron-3-Super's 128 heads, one of its 8 groups, on each device."""
    at = point("model=nemotron-3-super-120b-a12b", "workload=snapshot", "plan.tp=8", "batch=1")
    update = operator(at, "mamba", "state update")
    assert number(update.traffic["kv"]) == 2 * (16 * 64 * 128 * 4 + 3 * (1024 + 2 * 128) * 2)


SCANS = {
    # FLOPs per token and layer: of one step of decode, of the chunked scan of a prefill.
    "mamba-2-2.7b": (
        "all",
        5 * 80 * 64 * 128,
        2 * 256 * (128 + 80 * 64) + 4 * 80 * 64 * 128,
    ),
    "falcon-mamba-7b": ("all", 7 * 8192 * 16, 7 * 8192 * 16),
    "qwen3-next-80b-a3b": (
        "linear",
        7 * 32 * 128 * 128,
        32 * (2 * 64 * 5 * 128 + 6 * 128 * 128 + 2 * 64 * 64 / 3),
    ),
    "kimi-linear-48b-a3b": (
        "kda",
        7 * 32 * 128 * 128,
        32 * (2 * 64 * 5 * 128 + 6 * 128 * 128 + 2 * 64 * 64 / 3),
    ),
    "minimax-text-01": (
        "linear",
        5 * 64 * 128 * 128,
        64 * (2 * 256 * 2 * 128 + 4 * 128 * 128),
    ),
    "rwkv-7-2.9b": (
        "all",
        9 * 40 * 64 * 64,
        40 * (2 * 16 * 8 * 64 + 8 * 64 * 64 + 2 * 16 * 16 / 3),
    ),
}


@pytest.mark.parametrize("model", SCANS)
def test_flops_of_a_scan(model: str) -> None:
    block, step, scan = SCANS[model]
    fixed = ("workload=fixed-lengths", "workload.prompt_tokens=512", "batch=4")
    at = point(f"model={model}", *fixed)
    assert number(operator(at, block, "state update").flops) == 4 * step
    prefill = operator(at, block, "chunked scan", prefill=True)
    assert number(prefill.flops) == pytest.approx(512 * scan, rel=1e-12)


def test_a_scan_is_linear_in_the_prompt() -> None:
    """Twice the prompt, twice the FLOPs of the scan; of attention's core four times."""
    scans, cores = [], []
    for prompt in (1000, 2000):
        at = point(
            "model=jamba-1.5-large", "workload=fixed-lengths", f"workload.prompt_tokens={prompt}"
        )
        scans.append(number(operator(at, "dense", "chunked scan", prefill=True).flops))
        cores.append(number(operator(at, "full", "attention core", prefill=True).flops))
    assert scans[1] == 2 * scans[0]
    assert cores[1] == pytest.approx(4 * cores[0], rel=1e-3)


def test_layers_that_are_one_block_reduce_once() -> None:
    """Nemotron-H: 54 + 10 + 54 blocks, one all-reduce each."""
    at = point("model=nemotron-h-56b", "workload=snapshot", "plan.tp=8")
    reductions = [
        m.count for b in blocks(at.layout, at.decode_pass) for m in b.messages if "reduce" in m.name
    ]
    assert sum(map(number, reductions)) == 118


def test_shared_layers_are_kept_once_and_read_at_each_use() -> None:
    """Zamba2: two blocks of 3 x 5120^2 + 5120 x 2560 and of 3 x 2560 x 10240, used 9 times."""
    at = point("model=zamba2-2.7b", "workload=snapshot")
    qkv = operator(at, "shared", "qkv projection")
    assert number(qkv.count) * number(qkv.traffic["weights"]) == 9 * 3 * 5120**2 * 2
    block = 3 * 5120**2 + 5120 * 2560 + 3 * 2560 * 10240
    own = 9 * (2560**2 + 128 * (2560 + 2 * 10240))
    mamba = 2560 * (2 * 5120 + 2 * 64 + 80) + 4 * (5120 + 128) + 5120 * 2560
    kept = 32000 * 2560 + 54 * mamba + 2 * block + own
    assert number(at.memory.weights) == pytest.approx(2 * kept, rel=1e-12)


# --- caches


def held(model: str, context: int) -> float:
    at = point(f"model={model}", "workload=snapshot", f"workload.context={context}")
    return number(kv_bytes_per_sequence(at.layout, at.lengths))


def test_windows_stop_growing() -> None:
    """gpt-oss-20b: 12 layers of all tokens, 12 of the last 128; 2 x 8 x 64 x 2 B a token."""
    assert held("gpt-oss-20b", 4096) == (12 * 4096 + 12 * 128) * 2 * 8 * 64 * 2


def test_compressed_attention_grows_by_groups() -> None:
    """DeepSeek-V4-Pro at 128,000 tokens: 30 layers with an entry of 1024 B and a key of 132 B for

    4 tokens, 31 with an entry for 128, and the last 128 tokens in each of the 61.
    """
    groups = 30 * 32_000 * (1024 + 132) + 31 * 1000 * 1024
    assert held("deepseek-v4-pro", 128_000) == groups + 61 * 128 * 1024


def test_compressed_attention_reads_what_its_indexer_chooses() -> None:
    """Per layer and sequence at 128,000 tokens: the window's 128 and 1024 entries, or 1000 of all.

    The token itself is written. Scores read all 32,000 keys.
    """
    at = point("model=deepseek-v4-pro", "workload=snapshot", "workload.context=128000", "batch=1")
    fine, coarse = (operator(at, block, "attention core") for block in ("fine", "coarse"))
    assert number(fine.traffic["kv"]) == (128 + 1 + 1024) * 1024
    assert number(coarse.traffic["kv"]) == (128 + 1 + 1000) * 1024
    assert number(fine.flops) == 2 * 128 * (512 + 512) * (128 + 1024)
    assert number(coarse.flops) == 2 * 128 * (512 + 512) * (128 + 1000)
    scores = operator(at, "fine", "index scores")
    assert number(scores.traffic["kv"]) == (128_000 + 1) / 4 * 132
    assert number(scores.flops) == 2 * 64 * 129 * 32_000


@pytest.mark.parametrize(("context", "seen"), [(1000, 1000), (100_000, 2048)])
def test_sparse_attention_sees_2048_tokens_at_most(context: int, seen: int) -> None:
    """DeepSeek-V3.2, one sequence: 2 x 128 x (576 + 512) FLOPs a token seen, 576 x 2 B read of it.

    The indexer scores every key: 2 x 64 x (128 + 1) FLOPs and 132 B each.
    """
    at = point("model=deepseek-v3.2", "workload=snapshot", f"workload.context={context}", "batch=1")
    core, scores = (operator(at, "moe", name) for name in ("attention core", "index scores"))
    assert number(core.flops) == 2 * 128 * (576 + 512) * seen
    assert number(core.traffic["kv"]) == (seen + 1) * 576 * 2
    assert number(scores.flops) == 2 * 64 * 129 * context
    assert number(scores.traffic["kv"]) == (context + 1) * 132


def test_sparse_attention_is_linear_in_a_long_prompt() -> None:
    """Queries beyond the 2048th see 2048: 2048 x 2049 / 2 + 2048 x (8000 - 2048) pairs of 8000."""
    at = point("model=glm-5", "workload=fixed-lengths", "workload.prompt_tokens=8000")
    core = operator(at, "moe", "attention core", prefill=True)
    pairs = 2048 * 2049 / 2 + 2048 * (8000 - 2048)
    whole = number(core.flops) * number(at.prompt_passes)
    assert whole == pytest.approx(2 * 64 * (576 + 512) * pairs, rel=1e-12)


def test_experts_of_a_latent_width() -> None:
    """Nemotron-3-Super: an expert is 2 x 1024 x 2688, and 4096 x 1024 leads down and back up."""
    at = point("model=nemotron-3-super-120b-a12b", "workload=snapshot", "batch=1")
    up, down = (operator(at, "moe", f"routed experts {name}") for name in ("up", "down"))
    assert number(up.flops) == number(down.flops) == 2 * 22 * 1024 * 2688
    assert number(operator(at, "moe", "latent down").flops) == 2 * 4096 * 1024


def test_expected_experts_agree_with_a_simulation() -> None:
    """Uniform routing of 64 tokens to 10 of 512 experts, 400 times: within 1 %."""
    rng = np.random.default_rng(0)
    touched = [
        np.unique(rng.random((64, 512)).argpartition(10, axis=1)[:, :10]).size for _ in range(400)
    ]
    from infercost.equations.moe import expected_distinct_experts

    assert expected_distinct_experts(64, 512, 10) == pytest.approx(np.mean(touched), rel=0.01)


def test_a_draft_module_of_deepseek_v3() -> None:
    """11.5 B parameters without the embedding and head it shares (README_WEIGHTS.md), within 1.5 %.

    It joins two vectors of 7168 into one (2 x 7168^2) and runs one layer with experts.
    """
    at = point("model=deepseek-v3")
    layer = 256 * 3 * 7168 * 2048 + 7168 * 256 + 3 * 7168 * 2048
    mla = 7168 * (1536 + 576) + 1536 * 128 * 192 + 512 * 128 * 256 + 128 * 128 * 7168
    drafts = infercost.evaluate(["model=deepseek-v3"]).draft_parameter_count[0]
    assert drafts == layer + mla + 2 * 7168**2
    assert drafts == pytest.approx(at.case.model.published.mtp_params, rel=0.015)


# --- encoders


def first(*overrides: str) -> Any:
    return infercost.evaluate([*FLOOR, *overrides]).iloc[0]


def added_tokens(model: str, *dose: str) -> float:
    """Tokens that a request's media add to its context in a snapshot."""
    with_media = first(f"model={model}", "workload=snapshot", *dose)
    return float(with_media.context - first(f"model={model}", "workload=snapshot").context)


@pytest.mark.parametrize(
    ("model", "side", "tokens"),
    [
        ("qwen2-vl-72b", 1024, 1369),  # 37 x 37 tokens of 28 pixels: the repository's figure
        ("qwen3-vl-235b-a22b", 1024, 1024),  # 32 x 32 tokens of 32 pixels
        ("internvl2.5-78b", 448, 256),  # one tile
        ("internvl2.5-78b", 1024, 10 * 256),  # 3 x 3 tiles and one of the whole
        ("internvl2.5-78b", 4000, 13 * 256),  # 12 tiles at most
        ("llama-3.2-90b-vision", 1024, 0),  # attended to across
    ],
)
def test_tokens_of_an_image(model: str, side: int, tokens: int) -> None:
    assert added_tokens(model, "trend=multimodal", f"trend.image_side={side}") == tokens


def test_tokens_of_a_video() -> None:
    """Qwen2.5-VL: 10 s at a frame every 0.5 s, two to a patch: 10 x (448 / 28)^2 tokens."""
    assert added_tokens("qwen2.5-vl-72b", "trend=video", "trend.video=10 s") == 10 * 16**2


def test_flops_of_a_vision_tower() -> None:
    """InternViT-6B on one tile of 1024 patches: 45 layers of 2 x 1024 x (4 x 3200^2 + 2 x 3200 x

    12800) FLOPs, and of 4 x 3200 x 1024^2 in the core; then stem and projector.
    """
    at = point(
        "model=internvl2.5-78b",
        "workload=fixed-lengths",
        "trend=multimodal",
        "trend.image_side=448",
    )
    (cost,) = at.encoders
    layer = 2 * 1024 * (4 * 3200**2 + 2 * 3200 * 12800) + 4 * 3200 * 1024**2
    ends = 2 * 1024 * 3 * 14**2 * 3200 + 2 * 256 * (12800 * 8192 + 8192**2)
    assert number(cost.flops) == pytest.approx(45 * layer + ends, rel=1e-12)


def test_encoders_stand_in_front_of_the_first_token() -> None:
    """TTFT with an image is that of a prompt longer by its tokens, and the encoder's time."""
    model = ("model=qwen2-vl-72b", "workload=fixed-lengths", "plan.tp=8", "batch=1")
    seen = first(*model, "trend=multimodal")
    read = first(*model, "workload.prompt_tokens=2393")  # 1024 + 1369
    assert seen.encoder_time_s > 0
    assert seen.ttft_s == pytest.approx(read.ttft_s + seen.encoder_time_s, rel=1e-12)
    assert seen.decode_step_s == read.decode_step_s


def test_no_image_costs_nothing() -> None:
    """A dose of 0 leaves the case as it is, and layers that attend across are passed over.

    What is left of Llama-3.2-90B is Llama-3.1-70B.
    """
    plan = ("plan.tp=8", "plan.prefill_batch=1")
    for model, same in (
        ("qwen2-vl-72b", "qwen2-vl-72b"),
        ("llama-3.2-90b-vision", "llama-3.1-70b"),
    ):
        dosed = first(f"model={model}", "trend=multimodal", "trend.images=0", *plan)
        plain = first(f"model={same}", *plan)
        for column in (
            "ttft_s",
            "tpot_s",
            "cost_per_mtoken_usd",
            "energy_per_mtoken_j",
            "kv_memory_b",
        ):
            assert dosed[column] == plain[column], (model, column)


def test_tiles_of_an_image_may_see_one_another() -> None:
    """Llama-3.2-90B, one image of 4 tiles: in each of 40 layers n = 4 x 1601 positions see all of

    them, 4 x 1280 x n^2 FLOPs beside 2 n x (4 x 1280^2 + 2 x 1280 x 5120); then stem and projector.
    """
    at = point(
        "model=llama-3.2-90b-vision",
        "workload=fixed-lengths",
        "trend=multimodal",
        "plan=tensor-parallel-8",
    )
    n, (cost,) = 4 * 1601, at.encoders
    layer = 2 * n * (4 * 1280**2 + 2 * 1280 * 5120) + 4 * 1280 * n**2
    ends = 2 * n * 3 * 14**2 * 1280 + 2 * n * 6 * 1280 * 8192
    assert number(cost.flops) == pytest.approx((40 * layer + ends) / 8, rel=1e-12)


def test_what_is_attended_across_is_kept_whole() -> None:
    """Llama-3.2-90B, one image of 4 tiles: 20 layers x 4 x 1601 positions x 2 x 8 x 128 x 2 B."""
    frame = first("model=llama-3.2-90b-vision", "workload=snapshot", "trend=multimodal")
    assert frame.state_per_sequence_b == 20 * 4 * 1601 * 2 * 8 * 128 * 2


def test_a_decoder_of_speech_reads_all_positions_each_step() -> None:
    """Whisper: 1500 positions x 2 x 20 x 64 x 2 B in each of 32 layers, for each sequence."""
    at = point(
        "model=whisper-large", "workload=snapshot", "trend=audio", "workload.context=100", "batch=2"
    )
    core = operator(at, "cross", "cross-attention core")
    assert number(core.count) == 32
    assert number(core.traffic["kv"]) == 2 * 1500 * 2 * 20 * 64 * 2


# --- windows side by side


@pytest.mark.parametrize(
    ("context", "seen"),
    [(5000, 5000), (32768, (8192 + 1) / 2)],  # within the first chunk; anywhere in a later one
)
def test_chunked_attention_sees_its_own_chunk_as_far_as_itself(context: int, seen: float) -> None:
    """Llama 4 Maverick: 24 dense layers see up to 8192 tokens, 8193 / 2 of them in the mean;

    2 x 8 x 128 x 2 B each, one more written, and 4 x 40 x 128 FLOPs.
    """
    at = point(
        "model=llama-4-maverick", "workload=snapshot", f"workload.context={context}", "batch=1"
    )
    core = operator(at, "window_dense", "attention core")
    assert number(core.count) == 24
    assert number(core.traffic["kv"]) == (seen + 1) * 2 * 8 * 128 * 2
    assert number(core.flops) == seen * 4 * 40 * 128


# --- diffusion of text


def test_every_step_of_a_sequence_takes_it_whole() -> None:
    """LLaDA 8B has 6.98 B parameters outside its embeddings (arXiv:2502.09992, table 5).

    A forward pass takes 2 N FLOPs a token (Kaplan et al. 2020) within 3 %, then 4 D S per token
    and layer in the core, and the head. Prompt 1024 + answer 256 = 1280 tokens, 4 sequences.
    """
    at = point("model=llada-8b", "workload=fixed-lengths", "batch=4")
    tokens = 4 * 1280
    core = 32 * 4 * 4096 * 1280 * tokens
    head = 2 * 126_464 * 4096 * tokens
    assert number(at.decode.flops) - core - head == pytest.approx(2 * 6.98e9 * tokens, rel=0.03)


def test_an_answer_of_sequence_diffusion_is_there_at_its_end() -> None:
    """256 tokens at one a step: the first is readable with the last, after 256 steps; no cache."""
    frame = first("model=llada-8b", "workload=fixed-lengths", "batch=4")
    assert frame.steps_per_request == 256
    assert frame.ttft_s == pytest.approx(256 * frame.decode_step_s, rel=1e-12)
    assert frame.e2e_latency_s == pytest.approx(frame.ttft_s, rel=1e-12)
    assert frame.kv_memory_b == frame.kv_per_token_b == 0


def test_fewer_steps_make_an_answer_cheaper_in_proportion() -> None:
    plain, fast = (
        first("model=llada-8b", "workload=fixed-lengths", f"model.generation.tokens_per_step={n}")
        for n in (1, 4)
    )
    assert plain.cost_per_request_usd == pytest.approx(4 * fast.cost_per_request_usd, rel=1e-12)


def test_a_block_is_denoised_beside_a_cache() -> None:
    """LLaDA2.0-flash: prompt 1024 + (256 - 32) / 2 = 1136 cached tokens in the mean.

    A sequence's step has 32 queries, each of which sees 1136 + 32 keys: 4 x 4096 FLOPs a pair.
    2.55 tokens a step: 256 / 2.55 steps, of which 32 / 2.55 before the first block is readable.
    """
    at = point("model=llada2.0-flash-100b-a6b", "workload=fixed-lengths", "batch=1", "plan.tp=4")
    core = operator(at, "moe", "attention core")
    assert number(core.flops) == pytest.approx(4 * 4096 / 4 * 32 * (1136 + 32), rel=1e-12)
    assert number(core.traffic["kv"]) == pytest.approx((1136 + 32) * 2 * 1 * 128 * 2, rel=1e-12)
    frame = infercost.evaluate(
        [*FLOOR, "model=llada2.0-flash-100b-a6b", "workload=fixed-lengths", "batch=1", "plan.tp=4"]
    ).iloc[0]
    assert frame.steps_per_request == pytest.approx(256 / 2.55, rel=1e-12)
    prefill = number(at.prefill_time)
    assert frame.ttft_s == pytest.approx(prefill + 32 / 2.55 * frame.decode_step_s, rel=1e-12)


def test_blocks_of_one_token_are_autoregression() -> None:
    """Block 1, one token a step: a decode step sees the cache of all tokens before it."""
    blocks_of_one = ("model.generation.block=1", "model.generation.tokens_per_step=1")
    at = point("model=llada2.0-flash-100b-a6b", "workload=snapshot", "batch=8", *blocks_of_one)
    tokens = number(at.decode_pass.tokens), number(at.decode_pass.kv_read(1e15))
    assert tokens == (8, 8 * (4096 - 0.5))


# --- diffusion of pictures

DIT = {
    # Peebles and Xie 2023, table 1: layers, width, heads, Gflops at 64 tokens (I = 32, p = 4).
    "S": (12, 384, 6, 1.4),
    "B": (12, 768, 12, 5.6),
    "L": (24, 1024, 16, 19.7),
    "XL": (28, 1152, 16, 29.1),
}


@pytest.mark.parametrize("size", DIT)
def test_flops_of_a_diffusion_transformer(size: str) -> None:
    """The paper counts a multiply-accumulate as one: twice its Gflops, within 3 %.

    It rounds to 0.1 Gflops, 3.6 % of the smallest.
    """
    layers, width, heads, gflops = DIT[size]
    at = point(
        "model=dit-xl-2",
        "workload=image-1024",
        "workload.width=256",
        "workload.height=256",
        f"model.d_model={width}",
        f"model.layers.all.count={layers}",
        f"model.mixers.joint.n_q_heads={heads}",
        f"model.mixers.joint.d_head={width // heads}",
        f"model.ffns.dense.d_ff={4 * width}",
        "model.generation.patch=4",
        "model.generation.passes=1",
        "batch=1",
    )
    rounding = 0.05 / gflops
    assert number(at.decode.flops) / 2e9 == pytest.approx(gflops, rel=max(0.03, rounding))


@pytest.mark.parametrize(("side", "gflops"), [(256, 118.6), (512, 524.6)])
def test_flops_of_dit_xl_2(side: int, gflops: float) -> None:
    """Peebles and Xie 2023, tables 2 and 3: 119 and 525 Gflops (118.6, 524.6 unrounded)."""
    picture = (f"workload.width={side}", f"workload.height={side}", "model.generation.passes=1")
    at = point("model=dit-xl-2", "workload=image-1024", *picture, "batch=1")
    assert number(at.decode.flops) / 2e9 == pytest.approx(gflops, rel=0.03)


def test_a_step_of_flux() -> None:
    """4096 + 512 tokens: 2 x 12 D^2 a token in each of 57 layers, 4 D S a token in the core.

    Modulation once a sequence: 19 x 12 D^2 and 38 x 3 D^2; 64 M entries of embeddings.
    """
    at = point("model=flux.1-dev", "workload=image-1024", "batch=1")
    tokens, width = 4096 + 512, 3072
    layers = 57 * (2 * 12 * width**2 * tokens + 4 * width * tokens**2)
    once = 2 * (19 * 12 + 38 * 3) * width**2 + 2 * 64_094_208
    assert number(at.decode.flops) == pytest.approx(layers + once, rel=1e-12)


@pytest.mark.parametrize(
    ("model", "size", "tokens"),
    [
        ("wan2.1-t2v-14b", (1280, 720, 81), 75_600),  # 80 x 45 x 21: the models catalogue
        ("wan2.1-t2v-14b", (832, 480, 81), 32_760),  # 52 x 30 x 21
        ("hunyuanvideo-13b", (1280, 720, 129), 80 * 45 * 33 + 256),  # text runs beside
        ("sd3.5-large", (1024, 1024, 1), 64 * 64 + 154),
    ],
)
def test_tokens_of_a_picture(model: str, size: tuple[int, int, int], tokens: int) -> None:
    width, height, frames = size
    sizes = (f"workload.width={width}", f"workload.height={height}", f"workload.frames={frames}")
    assert number(point(f"model={model}", "workload=video-720p", *sizes).lengths.longest) == tokens


def test_guidance_doubles_a_step() -> None:
    one, two = (
        point("model=sd3.5-large", "workload=image-1024", f"model.generation.passes={n}", "batch=1")
        for n in (1, 2)
    )
    assert number(two.decode_pass.tokens) == 2 * number(one.decode_pass.tokens)
    embedded = 2 * 39_534_592
    twice = 2 * (number(one.decode.flops) - embedded)
    assert number(two.decode.flops) - 2 * embedded == pytest.approx(twice, rel=1e-12)


def test_a_picture_takes_its_steps_and_is_no_token() -> None:
    frame = first("model=flux.1-dev", "workload=image-1024", "workload.steps=20", "batch=1")
    assert frame.feasible
    assert frame.steps_per_request == 20
    assert frame.e2e_latency_s == pytest.approx(20 * frame.decode_step_s, rel=1e-12)
    seconds = frame.cost_per_request_usd
    other = first("model=flux.1-dev", "workload=image-1024", "workload.steps=40", "batch=1")
    assert other.cost_per_request_usd == pytest.approx(2 * seconds, rel=1e-12)
    for column in ("tpot_s", "throughput_per_s", "cost_per_mtoken_usd", "energy_per_mtoken_j"):
        assert np.isnan(frame[column])


def test_a_second_of_video() -> None:
    """A clip of 5 s costs five seconds of video."""
    frame = first("model=wan2.1-t2v-14b", "workload=video-720p", "batch=1")
    assert frame.cost_per_request_usd == pytest.approx(
        5 * frame.cost_per_video_second_usd, rel=1e-12
    )


def test_experts_of_noise_are_all_kept_and_one_works() -> None:
    """Wan2.2 keeps twice what Wan2.1 does, and a step takes as long."""
    one = first("model=wan2.1-t2v-14b", "workload=video-720p", "batch=1")
    two = first("model=wan2.2-t2v-a14b", "workload=video-720p", "batch=1")
    assert two.weight_memory_b == 2 * one.weight_memory_b
    assert two.decode_step_s == one.decode_step_s
    assert two.active_parameter_count == one.parameter_count


# --- what a model does not serve


@pytest.mark.parametrize(
    ("overrides", "fault"),
    [
        (("model=flux.1-dev",), "the model makes pictures, not tokens"),
        (("workload=image-1024",), "the workload asks for pictures, and the model makes tokens"),
        (("trend=multimodal",), "requests hold images or video, and the model has no vision"),
        (("trend=audio",), "requests hold sound, and the model has no audio encoder"),
        (("model=whisper-large",), "the model reads sound or images, and requests hold none"),
    ],
)
def test_what_a_model_does_not_serve_is_said_in_one_line(
    overrides: tuple[str, ...], fault: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from infercost.__main__ import main

    frame = infercost.evaluate(list(overrides))
    assert (frame.feasible[0], frame.limited_by[0], frame.bound[0]) == (False, "modality", "")
    assert main(["explain", *overrides]) == 0
    (line,) = (x for x in capsys.readouterr().out.splitlines() if "INFEASIBLE" in x)
    assert fault in line


# --- all models

ROOM = ("plan.tp=8", "plan.formats.weights=fp8", "hardware.memory.hbm.capacity=4 TB")
"""Devices on which every model fits."""


@cache
def all_models(*overrides: str) -> Any:
    return infercost.evaluate(["model=glob(*)", *ROOM, *overrides])


SERVED = (
    ("workload=fixed-lengths", "trend=none"),
    ("workload=image-1024", "trend=none"),
    ("workload=fixed-lengths", "trend=multimodal"),
    ("workload=fixed-lengths", "trend=audio", "workload.prompt_tokens=4"),
)


@pytest.mark.parametrize("served", SERVED, ids="-".join)
def test_every_model_is_the_same_on_an_axis_and_alone(served: tuple[str, ...]) -> None:
    """Batch and images broadcast through every operator: one point is one point."""
    images = ("trend.images=2",) if "multimodal" in served[1] else ()
    axis = ("trend.images=0,2",) if images else ()
    swept = all_models(*served, "batch=1,48", *axis)
    mine = swept[(swept["batch"] == 48) & (swept.get("trend.images", 2) == 2)]
    alone = all_models(*served, "batch=48", *images)
    assert list(mine.model) == list(alone.model)
    for column in alone.select_dtypes("number").columns:
        np.testing.assert_allclose(mine[column], alone[column], rtol=1e-12, err_msg=column)


@pytest.mark.parametrize("served", SERVED, ids="-".join)
def test_every_model_is_served_by_what_it_reads_and_makes(served: tuple[str, ...]) -> None:
    """And where it is, shares of every total sum to 1, and latencies are positive."""
    frame = all_models(*served, "batch=48")
    assert set(frame[~frame.feasible].limited_by) <= {"modality", "context"}
    good = frame[frame.feasible]
    assert len(good) > 0
    for total in ("decode", "prefill", "energy", "cost"):
        shares = good[[c for c in good.columns if c.startswith(f"{total}_stress_")]].sum(axis=1)
        np.testing.assert_allclose(shares, 1.0, rtol=1e-9, err_msg=total)
    assert (good[["ttft_s", "decode_step_s", "e2e_latency_s", "cost_per_request_usd"]] > 0).all(
        axis=None
    )


def test_kinds_that_go_with_pictures_go_with_nothing_else() -> None:
    text = all_models("workload=fixed-lengths", "trend=none", "batch=48").set_index("model")
    pictures = all_models("workload=image-1024", "trend=none", "batch=48").set_index("model")
    makers = {"dit-xl-2", "flux.1-dev", "sd3.5-large", "wan2.1-t2v-14b", "wan2.2-t2v-a14b"}
    asked = set(pictures.index[pictures.limited_by != "modality"])
    assert asked == makers | {"hunyuanvideo-13b"}
    refused = set(text.index[text.limited_by == "modality"])
    assert refused == asked | {"whisper-large"}


@pytest.mark.parametrize("served", SERVED[:3], ids="-".join)
def test_more_of_a_resource_never_slows_a_model_down(served: tuple[str, ...]) -> None:
    """Twice the memory bandwidth, twice the link; latencies and cost of all models."""
    rates = (
        "hardware.memory.hbm.bandwidth=3 TB/s,6 TB/s",
        "hardware.scale_up.bandwidth_out=450 GB/s,900 GB/s",
    )
    for axis in rates:
        frame = all_models(*served, "batch=48", axis)
        frame = frame[frame.feasible]
        slow, fast = (frame.iloc[start::2].reset_index(drop=True) for start in (0, 1))
        assert list(slow.model) == list(fast.model)
        for column in ("ttft_s", "decode_step_s"):
            assert (fast[column] <= slow[column] * (1 + 1e-12)).all(), (axis, column)


def test_pictures_are_shown_by_request(capsys: pytest.CaptureFixture[str]) -> None:
    from infercost.__main__ import main

    assert main(["evaluate", "model=flux.1-dev", "workload=image-1024", "batch=1,2"]) == 0
    shown = capsys.readouterr().out
    assert "cost_per_request_usd" in shown
    assert "tpot_s" not in shown
