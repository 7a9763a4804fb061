"""Sparse attention: an indexer chooses which cached tokens a query attends to."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from infercost.specs.fields import BytesField, CountField, CountOrZeroField
from infercost.specs.mitigation import BaseMitigation
from infercost.specs.mixers import Indexer

if TYPE_CHECKING:
    from infercost.specs.case import Case


class SparseAttention(BaseMitigation):
    """An indexer in front of every attention layer that sees the whole context; 0 adds none.

    The cache stays whole, and its index keys come on top.
    """

    SWITCHES: ClassVar = {"top_k": (0.0,)}

    kind: Literal["sparse_attention"]
    top_k: CountOrZeroField
    """Tokens that a query attends to."""
    n_heads: CountField
    d_index: CountField
    key: BytesField
    """Cached index key of one token, scales included."""

    def applied(self, case: Case) -> Case:
        """The case with indexers in its model."""
        model = case.model
        if model.generation.kind not in ("autoregressive", "block_diffusion"):
            raise self.refused(case, "it keeps no cache to choose from", self.instead(case))
        indexer = Indexer.model_construct(
            n_heads=self.n_heads, d_index=self.d_index, top_k=self.top_k, key=self.key
        )
        changed = {
            name: mixer.model_copy(update={"indexer": indexer})
            for name, mixer in model.mixers.items()
            if mixer.kind in ("gqa", "mla") and mixer.window is None and mixer.indexer is None
        }
        if not changed:
            fault = "no layer of it attends to the whole context without choosing"
            raise self.refused(case, fault, self.instead(case))
        sparse = model.model_copy(update={"mixers": {**model.mixers, **changed}})
        return case.model_copy(update={"model": sparse})
