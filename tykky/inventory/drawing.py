"""A graph as people see it: a tree of text, the language of Graphviz, or a picture."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import pairwise
from xml.sax.saxutils import escape

from tykky.inventory.graph import Graph

#: How wide a letter is, how high a line, and how far boxes are apart, in pixels.
_LETTER, _HEIGHT, _ACROSS, _DOWN = 7.3, 24, 60, 12
_SHAPES = {"base": "box3d", "package": "plaintext"}
_COLOURS = {"base": "#dbe9f6", "install": "#ffffff", "package": "#ffffff"}


def tree(graph: Graph, tops: Sequence[str]) -> Iterator[str]:
    """Lines, each node below what stands on it; what stands below a second time is not repeated."""
    seen: set[str] = set()
    # Each node that is to be told: before its line, and before those of what is below it.
    todo = [(each, "", "") for each in reversed(tops)]
    while todo:
        each, start, below = todo.pop()
        others = [other for other in graph.edges.get(each, ()) if other in graph.nodes]
        again = each in seen and bool(others)
        yield f"{start}{graph.nodes[each].text}{' ...' if again else ''}"
        if again:
            continue
        seen.add(each)
        last = len(others) - 1
        for number in reversed(range(len(others))):
            ends = number == last
            line = f"{below}{'└── ' if ends else '├── '}"
            todo.append((others[number], line, f"{below}{'    ' if ends else '│   '}"))


def dot(graph: Graph) -> Iterator[str]:
    """The graph in the language of Graphviz."""
    yield "digraph tykky {"
    yield "  rankdir=LR; node [shape=box, fontname=sans];"
    for each, node in graph.nodes.items():
        shape = f", shape={_SHAPES[node.kind]}" if node.kind in _SHAPES else ""
        yield f"  {_quoted(each)} [label={_quoted(node.text)}{shape}];"
    for each, others in graph.edges.items():
        for other in others:
            yield f"  {_quoted(each)} -> {_quoted(other)};"
    yield "}"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def svg(graph: Graph) -> Iterator[str]:
    """A picture: what stands on something is left of it."""
    columns = _columns(graph)
    at: dict[str, tuple[float, float, float]] = {}
    left = float(_DOWN)
    for column in columns:
        width = max(len(graph.nodes[each].text) for each in column) * _LETTER + 16
        for number, each in enumerate(column):
            at[each] = left, _DOWN + number * (_HEIGHT + _DOWN), width
        left += width + _ACROSS
    height = max(map(len, columns), default=0) * (_HEIGHT + _DOWN) + _DOWN
    size = f'width="{max(left - _ACROSS + _DOWN, 1):.0f}" height="{height}"'
    yield f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="monospace" font-size="12">'
    for each, others in graph.edges.items():
        x, y, width = at[each]
        for other in others:
            to, down, _ = at[other]
            line = f"M{x + width:.0f},{y + _HEIGHT / 2:.0f} C{x + width + _ACROSS / 2:.0f},"
            line += f"{y + _HEIGHT / 2:.0f} {to - _ACROSS / 2:.0f},{down + _HEIGHT / 2:.0f} "
            line += f"{to:.0f},{down + _HEIGHT / 2:.0f}"
            yield f'<path d="{line}" fill="none" stroke="#777777"/>'
    for each, (x, y, width) in at.items():
        node = graph.nodes[each]
        yield (
            f'<rect x="{x:.0f}" y="{y:.0f}" width="{width:.0f}" height="{_HEIGHT}" rx="3" '
            f'fill="{_COLOURS[node.kind]}" stroke="#777777"/>'
        )
        yield f'<text x="{x + 8:.0f}" y="{y + 16:.0f}">{escape(node.text)}</text>'
    yield "</svg>"


def _columns(graph: Graph) -> list[list[str]]:
    """The nodes in columns, each right of all that stands on it, and near to that."""
    depth = dict.fromkeys(graph.nodes, 0)
    pairs = [(one, other) for one, others in graph.edges.items() for other in others]
    # As often as a path can be long; in a circle, it would never end.
    for _ in range(min(len(graph.nodes), 50)):
        longer = [(a, b) for a, b in pairs if depth[b] <= depth[a] < len(graph.nodes)]
        if not longer:
            break
        for one, other in longer:
            depth[other] = max(depth[other], depth[one] + 1)
    found: dict[int, list[str]] = {}
    for each in graph.nodes:
        found.setdefault(depth[each], []).append(each)
    columns = [found[number] for number in sorted(found)]
    above = graph.reverse().edges
    for before, column in pairwise(columns):
        rows = {each: number for number, each in enumerate(before)}
        near = {e: [rows[o] for o in above.get(e, ()) if o in rows] or [len(rows)] for e in column}
        column.sort(key=lambda each: sum(near[each]) / len(near[each]))
    return columns
