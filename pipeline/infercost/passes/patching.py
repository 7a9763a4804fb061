"""Passes of models of bytes: its own layers once a patch, light ones beside them once a byte.

The light layers write a patch byte after byte, as a drafter writes drafts, but nothing has to be
verified. Left out: that patches of a batch end at different bytes, attention between bytes and
patches, the model that finds the patches' ends, and traffic of tables of hashed bytes.
"""

from __future__ import annotations

from dataclasses import dataclass

from infercost.arrays import Count
from infercost.operators.base import Layout
from infercost.passes.drafting import together
from infercost.passes.forward import PassCost, pass_cost
from infercost.passes.phases import prefill_pass, step_pass
from infercost.passes.positions import in_positions
from infercost.placement import Footprint, footprint
from infercost.specs.feedforward import DenseFeedForward
from infercost.specs.mechanisms import Mechanisms
from infercost.specs.mixers import GroupedQueryAttention
from infercost.specs.model import LayerGroup
from infercost.specs.patches import LocalLayers as Light
from infercost.specs.prefix_cache import PrefixCache
from infercost.tiers.routes import Routes
from infercost.workloads.lengths import Lengths


@dataclass(frozen=True)
class LocalLayers:
    """The light layers of a model of bytes beside its own, and requests counted in bytes.

    A model of tokens has none: what is its own stays as it is.
    """

    layout: Layout | None
    lengths: Lengths
    patch: Count
    """Bytes of a patch."""

    def memory(self, own: Footprint) -> Footprint:
        """Memory of both."""
        if self.layout is None:
            return own
        return own.beside(footprint(self.layout, self.lengths))

    def step(self, own: PassCost, sequences: Count, routes: Routes | None) -> PassCost:
        """A pass over a patch, then one after the other over its bytes."""
        if self.layout is None:
            return own
        each = step_pass(self.layout, self.lengths, sequences)
        return together(own, pass_cost(self.layout, each, routes), self.patch)

    def prefill(
        self, own: PassCost, prompts: Count, passes: Count, routes: Routes | None
    ) -> PassCost:
        """A pass of a prefill over patches, and one over all of their bytes."""
        if self.layout is None:
            return own
        each = prefill_pass(self.layout, self.lengths, prompts * self.patch, passes)
        return together(own, pass_cost(self.layout, each, routes), 1.0)


def local_layers(layout: Layout, lengths: Lengths) -> LocalLayers:
    """The light layers on the same devices."""
    patches = layout.case.model.patches
    if patches is None or patches.local is None:
        return LocalLayers(None, lengths, 1.0)
    light, each = _local(layout, patches.local), in_positions(lengths, patches.patch)
    return LocalLayers(light, each, patches.patch)


def _local(layout: Layout, local: Light) -> Layout:
    model, plan = layout.case.model, layout.case.plan
    mixer = GroupedQueryAttention(
        kind="gqa",
        n_q_heads=local.n_heads,
        n_kv_heads=local.n_heads,
        d_head=local.d_model // local.n_heads,
        window=local.window,
    )
    changed = {
        "d_model": local.d_model,
        "vocab": local.vocab,
        "positions": 0,
        "mixers": {"local": mixer},
        "ffns": {"local": DenseFeedForward(kind="dense", d_ff=local.d_ff, gated=local.gated)},
        "layers": {"local": LayerGroup(count=local.count, mixer="local", ffn="local")},
        "encoders": {},
        "patches": None,
        "multi_token_prediction": None,
    }
    kept = {
        "model": model.model_copy(update=changed),
        "mechanisms": Mechanisms(
            weight_conversion=layout.case.mechanisms.weight_conversion,
            kv_conversion=layout.case.mechanisms.kv_conversion,
            changes=layout.case.mechanisms.changes,
        ),
        "plan": plan.model_copy(update={"prefix_cache": PrefixCache()}),
    }
    return Layout(layout.case.model_copy(update=kept))
