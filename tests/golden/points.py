"""The golden tables: `python tests/golden/points.py` writes them again.

These numbers are our own output, kept so that a change shows which of them it moves; the commit
that moves them says why. Every direction, mitigation, trend and way to serve has a row.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

import infercost
from infercost.commands.explain import asked, explained
from infercost.serving.ask import asked_service

FOLDER = Path(__file__).parent


def _each(words: str, group: str, names: str) -> tuple[str, ...]:
    """A point with each of several options of a group."""
    return tuple(f"{words} {group}={name}" for name in names.split())


POINTS = (
    "hardware=h100-sxm model=llama-3.1-70b plan.tp=8 batch=32",
    "hardware=h100-sxm model=llama-3.1-70b plan.tp=8 batch=32 calibration=ideal",
    "hardware=h100-sxm model=llama-3.1-70b plan.tp=4 plan.pp=2 batch=32",
    "hardware=h200-sxm model=llama-3.1-405b plan.tp=8 plan.formats.weights=fp8 batch=64",
    "hardware=a100-sxm-80gb model=mixtral-8x22b plan.tp=8 batch=16 workload=azure-2023-code",
    "hardware=gb200-nvl72 model=deepseek-v3 plan=base plan.dp=32 plan.ep=32 batch=2048",
    "hardware=mi300x model=qwen3-235b-a22b plan.tp=8 plan.ep=8 batch=64",
    "hardware=tpu-v5e model=llama-3.1-8b plan.tp=4 batch=64",
    "hardware=tpu-v7 model=gpt-oss-120b plan.tp=2 batch=256",
    "hardware=trainium2 model=llama-3.1-70b plan.tp=16 batch=64 workload=mooncake-conversation",
    "hardware=gaudi3 model=gemma-3-27b plan.tp=2 batch=32 trend=reasoning",
    "hardware=rtx-4090 model=llama-3.1-8b plan=base plan.formats.weights=q4_k_m batch=1",
    "hardware=h100-sxm model=llama-3.1-70b plan.tp=8 batch=32 economics=rental",
    "hardware=h100-sxm model=llama-3.1-70b plan.tp=8 batch=32 plan.phases=disaggregated",
    "hardware=h100-sxm model=llama-3.1-70b plan.tp=8 batch=32 plan.overlap=1",
)
COLUMNS = (
    "feasible",
    "bound",
    "ttft_s",
    "tpot_s",
    "decode_step_s",
    "throughput_per_device_per_s",
    "energy_per_mtoken_j",
    "cost_per_mtoken_usd",
    "operational_carbon_per_mtoken_kgco2e",
    "embodied_carbon_per_mtoken_kgco2e",
    "memory_share",
)

DEVICE = "hardware=h100-sxm plan.tp=8"
EXPERTS = f"{DEVICE} model=mixtral-8x22b batch=128 workload=azure-2023-code"
CACHES = f"{DEVICE} model=llama-3.1-70b batch=4 workload=mooncake-conversation"
HEADS = (
    f"{DEVICE} model=opt-66b batch=4 workload=fixed-lengths workload.prompt_tokens=1024"
    " workload.output_tokens=512"
)
"""Each head has a cache of its own, which units near memory read faster."""
DIRECTIONS = (
    *_each(
        EXPERTS,
        "direction",
        "none hbf hbf@best hbf@worst hbf-2 hbf-3 hbf-instead hbf-daisy-chain lpddr"
        " low-latency hbf+low-latency hbf+lpddr",
    ),
    *_each(
        HEADS,
        "direction",
        "none pnm pnm@best pim-bank pim-bank-group pim-bank-all pnm-cxl pnm-dimm pnm-flash"
        " hbf+pnm@best",
    ),
    *_each(CACHES, "direction", "none 3d-stack 3d-stack@worst hbf"),
    f"{EXPERTS} direction=tuned direction.tuned.bandwidth=2 direction.tuned.alpha=0.5",
    f"{EXPERTS} direction=hbf plan.phases=disaggregated plan.min_memory_life=20 year",
    f"{CACHES} direction=hbf plan=caches-on-flash",
)
OF_DEVICES = (
    *COLUMNS,
    "device_price_usd",
    "sustained_clock",
    "decode_memory_power_w",
    "main_memory_share",
    "memory_life_s",
    "buffer_stall_s",
)

DENSE = f"{DEVICE} model=llama-3.1-70b batch=16"
LATENT = "hardware=b200-sxm plan.tp=8 model=deepseek-v3 batch=64"
MITIGATIONS = (
    *_each(
        DENSE,
        "mitigation",
        "none w4 w8 fp8 nvfp4 kv2 kv4 kv8 activation-sparsity cascade chunked-prefill"
        " disaggregation distillation distillation-7b early-exit edge-split eviction-h2o"
        " eviction-snapkv offload prefix-cache routing sparse-attention speculation-bytes"
        " speculation-eagle speculation-eagle@worst speculation-eagle-tree speculation-heads"
        " speculation-layers speculation-lookup speculation-model w4+kv8+speculation-eagle",
    ),
    f"{DENSE} mitigation=latent-reasoning trend=reasoning",
    f"{DEVICE} model=qwen3-32b batch=16 mitigation=speculation-model-qwen",
    *_each(
        LATENT, "mitigation", "none w4 speculation-mtp sparse-attention activation-sparsity offload"
    ),
)
OF_SOFTWARE = (
    *COLUMNS,
    "devices",
    "tokens_per_pass",
    "draft_parameter_count",
    "prefix_hit_rate",
    "quality_loss",
)

SHORT = (
    f"{DEVICE} batch=16 workload=fixed-lengths workload.prompt_tokens=20 workload.output_tokens=100"
)
TRENDS = (
    f"{DENSE} trend=none",
    f"{DENSE} trend=reasoning",
    f"{DENSE} trend=reasoning trend.dose=0.5",
    f"{DENSE} trend=branching",
    f"{DEVICE} model=llama-3.1-70b batch=4 trend=long-context",
    f"{DENSE} trend=rag",
    f"{DENSE} trend=rag-hyperscale",
    f"{DENSE} trend=rag-reused",
    f"{DEVICE} model=llama-3.1-8b batch=16 trend=moe",
    f"{LATENT} plan.ep=8 trend=imbalance",
    f"{DEVICE} model=qwen2.5-vl-72b batch=16 trend=multimodal",
    f"{DEVICE} model=qwen2.5-vl-72b batch=16 trend=video",
    f"{SHORT} model=whisper-large trend=audio",
    f"{SHORT} model=llada-8b trend=denoising trend.denoising=0.5",
    f"{DEVICE} model=llada2.0-flash-100b-a6b batch=16",
    f"{DEVICE} model=wan2.1-t2v-14b batch=1 workload=video-720p",
    f"{DEVICE} model=flux.1-dev batch=1 workload=image-1024",
    f"{SHORT} model=blt-8b",
    "hardware=b200-sxm plan.tp=8 model=jamba-1.5-large batch=16 trend=long-context",
)
OF_REQUESTS = (
    *COLUMNS,
    "encoder_time_s",
    "retrieval_time_s",
    "retrieval_cost_per_request_usd",
    "index_memory_b",
    "steps_per_request",
    "cost_per_request_usd",
    "cost_per_video_second_usd",
)

REPLAYS = (
    "serving=chunked model=llama-3.1-8b plan=single-device",
    "serving=prefill-first model=llama-3.1-8b plan=single-device",
    "serving=decode-first model=llama-3.1-8b plan=single-device",
    "serving=disaggregated model=llama-3.1-8b plan=single-device",
    "serving=edge-cascade model=llama-3.1-70b edge.model=llama-3.1-8b edge.plan=single-device",
    "serving=edge-router model=llama-3.1-70b edge.model=llama-3.1-8b edge.plan=single-device",
    "serving=prefix-dram model=llama-3.1-70b workload=mooncake-conversation",
    "serving=chunked model=llama-3.1-70b serving.speculation.drafted=3"
    " serving.speculation.acceptance=0.7",
    "serving=chunked model=llama-3.1-70b +mitigation=[w4,kv8]",
    "serving=chunked model=mixtral-8x22b direction=hbf plan=caches-on-flash",
)
OF_REPLAYS = (
    "finished",
    "requests_per_s",
    "utilisation",
    "batch_mean",
    "queue_mean",
    "kv_mean",
    "ttft_p50_s",
    "ttft_p90_s",
    "tpot_p50_s",
    "tpot_p90_s",
    "e2e_p50_s",
    "prefix_hit_share",
    "hit_share_tier_1",
    "memory_life_s",
    "edge_share",
    "energy_per_request_j",
    "cost_per_request_usd",
)
REQUESTS = 200
"""The first requests of a trace, at its own times."""

OF_TIERS = (
    *(f"{name}_b" for name in ("weights", "experts", "kv", "context", "activations")),
    *("moved_b", "written_b", "stall_s", "life_s"),
)
NO_TIERS = ("direction=none", "3d-stack", "=low-latency", "tuned")
"""Directions of one plain memory, which have no tier map."""


def table(points: Iterable[str], columns: Iterable[str]) -> pd.DataFrame:
    """Columns of points as they are now."""
    points, columns = list(points), list(columns)
    rows = [infercost.evaluate(_words(point)).iloc[0][columns] for point in points]
    return pd.DataFrame(rows).reset_index(drop=True).assign(point=points)[["point", *columns]]


def tiers() -> pd.DataFrame:
    """What lies on which memory tier, and what a decode step asks of it."""
    rows = []
    for point in DIRECTIONS:
        if any(name in point for name in NO_TIERS):
            continue
        told = explained(*asked(_words(point), ())[1:])["tiers"]
        rows += [{"point": point, **{k: tier[k] for k in ("tier", *OF_TIERS)}} for tier in told]
    return pd.DataFrame(rows)


def replays() -> pd.DataFrame:
    """What users and operators see of the first requests of a trace."""
    rows = []
    for point in REPLAYS:
        service, requests = asked_service(_words(point), (), REQUESTS, None, 0)
        told = service.answered(requests)
        rows.append({"point": point, **{name: told[name] for name in OF_REPLAYS}})
    return pd.DataFrame(rows)


TABLES = {
    "golden": lambda: table(POINTS, COLUMNS),
    "directions": lambda: table(DIRECTIONS, OF_DEVICES),
    "mitigations": lambda: table(MITIGATIONS, OF_SOFTWARE),
    "trends": lambda: table(TRENDS, OF_REQUESTS),
    "tiers": tiers,
    "replays": replays,
}
"""Files of this folder, and what stands in each."""


def file_of(name: str) -> Path:
    """Where a table is kept."""
    return FOLDER / f"{name}.csv"


def _words(point: str) -> list[str]:
    """Overrides of a point; a unit stays with its number."""
    words: list[str] = []
    for word in point.split():
        if "=" in word:
            words.append(word)
        else:
            words[-1] += f" {word}"
    return words


if __name__ == "__main__":
    warnings.simplefilter("ignore", infercost.NoEffect)
    for name, told in TABLES.items():
        told().to_csv(file_of(name), index=False, float_format="%.6g", lineterminator="\n")
