"""Operator kinds by hand that no other module has, and what publishers call active."""

from __future__ import annotations

import pytest

from infercost.operators.stack import parameters
from probes import number, point
from test_anatomies import added_tokens, operator

IDEAL = ("calibration=ideal", "plan=single-device")


def test_one_key_and_value_for_all_heads() -> None:
    """PaLM-540B on 8 devices, 3 sequences of 2048 tokens: 6 of 48 heads on each, 4 x 256 FLOPs a
    token and head; its one key and value of 256 x 2 B are kept on all, a written token with them.
    """
    big = ("hardware=b200-sxm", "hardware.memory.hbm.capacity=2 TB", "plan.tp=8", "batch=3")
    at = point(*IDEAL, "model=palm-540b", "workload=snapshot", "workload.context=2048", *big)
    core, qkv = (operator(at, "all", name) for name in ("attention core", "qkv projection"))
    assert number(core.flops) == 3 * 6 * 4 * 256 * 2048
    assert number(core.traffic["kv"]) == 3 * (2048 + 1) * 2 * 256 * 2
    assert number(qkv.traffic["weights"]) == 18432 * (6 + 2 * 1) * 256 * 2


def test_a_window_between_full_layers_reads_its_own_tokens() -> None:
    """Gemma-3-27B at 4096 tokens: 52 layers see 1024, 10 see all; 32 heads of 128, 16 for KV."""
    at = point(*IDEAL, "model=gemma-3-27b", "workload=snapshot", "workload.context=4096", "batch=1")
    for block, layers, seen in (("window", 52, 1024), ("full", 10, 4096)):
        core = operator(at, block, "attention core")
        assert number(core.count) == layers
        assert number(core.flops) == 4 * 32 * 128 * seen
        assert number(core.traffic["kv"]) == (seen + 1) * 2 * 16 * 128 * 2


def test_a_shared_expert_runs_beside_eight_of_256() -> None:
    """DeepSeek-V3, one token: an expert is 3 x 7168 x 2048; three layers of 3 x 7168 x 18432 have
    none, and 58 a router of 7168 x 256."""
    at = point(*IDEAL, "model=deepseek-v3", "workload=snapshot", "batch=1")
    expert = 7168 * 2048
    routed = [operator(at, "moe", f"routed experts {part}") for part in ("up", "down")]
    shared = [operator(at, "moe", f"shared experts {part}") for part in ("up", "down")]
    assert [number(op.flops) for op in routed] == [2 * 8 * 2 * expert, 2 * 8 * expert]
    assert [number(op.flops) for op in shared] == [2 * 2 * expert, 2 * expert]
    assert number(operator(at, "moe", "router").flops) == 2 * 7168 * 256
    dense = operator(at, "dense", "feed-forward down")
    assert (number(dense.count), number(dense.flops)) == (3, 2 * 18432 * 7168)


def test_flops_of_an_audio_encoder() -> None:
    """Whisper, 30 s: 32 layers over 1500 positions of width 1280, each 2 x (4 x 1280^2 + 2 x 1280 x

    5120) FLOPs a position and 4 x 1280 x 1500^2 in the core; two convolutions of 3 taps in front.
    """
    lengths = ("workload.prompt_tokens=10", "workload.output_tokens=100", "batch=1")
    at = point(*IDEAL, "model=whisper-large", "workload=fixed-lengths", "trend=audio", *lengths)
    (cost,) = at.encoders
    layer = 2 * 1500 * (4 * 1280**2 + 2 * 1280 * 5120) + 4 * 1280 * 1500**2
    stem = 2 * 1500 * (3 * 80 * 1280 + 3 * 1280**2)
    assert number(cost.flops) == pytest.approx(32 * layer + stem, rel=1e-12)


def test_a_step_of_a_video_transformer() -> None:
    """Wan2.1, 81 frames of 1280 x 720: 75,600 latents, twice for guidance, 40 layers of width 5120.

    A layer has 6 D^2 entries for latents (four of attention to themselves, two across to the text),
    2 x D x 13824 of the block, 2 D^2 for 512 tokens of text; cores take 4 D for each pair.
    """
    at = point(*IDEAL, "model=wan2.1-t2v-14b", "workload=video-720p", "batch=1")
    latents, width, text = 75_600, 5120, 512
    entries = 6 * width**2 + 2 * width * 13824
    pairs = latents * (latents + text)
    layer = 2 * (entries * latents + 2 * width**2 * text) + 4 * width * pairs
    embeddings = 2 * 2 * (width * (64 + 4096 + 256 + 64) + 8 * width**2)
    assert number(at.decode.flops) == pytest.approx(2 * 40 * layer + embeddings, rel=1e-12)


@pytest.mark.parametrize(
    ("model", "side", "tokens"),
    [
        ("gemma-3-27b", 1024, 256),  # always 64 x 64 patches of 14, a mean of 4 x 4 each
        ("gemma-3-4b", 300, 256),
        ("llama-4-scout", 336, 144),  # one tile: (24 / 2)^2
        ("llama-4-maverick", 672, 5 * 144),  # 2 x 2 tiles and one of the whole
    ],
)
def test_tokens_of_an_image_of_a_fixed_tile(model: str, side: int, tokens: int) -> None:
    assert added_tokens(model, "trend=multimodal", f"trend.image_side={side}") == tokens


# Active parameters as published, in billions, and which of the two token tables they count.
ACTIVE = {
    "dbrx": (36, "both"),
    "deepseek-v2": (21, "both"),
    "deepseek-v3": (37, "both"),
    "deepseek-v4-flash": (13, "head"),
    "deepseek-v4-pro": (49, "both"),
    "glm-4.5": (32, "none"),
    "glm-5": (40, "none"),
    "gpt-oss-120b": (5.1, "head"),
    "gpt-oss-20b": (3.6, "head"),
    "jamba-1.5-large": (94, "both"),
    "kimi-k2": (32, "head"),
    "llada2.0-flash-100b-a6b": (6.1, "both"),
    "llama-4-maverick": (17, "both"),
    "llama-4-scout": (17, "both"),
    "minimax-m1": (45.9, "none"),
    "minimax-text-01": (45.9, "none"),
    "mixtral-8x22b": (39, "both"),
    "mixtral-8x7b": (12.9, "both"),
    "nemotron-3-nano-30b-a3b": (3.6, "both"),
    "nemotron-3-super-120b-a12b": (12.7, "both"),
    "nemotron-3-ultra-550b-a55b": (55, "both"),
    "qwen3-235b-a22b": (22, "both"),
    "qwen3-30b-a3b": (3.3, "both"),
}
# Stated in whole billions: half of one is as near as the figure says.
ROUNDED = {
    "kimi-linear-48b-a3b": (3, "none"),
    "qwen3-next-80b-a3b": (3, "none"),
    "qwen3.5-397b-a17b": (17, "both"),
}


@pytest.mark.parametrize("name", [*ACTIVE, *ROUNDED])
def test_active_parameters_are_those_published(name: str) -> None:
    """Within 2 %. Publishers count both token tables, the head alone, or none."""
    stated, counted = ACTIVE.get(name) or ROUNDED[name]
    at = point(*IDEAL, f"model={name}", "workload=snapshot")
    model = at.case.model
    assert not model.tied_embeddings
    left_out = {"both": 0, "head": 1, "none": 2}[counted] * model.vocab * model.d_model
    active = (number(parameters(at.layout, active=True)) - left_out) / 1e9
    assert active == pytest.approx(stated, abs=0.5 if name in ROUNDED else 0.02 * stated)
