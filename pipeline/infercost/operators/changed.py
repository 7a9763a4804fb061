"""What software changes of operators: how narrow formats are unpacked, layers that tokens skip."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from infercost.arrays import Array, Bytes, Flops, Ratio, as_array
from infercost.operators.base import WIDE, Block, Layout, Operator, Pass, compute_format
from infercost.specs.formats import bytes_per_element

FILLING = ("qkv projection", "latent projection", "key and value projection")
"""Operators that make the keys and values of tokens which have left the model."""


def converted(layout: Layout, block: Block) -> Block:
    """A block with the time of converting what is kept in a narrower format."""
    mechanisms = layout.case.mechanisms
    weights = (mechanisms.weight_conversion, mechanisms.expert_conversion)
    if not any(np.any(as_array(cost) > 0) for cost in (*weights, mechanisms.kv_conversion)):
        return block
    operators = tuple(
        replace(operator, conversion=_conversion(layout, operator) * operator.peak)
        for operator in block.operators
    )
    return replace(block, operators=operators)


def changed(layout: Layout, step: Pass, block: Block) -> Block:
    """A block with what kinds of mitigation change of its operators."""
    for change in layout.case.mechanisms.changes:
        block = change(layout, step, block)
    return block


def staged(layout: Layout, block: Block) -> Block:
    """A block whose larger products read weights that kernels before them have widened in memory.

        traffic = stored + wide  (the kernel's own),  wide  (the product's)

    Products of fewer than `plan.staged_rows` rows unpack what they read on chip, as all do where it
    states none. Leaves out that small matrices may stay in a cache between the two kernels.
    """
    rows = layout.case.plan.staged_rows
    if rows is None:
        return block
    operators: list[Operator] = []
    for operator in block.operators:
        size = _stored(layout, operator)
        wide = bytes_per_element(compute_format(layout.case))
        if operator.kind not in ("matmul", "experts") or size >= wide:
            operators.append(operator)
            continue
        staging = as_array(operator.rows >= as_array(rows), dtype=np.float64)
        stored = operator.traffic["weights"]
        widened = stored / size * wide
        read = stored + (widened - stored) * staging
        operators += (
            Operator(
                f"{operator.name}, widened",
                operator.count * staging,
                0.0,
                {"weights": stored + widened, "activations": 0.0},
                operator.peak,
                "elementwise",
            ),
            replace(
                operator,
                traffic={**operator.traffic, "weights": read},
                packed=operator.packed * (1.0 - staging),
            ),
        )
    return replace(block, operators=tuple(operators))


def _stored(layout: Layout, operator: Operator) -> Bytes:
    """Bytes of one entry of a product's weights."""
    if operator.kind == "experts":
        return layout.experts
    return layout.tables if operator.name in WIDE else layout.weights


def _conversion(layout: Layout, operator: Operator) -> Flops:
    """Operations per operation of the 16-bit peak: entries times what one of them takes.

    A tile of rows converts each weight once; a cache is converted whenever it is read.
    """
    mechanisms = layout.case.mechanisms
    if operator.name in WIDE and mechanisms.tables is not None:
        return 0.0
    if operator.kind in ("matmul", "experts") and "weights" in operator.traffic:
        size = _stored(layout, operator)
        times = np.maximum(operator.rows / mechanisms.conversion_rows, 1.0)
        entries = operator.traffic["weights"] / size * times
        dense = operator.kind == "matmul"
        each = mechanisms.weight_conversion if dense else mechanisms.expert_conversion
        return entries * each / layout.peak_attention
    if operator.name == "attention core":
        entries = operator.traffic["kv"] / layout.kv
        return entries * mechanisms.kv_conversion / layout.peak_attention
    return 0.0


def exited(layout: Layout, step: Pass, layers: Callable[[Pass], Block]) -> Block:
    """A group of layers, the last of which only tokens pass that have not left.

        layers = x all + (1 - x) P(some token remains) rest,  P = 1 - p^M

    Tokens leave independently of each other, with probability p, at share x of each group. A layer
    that no token needs is passed over; keys and values of tokens that left are made all the same.
    """
    mechanisms = layout.case.mechanisms
    if not step.decode or not np.any(as_array(mechanisms.exits) > 0):
        return layers(step)
    p, x = mechanisms.exits, mechanisms.exit_at
    needed = 1.0 - as_array(p) ** step.tokens
    left = np.where(needed > 0, (1.0 - p) / np.where(needed > 0, needed, 1.0), 1.0)
    whole, rest = layers(step), layers(_fewer(step, left))
    late = (1.0 - x) * needed
    operators: list[Operator] = []
    for full, small in zip(whole.operators, rest.operators, strict=True):
        fills = full.name in FILLING
        operators.append(_counted(full, 1.0 if fills else x))
        if not fills:
            operators.append(_counted(small, late))
    messages = [
        replace(message, count=message.count * share)
        for messages, share in ((whole.messages, x), (rest.messages, late))
        for message in messages
    ]
    return Block(whole.name, tuple(operators), tuple(messages))


def _counted(operator: Operator, share: Ratio) -> Operator:
    return replace(operator, count=operator.count * share)


def _fewer(step: Pass, left: Array) -> Pass:
    """A pass with a share of its tokens."""
    return replace(
        step,
        tokens=step.tokens * left,
        sequences=step.sequences * left,
        kv_read=lambda window: step.kv_read(window) * left,
        pairs=lambda window: step.pairs(window) * left,
    )
