"""Number formats: bits stored per element, block scales included, and the matrix unit they suit.

Bits of block formats count their scales: mxfp4 4 + 8/32, nvfp4 4 + 8/16, int4 4 + 16/32 (groups of
32), int2 2 + 32/32 (scale and zero point per 32), q8_0 8 + 16/32, q4_0 4 + 16/32; q4_k_m 4.85 and
q4_k_s 4.58 are file averages of llama.cpp. Source: format definitions (OCP MX v1.0; ggml
quantisation tables).
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from infercost.errors import nearest

BITS: dict[str, float] = {
    "fp32": 32.0,
    "bf16": 16.0,
    "fp16": 16.0,
    "fp8": 8.0,
    "int8": 8.0,
    "q8_0": 8.5,
    "int4": 4.5,
    "q4_0": 4.5,
    "q4_k_m": 4.85,
    "q4_k_s": 4.58,
    "mxfp4": 4.25,
    "nvfp4": 4.5,
    "fp4": 4.0,
    "int2": 3.0,
}

MatrixFormat: TypeAlias = Literal["fp4", "fp8", "int8", "bf16", "fp16", "fp32"]
"""Formats that a matrix unit can be rated in."""

WIDER: dict[str, tuple[str, ...]] = {
    "fp4": ("fp4", "fp8", "bf16", "fp16", "fp32"),
    "fp8": ("fp8", "bf16", "fp16", "fp32"),
    "int8": ("int8", "bf16", "fp16", "fp32"),
    "bf16": ("bf16", "fp16", "fp32"),
    "fp16": ("fp16", "bf16", "fp32"),
    "fp32": ("fp32",),
}
"""Where a device has no unit for a format, the next wider one that it has computes it."""


def bytes_per_element(name: str) -> float:
    """Bytes that one element of format `name` takes in memory, scales included."""
    return BITS[name] / 8.0


def known_format(name: str) -> str:
    """`name`, if it is in the table; raises `ValueError` naming the nearest one otherwise."""
    if name not in BITS:
        raise ValueError(f"unknown number format '{name}'. {nearest(name, BITS)}")
    return name


def known_matrix_format(name: str) -> str:
    """`name`, if a matrix unit can be rated in it; raises `ValueError` otherwise."""
    if name not in WIDER:
        raise ValueError(f"no matrix unit computes in '{name}'. {nearest(name, WIDER)}")
    return name
