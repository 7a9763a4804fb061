"""Processing near and in memory: what internal bandwidth is left, and what small shards cost."""

from __future__ import annotations

import numpy as np

from infercost.arrays import Bytes, Count, JoulesPerByte, Ratio


def internal_bandwidth_ratio(ratio: Ratio, power_ratio: Ratio, energy_ratio: Ratio) -> Ratio:
    """Internal over external bandwidth, within the power that the memory's cooling carries.

        min(r, p / e)

    r is what the wires give, p the power that the memory may draw over what it draws at its full
    external rate, e the energy per bit of an internal access over that of an external one.

    Source: AttAcc (simulator, src/config.py): 16 to 9 per bank, 8 to 3 per bank group, which
    p = 1.35 gives within 4 %. Leaves out that refresh and activation share the budget.
    """
    return np.minimum(ratio, power_ratio / energy_ratio)


def path_energy(
    cell: JoulesPerByte,
    access: JoulesPerByte,
    bank_group: JoulesPerByte,
    global_bus: JoulesPerByte,
    through_silicon: JoulesPerByte,
    interposer: JoulesPerByte,
) -> JoulesPerByte:
    """Energy of an access over the whole path from the cells to a processor beside the stack.

    Their sum up to any rung is the energy of a unit that sits there: bank (cell + access), bank
    group (+ bank_group), base die (+ global_bus + through_silicon). Source: Fine-Grained DRAM,
    MICRO 2017, as AttAcc uses it. Leaves out the PHY and wires on the processor's own die.
    """
    return cell + access + bank_group + global_bus + through_silicon + interposer


def near_units(capacity: Bytes, shard: Bytes) -> Count:
    """Units of a memory of which each reaches one shard: at least one."""
    return np.maximum(capacity / shard, 1.0)


def product_exchange(rows: Count, width: Count, elements: Count, units: Count) -> Count:
    """Elements that cross the channel for a product of `rows` rows whose weights lie in n shards.

        M max(K + N, 2 sqrt(K N n))

    A tile of k x n shards needs each input slice in n of them and leaves k partial sums of each
    output: M (K n_n + N n_k), least where both parts are equal. `width` is K + N, `elements` K N.
    Leaves out broadcast on a shared bus, which would spare copies of inputs.
    """
    return rows * np.maximum(width, 2.0 * np.sqrt(elements * units))


def attention_exchange(rows: Count, pieces: Count, units: Count) -> Count:
    """Elements of queries and outputs that cross the channel where caches lie in n shards.

        q max(1, n / pieces)

    `rows` (q) are the elements of queries and outputs once, `pieces` the caches (sequences times KV
    heads), each of which is whole work for a unit. More units than pieces cut caches along the
    context, and each cut needs the query and leaves a partial output.
    """
    return rows * np.maximum(1.0, units / pieces)
