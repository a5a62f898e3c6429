"""Draws a plan: ranks, edges, and the shape of every edge."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeAlias

from markupsafe import Markup

from harness.experiment.report.page.rendering import render
from harness.experiment.report.page.theme import FONT
from harness.model.format import format_rate, format_share, format_time
from harness.model.link import Pair
from harness.model.node_plan import PlannedEdge
from harness.model.plan import NetworkPlan

WIDTH: Final = 460
HEIGHT: Final = 360
_MARGIN: Final = 64
_NODE: Final = 16
_SIZES: Final = tuple((round(WIDTH * scale), round(HEIGHT * scale)) for scale in (1, 1.25, 1.5))
"""Sizes of a drawing; the first with room for the labels is used."""
_LETTER: Final = 7.2
"""The most pixels that a letter of a label is wide."""
LINE: Final = 16
"""Height of a line of a label."""
_SHARES: Final = (0.5, 0.4, 0.6, 0.34, 0.66, 0.28, 0.72)
"""Positions of a label as shares of its edge's length, the best first."""
_CENTRE: Final = 40
"""Radius around the centre, where edges cross and a label would be ambiguous."""
MOST_LABELS: Final = 28
"""The most edges with labels; the table beside the drawing has all."""
Point = tuple[float, float]


def topology_svg(plan: NetworkPlan, colour: Callable[[str], str], paper: bool = False) -> Markup:
    """The network as an SVG; ``colour``: a function of theme; ``paper``: whether it has a background, for images."""
    pairs = sorted({(min(edge), max(edge)) for edge in plan.edges})
    words = {pair: edge_words(plan, *pair) for pair in pairs} if len(pairs) <= MOST_LABELS else {}
    size, labels = next(
        ((size, found) for size in _SIZES if (found := place_labels(words, positions(plan, size), size)) is not None),
        ((WIDTH, HEIGHT), {}),
    )
    places = positions(plan, size)
    return render(
        "topology.svg.j2",
        title=f"{plan.topology} of {plan.size} nodes, profile {plan.profile}, seed {plan.seed}",
        width=size[0],
        height=size[1],
        font=FONT,
        radius=_NODE,
        colour=colour,
        paper=paper,
        lines=[(places[a], places[b], plan.edges[a, b].down and plan.edges[b, a].down) for a, b in pairs],
        places=places,
        labels=[(place, words[pair]) for pair, place in labels.items()],
    )


def edge_words(plan: NetworkPlan, a: int, b: int) -> list[str]:
    """The edge's shape in short lines; each direction separately if they differ."""
    there, back = plan.edges[a, b], plan.edges[b, a]
    if (there.shape, there.down) == (back.shape, back.down):
        return _shape_lines(there)
    return [f"{edge.src}→{edge.dst}: {' · '.join(_shape_lines(edge))}" for edge in (there, back)]


def _shape_lines(edge: PlannedEdge) -> list[str]:
    """``94.1 Mbit/s`` and ``23.1 ms · 0.1 %``, or ``down``, or ``unshaped``."""
    if edge.down:
        return ["down"]
    shape = edge.shape
    delay = [format_time(shape.delay)] if shape.delay.ns else []
    loss = [format_share(shape.mean_loss)] if shape.mean_loss else []
    lines = [format_rate(shape.rate) if shape.rate else "", " · ".join(delay + loss)]
    return [line for line in lines if line] or ["unshaped"]


def positions(plan: NetworkPlan, size: tuple[int, int] = (WIDTH, HEIGHT)) -> dict[int, Point]:
    """The positions of ranks: a star around its centre, trees and grids in rows, others on a circle."""
    nodes, pairs = plan.size, len(plan.edges) // 2
    hub = next((rank for rank in range(nodes) if len(plan.neighbours(rank)) == nodes - 1), None)
    if pairs == nodes - 1 and hub is not None and nodes > 3:
        rest = [rank for rank in range(nodes) if rank != hub]
        return {hub: (size[0] / 2, size[1] / 2), **_circle(rest, size)}
    if plan.topology.startswith("tree") and pairs == nodes - 1:
        return _rows(_levels(plan), size)
    if plan.topology.startswith("grid") and nodes > 3:
        columns = max(plan.neighbours(0))
        return _rows(
            [list(range(first, min(first + columns, nodes))) for first in range(0, nodes, columns)], size, columns
        )
    return _circle(list(range(nodes)), size)


def _circle(ranks: list[int], size: tuple[int, int]) -> dict[int, Point]:
    corners = 1.25 if len(ranks) == 4 else 1.0
    wide, high = (size[0] / 2 - _MARGIN) * corners, (size[1] / 2 - _NODE - 18) * corners
    turn = -math.pi / 2 if len(ranks) != 4 else -math.pi * 3 / 4
    if len(ranks) == 2:
        turn = math.pi
    angles = {rank: turn + 2 * math.pi * place / len(ranks) for place, rank in enumerate(ranks)}
    return {
        rank: (size[0] / 2 + wide * math.cos(angle), size[1] / 2 + high * math.sin(angle))
        for rank, angle in angles.items()
    }


def _rows(rows: list[list[int]], size: tuple[int, int], columns: int | None = None) -> dict[int, Point]:
    """Rows from top to bottom; a grid's are filled from the left, others are centred."""
    high = (size[1] - 2 * (_NODE + 18)) / max(1, len(rows) - 1)
    found = {}
    for row, ranks in enumerate(rows):
        across = columns or len(ranks)
        for column, rank in enumerate(ranks):
            share = (column + 0.5) / across
            y = size[1] / 2 if len(rows) == 1 else _NODE + 18 + high * row
            found[rank] = (_MARGIN / 2 + share * (size[0] - _MARGIN), y)
    return found


def _levels(plan: NetworkPlan) -> list[list[int]]:
    """The ranks at each distance from rank 0."""
    depths = [len(plan.path(0, rank)) for rank in range(plan.size)]
    return [[rank for rank, depth in enumerate(depths) if depth == level] for level in range(max(depths) + 1)]


def place_labels(
    words: Mapping[Pair, Sequence[str]], places: Mapping[int, Point], size: tuple[int, int]
) -> dict[Pair, Point] | None:
    """The positions of labels on their edges, clear of nodes and other labels; None where there is no room.

    ``words``: the lines of each edge's label; ``places``: of the nodes.
    """
    nodes = [_box(place, (2 * _NODE, 2 * _NODE)) for place in places.values()]
    taken: list[_Box] = []
    found: dict[Pair, Point] = {}
    for pair, lines in words.items():
        extent = max(map(len, lines)) * _LETTER, len(lines) * LINE
        (x1, y1), (x2, y2) = places[pair[0]], places[pair[1]]
        crossing = len(places) > 2 and math.dist(((x1 + x2) / 2, (y1 + y2) / 2), (size[0] / 2, size[1] / 2)) < _CENTRE
        for share in _SHARES[3:] if crossing else _SHARES:
            x = min(max(x1 + (x2 - x1) * share, extent[0] / 2), size[0] - extent[0] / 2)
            place = x, y1 + (y2 - y1) * share
            box = _box(place, extent)
            if not any(_meet(box, other) for other in (*nodes, *taken)):
                found[pair] = place
                taken.append(box)
                break
        else:
            return None
    return found


_Box: TypeAlias = tuple[float, float, float, float]


def _box(middle: Point, extent: tuple[float, float]) -> _Box:
    (x, y), (width, height) = middle, extent
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


def _meet(one: _Box, other: _Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
