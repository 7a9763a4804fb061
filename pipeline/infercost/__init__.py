"""infercost: what a token of LLM inference costs, and which resource sets the price."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from infercost.effects import evaluate
    from infercost.errors import NoEffect, SpecError
    from infercost.evaluation import evaluate_arrow
    from infercost.uncertainty.intervals import intervals

__version__ = "0.1.0"
__all__ = ["NoEffect", "SpecError", "__version__", "evaluate", "evaluate_arrow", "intervals"]


def __getattr__(name: str) -> Any:
    """Import the public names on first use: `import infercost` itself costs nothing."""
    if name == "evaluate":
        from infercost.effects import evaluate

        return evaluate
    if name == "evaluate_arrow":
        from infercost.evaluation import evaluate_arrow

        return evaluate_arrow
    if name == "intervals":
        from infercost.uncertainty.intervals import intervals

        return intervals
    if name in ("NoEffect", "SpecError"):
        from infercost import errors

        return getattr(errors, name)
    raise AttributeError(f"module 'infercost' has no attribute '{name}'")
