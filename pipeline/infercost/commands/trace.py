"""`--provenance` of explain, replay and fleet (`--trace` too): a figure as a tree of its inputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infercost.commands.output import print_json

if TYPE_CHECKING:
    from infercost.tracing.nodes import Node


def print_tree(tree: Node, as_json: bool) -> None:
    """A tree on standard output, as text or as JSON."""
    if as_json:
        print_json(tree.to_plain())
    else:
        print("\n".join(lines(tree)))


def told(node: Node) -> str:
    """One line of a node: value, unit, and where an input comes from."""
    line = f"{node.name} = {node.value:.5g} {node.unit if node.unit != '1' else ''}".rstrip()
    if node.how in ("sum", "product") and len(node.terms) > 1:
        line += f"   [{node.how}]"
    if node.formula:
        line += f"   {node.formula}"
    if node.source or node.file:
        line += f"   <- {'; '.join(part for part in (node.source, node.file) if part)}"
    return line


def lines(node: Node, stem: str = "", seen: set[str] | None = None) -> list[str]:
    """The tree as text; what has been shown above is not shown again."""
    seen = set() if seen is None else seen
    shown = [told(node)]
    mark = f"{node.name}={node.value!r}"
    if node.terms and mark in seen:
        return [f"{told(node)}   (as above)"]
    seen.add(mark)
    for position, term in enumerate(node.terms):
        last = position == len(node.terms) - 1
        below = lines(term, stem, seen)
        shown.append(f"{'└─ ' if last else '├─ '}{below[0]}")
        shown += [f"{'   ' if last else '│  '}{line}" for line in below[1:]]
    return shown
