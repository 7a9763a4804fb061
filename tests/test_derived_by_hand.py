"""Points of many kinds, each derived once more in plain numbers from published dimensions.

Nothing of the cost model is called but to be compared: decode steps are sums of what each matrix
and cache takes at the peaks of a data sheet (`calibration=ideal`). Norms and biases are left out,
hence the tolerance of a few parts in ten thousand.
"""

from __future__ import annotations

from math import comb, log2

import pytest

from infercost.registry import metrics
from probes import number, point

H100 = {"bf16": 989e12, "fp8": 1979e12, "bandwidth": 3.35e12}
NVLINK_4 = (2.6e-6, 450e9)
NDR = (5e-6, 50e9)
CLOSE = 5e-4
SNAPSHOT = ("calibration=ideal", "workload=snapshot")
REQUESTS = ("calibration=ideal", "workload=fixed-lengths")


def columns(*overrides: str) -> dict[str, float]:
    """Every column of one point."""
    at = point(*overrides)
    return {name: number(m.evaluate(at)) for name, m in metrics().items()}


def all_reduce(size: float, n: int, alpha: float, rate: float) -> float:
    """The fastest of ring, one shot, two shots, and halving and doubling."""
    volume = 2 * (n - 1) / n * size / rate
    steps = (2 * (n - 1), 2, 2 * log2(n))
    return min(alpha + (n - 1) * size / rate, *(s * alpha + volume for s in steps))


def touched(tokens: int, experts: int, active: int) -> float:
    """Experts that some token visits, were all as likely."""
    return experts * (1 - (1 - active / experts) ** tokens)


def dense_step(
    layers: int,
    width: int,
    heads: int,
    groups: int,
    d_head: int,
    d_ff: int,
    vocab: int,
    *,
    tp: int,
    batch: int,
    context: float,
) -> tuple[float, float]:
    """Work of a decode step on an H100 and bytes moved, 16 bits, gated feed-forward blocks."""
    local = max(groups / tp, 1.0)
    matrices = (
        width * (heads / tp + 2 * local) * d_head,
        heads / tp * d_head * width,
        2 * width * d_ff / tp,
        width * d_ff / tp,
    )
    cache = batch * (context + 1) * 2 * local * d_head * 2  # read, and one token written
    core = 4 * batch * context * heads / tp * d_head
    head = vocab * width / tp
    work = layers * sum(
        max(2 * batch * m / H100["bf16"], 2 * m / H100["bandwidth"]) for m in matrices
    )
    work += layers * max(core / H100["bf16"], cache / H100["bandwidth"])
    work += max(2 * batch * head / H100["bf16"], 2 * head / H100["bandwidth"])
    work += batch * width * 2 / H100["bandwidth"]  # rows of the embedding
    moved = layers * (2 * sum(matrices) + cache) + 2 * head + batch * width * 2
    return work, moved


@pytest.mark.parametrize(
    ("model", "dimensions", "tp", "batch", "context"),
    [
        ("llama-3.1-8b", (32, 4096, 32, 8, 128, 14336, 128256), 1, 1, 4096),
        ("llama-3.1-70b", (80, 8192, 64, 8, 128, 28672, 128256), 8, 64, 2176),  # at the ridge
        ("llama-3.1-405b", (126, 16384, 128, 8, 128, 53248, 128256), 16, 32, 8192),
        ("gemma-2b", (18, 2048, 8, 1, 256, 16384, 256000), 4, 16, 2048),  # one KV head, copied
        ("qwen2.5-72b", (80, 8192, 64, 8, 128, 29568, 152064), 4, 8, 30000),
    ],
)
def test_decode_of_dense_models(
    model: str, dimensions: tuple[int, ...], tp: int, batch: int, context: int
) -> None:
    layers, width, *_ = dimensions
    found = columns(
        *SNAPSHOT,
        f"model={model}",
        "hardware=h100-sxm",
        f"plan.tp={tp}",
        f"batch={batch}",
        f"workload.context={context}",
    )
    work, moved = dense_step(*dimensions, tp=tp, batch=batch, context=context)
    size, messages = batch * width * 2, 0.0
    if 1 < tp <= 8:
        messages = 2 * layers * all_reduce(size, tp, *NVLINK_4)
    if tp == 16:  # reduced inside a server, between two of them a share each
        outside = 2 * NDR[0] + size / 8 / NDR[1]
        messages = 2 * layers * (all_reduce(size, 8, *NVLINK_4) + outside)
    assert found["decode_device_moved_b"] == pytest.approx(moved, rel=CLOSE)
    assert found["decode_communication_s"] == pytest.approx(messages, rel=CLOSE)
    assert found["decode_step_s"] == pytest.approx(work + messages, rel=CLOSE)


def test_decode_of_latent_attention_and_experts_over_four_servers() -> None:
    """DeepSeek-V3 on 32 H800, one expert-parallel group, 128 sequences each at 4096 tokens.

    Absorbed products read 512 + 64 values of a token and layer; a device holds 8 of 256 experts.
    Three quarters of the copies leave the server, at 50 GB/s; others go beside them.
    """
    found = columns(
        *SNAPSHOT,
        "model=deepseek-v3",
        "hardware=h800-sxm",
        "plan=base",
        "plan.dp=32",
        "plan.ep=32",
        "batch=4096",
    )
    d, b = 7168, 128
    latent = d * 1536 + 1536 * 128 * 192 + d * 576 + 512 * 128 * (128 + 128) + 128 * 128 * d
    expert = 3 * d * 2048
    weights = 61 * latent + 3 * 3 * d * 18432 + 58 * (touched(4096, 256, 8) / 32 + 1) * expert
    wide = 2 * (58 * d * 256 + 129280 * d)  # routers and head in 16 bits
    cache = 61 * b * 4097 * 576 * 2
    moved = weights + wide + cache + b * d * 2
    assert found["kv_per_token_b"] == 70272
    assert found["decode_device_moved_b"] == pytest.approx(moved, rel=CLOSE)
    core = 61 * 2 * b * 4096 * 128 * (576 + 512)
    products = 61 * latent + 3 * 3 * d * 18432 + 58 * (8 + 1) * expert + 58 * d * 256 + 129280 * d
    flops = 2 * b * products + core
    assert found["decode_device_flops_flop"] == pytest.approx(flops, rel=CLOSE)
    exchange = 58 * 2 * (NDR[0] + b * 8 * d * 2 * 24 / 32 / NDR[1])
    assert found["decode_communication_s"] == pytest.approx(exchange, rel=CLOSE)


def test_merged_exchange_sends_a_token_to_each_server_once() -> None:
    """Three other servers of four hold 192 of 256 experts: the chance that none of eight is on one

    is C(192, 8) / C(256, 8), taken as (3/4)^8.
    """
    found = columns(
        *SNAPSHOT,
        "model=deepseek-v3",
        "hardware=h800-sxm",
        "plan=base",
        "plan.dp=32",
        "plan.ep=32",
        "plan.exchange=merged",
        "batch=4096",
    )
    reached = 3 * (1 - 0.75**8)
    assert reached == pytest.approx(3 * (1 - comb(192, 8) / comb(256, 8)), rel=5e-3)
    exchange = 58 * 2 * (NDR[0] + 128 * reached * 7168 * 2 / NDR[1])
    assert found["decode_communication_s"] == pytest.approx(exchange, rel=CLOSE)


def test_decode_of_narrow_experts_and_windows() -> None:
    """gpt-oss-120b on one H100: experts in 4.25 bits, every second layer sees 128 tokens."""
    found = columns(
        *SNAPSHOT, "model=gpt-oss-120b", "plan=base", "workload.context=8192", "batch=16"
    )
    d = 2880
    attention, expert = d * (64 + 2 * 8) * 64 + 64 * 64 * d, 3 * d * d
    weights = 36 * (2 * (attention + d * 128) + touched(16, 128, 4) * expert * 4.25 / 8)
    cache = 16 * 2 * 8 * 64 * 2 * 18 * (8192 + 128 + 2)
    moved = weights + cache + 2 * (201088 + 16) * d
    assert found["decode_device_moved_b"] == pytest.approx(moved, rel=CLOSE)
    assert found["decode_step_s"] == pytest.approx(moved / H100["bandwidth"], rel=CLOSE)
    kept = 16 * 2 * 8 * 64 * 2 * 18 * (8192 + 128)
    assert found["kv_memory_b"] == pytest.approx(kept)


def test_decode_of_states() -> None:
    """Mamba-2 2.7B: 64 layers of 80 x 64 x 128 states in 4 B, read and written, and three inputs

    of a convolution over 5120 + 2 x 128 channels. RWKV-7 2.9B: 40 x 64 x 64 and two past inputs.
    """
    mamba = columns(*SNAPSHOT, "model=mamba-2-2.7b", "plan=base", "batch=64")
    layer = 2560 * (2 * 5120 + 2 * 128 + 80) + 5376 * 4 + 5120 * 2560
    state = 64 * (80 * 64 * 128 * 4 + 3 * 5376 * 2)
    assert mamba["state_per_sequence_b"] == state
    moved = 2 * (64 * layer + 50288 * 2560) + 64 * 2 * state
    assert mamba["decode_device_moved_b"] == pytest.approx(moved, rel=CLOSE)
    rwkv = columns(*SNAPSHOT, "model=rwkv-7-2.9b", "plan=base", "batch=16")
    ranks = 2 * (96 + 96 + 64 + 320)
    layer = 4 * 2560**2 + ranks * 2560 + 2 * 2560 * 10240
    state = 32 * (40 * 64 * 64 * 4 + 2 * 2560 * 2)
    assert rwkv["state_per_sequence_b"] == state
    moved = 2 * (32 * layer + 65536 * 2560) + 16 * 2 * state
    assert rwkv["decode_device_moved_b"] == pytest.approx(moved, rel=CLOSE)


def test_decode_of_a_hybrid_with_shared_experts() -> None:
    """Qwen3-Next on four H100: 36 layers of gated delta rule, 12 of attention whose two KV heads

    are copied, 512 experts of which ten and a shared one work; the router is on each device.
    """
    found = columns(
        *SNAPSHOT,
        "model=qwen3-next-80b-a3b",
        "plan.tp=4",
        "workload.context=32768",
        "batch=32",
    )
    d, keys, values = 2048, 16 * 128, 32 * 128
    linear = d * (2 * keys + 2 * values) + d * 2 * 32 + values * d
    full = (d * 2 * 16 * 256 + 16 * 256 * d) / 4 + d * 2 * 256
    expert = 3 * d * 512
    feed_forward = (touched(32, 512, 10) + 1) * expert / 4 + d * 513
    weights = 2 * (36 * linear / 4 + 12 * full + 48 * feed_forward + 151936 * d / 4)
    state = 36 * (32 * 128 * 128 * 4 + 3 * (2 * keys + values) * 2)
    assert found["state_per_sequence_b"] == state
    moved = weights + 32 * (2 * state / 4 + 12 * 32769 * 2 * 256 * 2)
    assert found["decode_device_moved_b"] == pytest.approx(moved, rel=CLOSE)


def test_requests_on_eight_devices_to_dollars_and_carbon() -> None:
    """Llama-3.1-70B, 2048 / 256 tokens, 64 in flight: every rate, price and footprint by hand.

    A step draws more than the board's 700 W may; idle hours are 0.4 / 0.6 of those at work.
    """
    found = columns(
        *REQUESTS,
        "model=llama-3.1-70b",
        "plan=tensor-parallel-8",
        "workload.prompt_tokens=2048",
        "workload.output_tokens=256",
        "batch=64",
    )
    step, prefill = found["decode_step_s"], found["ttft_s"]
    assert found["context"] == 2048 + 256 / 2
    tpot = step + 63 / 255 * prefill
    assert found["tpot_s"] == pytest.approx(tpot, rel=1e-9)
    assert found["e2e_latency_s"] == pytest.approx(prefill + 255 * tpot, rel=1e-9)
    device_s = 8 * (prefill + 255 * step / 64) / 256
    assert found["throughput_per_device_per_s"] == pytest.approx(1 / device_s, rel=1e-9)
    power = 1.2 * (700 + 575 + 0.4 / 0.6 * (70 + 575))
    joules = power * device_s * 1e6
    assert found["energy_per_mtoken_j"] == pytest.approx(joules, rel=1e-9)
    year = 365.25 * 86400
    annuity = 38580 * 0.08 / (1 - 1.08**-5) / year
    hosting = 1.275 * 150 / (year / 12)
    dollars = (annuity + hosting) / 0.6 * device_s * 1e6 + joules / 3.6e6 * 0.0826
    assert found["cost_per_mtoken_usd"] == pytest.approx(dollars, rel=1e-6)
    operation = joules / 3.6e6 * 0.3844
    assert found["operational_carbon_per_mtoken_kgco2e"] == pytest.approx(operation, rel=1e-9)
    making = (807.6 + 80 * 3.4) / (5 * year * 0.6) * device_s * 1e6
    assert found["embodied_carbon_per_mtoken_kgco2e"] == pytest.approx(making, rel=1e-9)


def test_pictures_clips_and_text_that_is_denoised() -> None:
    """FLUX.1: 4096 latents and 512 of text through 19 layers of two streams and 38 of one. Wan 2.1:

    21 x 45 x 80 latents, two passes, half of the FLOPs in attention to all. LLaDA: every step takes
    prompt and answer whole, logits too.
    """
    d, n = 3072, 4096 + 512
    flux = columns("calibration=ideal", "model=flux.1-dev", "workload=image-1024", "plan=base")
    flops = 57 * (2 * n * 12 * d**2 + 4 * n**2 * d)
    assert flux["decode_device_flops_flop"] == pytest.approx(32 * flops, rel=CLOSE)
    d, n = 5120, 21 * 45 * 80
    wan = columns(
        "calibration=ideal",
        "model=wan2.1-t2v-14b",
        "workload=video-720p",
        "plan=tensor-parallel-8",
        "batch=1",
    )
    latents = 2 * n * (6 * d**2 + 2 * d * 13824) + 4 * n * (n + 512) * d
    flops = 2 * 40 * (latents + 2 * 512 * 2 * d**2)
    assert wan["decode_device_flops_flop"] == pytest.approx(flops / 8, rel=CLOSE)
    d, n = 4096, 512 + 128
    llada = columns(
        *REQUESTS,
        "model=llada-8b",
        "plan=base",
        "workload.prompt_tokens=512",
        "workload.output_tokens=128",
        "batch=4",
    )
    flops = 2 * n * (32 * (4 * d**2 + 3 * d * 12288) + 126464 * d) + 32 * 4 * n**2 * d
    assert llada["decode_device_flops_flop"] == pytest.approx(4 * flops, rel=CLOSE)
    assert llada["ttft_s"] == pytest.approx(128 * llada["decode_step_s"], rel=1e-9)


def test_prompts_handed_to_a_pool_of_their_own() -> None:
    """Each device of a decode replica takes its share of 4096 tokens over 400 Gbit/s: of Llama's KV

    heads and of Jamba's states and few caches an eighth, of DeepSeek's latent vectors all.
    """
    shares = {
        "llama-3.1-70b": 4096 * 327680 / 8,
        "deepseek-v3": 4096 * 70272,
        "jamba-1.5-large": (4096 * 36864 + 63 * (16384 * 16 * 4 + 3 * 16384 * 2)) / 8,
    }
    for model, share in shares.items():
        base = (*REQUESTS, f"model={model}", "hardware=h200-sxm", "plan=tensor-parallel-8")
        lengths = ("workload.prompt_tokens=4096", "batch=16")
        beside = columns(*base, *lengths)["ttft_s"]
        apart = columns(*base, *lengths, "+mitigation=disaggregation")["ttft_s"]
        assert apart - beside == pytest.approx(10e-6 + share / 50e9, rel=1e-6)


def test_sram_machines_in_a_chain() -> None:
    """Llama-2-70B on 80 stages of eight Groq chips, 80 sequences, one in each stage."""
    found = columns(
        *SNAPSHOT,
        "hardware=groq-lpu",
        "model=llama-2-70b",
        "plan.tp=8",
        "plan.pp=80",
        "workload.context=256",
        "batch=80",
    )
    d, alpha, rate = 8192, 0.7e-6, 200e9
    layer = 2 * d**2 + 2 * d * 1024 + 3 * d * 28672
    cache, core = 257 * 2 * 128 * 2, 4 * 256 * d / 8
    work = 80 * (layer * 2 / 8 / 80e12 + max(cache / 80e12, core / 188e12))
    work += 32000 * d * 2 / 8 / 80e12
    sums = 160 * (alpha + 7 * d * 2 / rate)
    chain = 79 * (alpha + d * 2 / 8 / rate)
    assert found["decode_step_s"] == pytest.approx(work + sums + chain, rel=CLOSE)
