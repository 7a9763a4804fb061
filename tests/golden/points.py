"""The golden points: `python tests/golden/points.py` writes golden.csv again.

These numbers are our own output, kept so that a change shows which of them it moves; the commit
that moves them says why.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

import infercost

FILE = Path(__file__).with_name("golden.csv")
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


def golden() -> pd.DataFrame:
    """The points' main columns as they are now."""
    rows = [infercost.evaluate(point.split()).iloc[0][list(COLUMNS)] for point in POINTS]
    return pd.DataFrame(rows).reset_index(drop=True).assign(point=POINTS)[["point", *COLUMNS]]


if __name__ == "__main__":
    golden().to_csv(FILE, index=False, float_format="%.6g", lineterminator="\n")
