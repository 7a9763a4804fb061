"""infercost: what a token of LLM inference costs, and which resource sets the price."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from infercost.errors import SpecError
    from infercost.evaluation import evaluate, evaluate_arrow
    from infercost.over_draws import intervals

__version__ = "0.1.0"
__all__ = ["SpecError", "__version__", "evaluate", "evaluate_arrow", "intervals"]


def __getattr__(name: str) -> Any:
    """Import the public names on first use: `import infercost` itself costs nothing."""
    if name in ("evaluate", "evaluate_arrow"):
        from infercost import evaluation

        return getattr(evaluation, name)
    if name == "intervals":
        from infercost.over_draws import intervals

        return intervals
    if name == "SpecError":
        from infercost.errors import SpecError

        return SpecError
    raise AttributeError(f"module 'infercost' has no attribute '{name}'")
