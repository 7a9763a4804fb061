"""What mitigations have set in motion in a case; every default is neutral."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from infercost.arrays import Array, BytesPerSecond, Count, Ratio, Seconds
from infercost.specs.model import Model


@dataclass(frozen=True)
class Drafting:
    """Tokens that are drafted cheaply and verified together in one pass of the model."""

    drafted: Count
    """Passes of the drafter per step: the depth of what it drafts."""
    verified: Count
    """Drafted tokens that one verification pass takes; more than the depth in a tree."""
    settled: Count
    """Tokens that one verification pass settles in the mean, its own one included."""
    drafter: Model | None
    """What drafts; none where drafts are looked up."""
    overhead: Seconds
    """Time of a step that drafting takes beside passes: look-up, sampling."""
    overhead_per_sequence: Seconds = 0.0
    """The same for each sequence of a step."""
    draft_launch: Seconds = 0.0
    """Time in which the host launches one pass of the drafter."""
    at_once: bool = False
    """Whether all are drafted in one pass from one hidden state, which has no past to keep."""
    within: bool = False
    """Whether the drafter is the model's own first layers, whose weights and caches are there."""

    @property
    def passes(self) -> Count:
        """Passes of the drafter in a step."""
        return np.minimum(self.drafted, 1.0) if self.at_once else self.drafted

    @property
    def reads_prompts(self) -> bool:
        """Whether the drafter has to take prompts in beside the model."""
        return self.drafter is not None and not self.at_once and not self.within


@dataclass(frozen=True)
class Prefix:
    """Caches of prompts' heads that are found again instead of computed."""

    hit_rate: Ratio
    """Share of prompt tokens whose cache is found."""
    bandwidth: BytesPerSecond
    """Rate per device at which a found cache comes to where it is used."""
    overlap: Ratio
    """Share of loading and of the rest of the prefill, whichever is shorter, that overlap."""
    own_share: Ratio
    """Share of each device's own memory that kept caches take."""


@dataclass(frozen=True)
class Beside:
    """Another case that takes a share of the work: a lighter model, or a pool for prefill."""

    case: Any
    share: Ratio
    """Share of requests that end there, or of prefills."""
    tried: Ratio = 0.0
    """Share of requests that it works on in vain before the case itself answers them."""
    bandwidth: BytesPerSecond = 0.0
    """Rate at which one device of a prefill pool hands caches over."""
    alpha: Seconds = 0.0
    judged: bool = False
    """Whether its answers are shown, or tried again, once they are whole."""


@dataclass(frozen=True)
class Mechanisms:
    """All that mitigations change beside the fields of options."""

    weight_conversion: Array = 0.0
    """FLOPs of a 16-bit matrix unit whose time the conversion of one stored weight takes."""
    expert_conversion: Array = 0.0
    """The same for one stored weight of a routed expert."""
    kv_conversion: Array = 0.0
    """The same for one element of a cache."""
    conversion_rows: Count = 128.0
    """Rows of a product that share one conversion of its weights: a tile."""
    narrowed: tuple[frozenset[str], ...] = ()
    """Tensor classes that each earlier mitigation put into narrower formats."""
    tables: str | None = None
    """Format that embeddings, head and routers were left in; none: they went with the weights."""
    kept: Ratio = 1.0
    """Share of a growing cache that stays after eviction."""
    budget: Count | None = None
    """Most tokens of a growing cache that stay; none means all."""
    drafting: Drafting | None = None
    prefix: Prefix | None = None
    exits: Ratio = 0.0
    """Share of decoded tokens that leave the model early."""
    exit_at: Ratio = 1.0
    """Share of the layers that they pass."""
    fused: Ratio = 0.0
    """How far chunks of prefill and decode steps share one pass where both are due."""
    changes: tuple[Callable[[Any, Any, Any], Any], ...] = ()
    """What kinds of mitigation change of the operators that they name themselves: each takes a
    layout, a pass and one of its blocks, and answers the block."""
    light: Beside | None = None
    pool: Beside | None = None
    quality_loss: Array = 0.0
    """Sum of the shares of a benchmark's score that mitigations cost; not a number: unknown."""
