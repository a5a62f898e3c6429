"""A plan as a drawing: ranks, edges, and on every edge what its links do."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from typing import Final

from markupsafe import Markup

from harness.experiment.report.page.rendering import render
from harness.experiment.report.page.theme import FONT
from harness.model.format import format_rate, format_share, format_time
from harness.model.link import LinkShape
from harness.model.plan import NetworkPlan, PlannedEdge

WIDTH: Final = 460
HEIGHT: Final = 360
_MARGIN: Final = 64
_NODE: Final = 16
MOST_LABELS: Final = 15
"""Edges up to which a drawing has room for what they do; the table beside it has them all."""
Point = tuple[float, float]


def topology_svg(plan: NetworkPlan, colour: Callable[[str], str]) -> Markup:
    """The network as an SVG.

    Args:
        plan: of the network.
        colour: name -> colour, see theme.
    """
    places = positions(plan)
    pairs = sorted({(min(edge), max(edge)) for edge in plan.edges})
    lines = [(places[a], places[b], plan.edges[a, b].down and plan.edges[b, a].down) for a, b in pairs]
    labels = [(_label_place(a, b, plan.size, places), edge_words(plan, a, b)) for a, b in pairs]
    return render(
        "topology.svg.j2",
        title=f"{plan.topology} of {plan.size} nodes, profile {plan.profile}, seed {plan.seed}",
        width=WIDTH,
        height=HEIGHT,
        font=FONT,
        radius=_NODE,
        colour=colour,
        lines=lines,
        places=places,
        labels=labels if len(pairs) <= MOST_LABELS else [],
    )


def edge_words(plan: NetworkPlan, a: int, b: int) -> list[str]:
    """What the edge does, in short lines; each direction by itself where they differ."""
    there, back = plan.edges[a, b], plan.edges[b, a]
    if (there.shape, there.down) == (back.shape, back.down):
        rate, rest = _rate(there), _rest(there)
        return [line for line in (rate, rest) if line] or ["unshaped"]
    return [f"{edge.src}→{edge.dst}: {shape_words(edge) or 'unshaped'}" for edge in (there, back)]


def shape_words(edge: PlannedEdge) -> str:
    """``94.1 Mbit/s · 23.1 ms · 0.1 %``; empty for a link that does nothing."""
    return " · ".join(part for part in (_rate(edge), _rest(edge)) if part)


def _rate(edge: PlannedEdge) -> str:
    return format_rate(edge.shape.rate) if edge.shape.rate and not edge.down else ""


def _rest(edge: PlannedEdge) -> str:
    if edge.down:
        return "down"
    shape: LinkShape = edge.shape
    parts = [format_time(shape.delay)] if shape.delay.ns else []
    if shape.mean_loss:
        parts.append(format_share(shape.mean_loss))
    return " · ".join(parts)


def positions(plan: NetworkPlan) -> dict[int, Point]:
    """Where ranks are drawn: a star around its centre, trees and grids in rows, all else on a circle."""
    size, pairs = plan.size, len(plan.edges) // 2
    hub = next((rank for rank in range(size) if len(plan.neighbours(rank)) == size - 1), None)
    if pairs == size - 1 and hub is not None and size > 3:
        rest = [rank for rank in range(size) if rank != hub]
        return {hub: (WIDTH / 2, HEIGHT / 2), **_circle(rest)}
    if plan.topology.startswith("tree") and pairs == size - 1:
        return _rows(_levels(plan))
    if plan.topology.startswith("grid") and size > 3:
        columns = max(plan.neighbours(0))
        return _rows([list(range(first, min(first + columns, size))) for first in range(0, size, columns)], columns)
    return _circle(list(range(size)))


def _circle(ranks: list[int]) -> dict[int, Point]:
    corners = 1.25 if len(ranks) == 4 else 1.0
    wide, high = (WIDTH / 2 - _MARGIN) * corners, (HEIGHT / 2 - _NODE - 18) * corners
    turn = -math.pi / 2 if len(ranks) != 4 else -math.pi * 3 / 4
    if len(ranks) == 2:
        turn = math.pi
    angles = {rank: turn + 2 * math.pi * place / len(ranks) for place, rank in enumerate(ranks)}
    return {
        rank: (WIDTH / 2 + wide * math.cos(angle), HEIGHT / 2 + high * math.sin(angle))
        for rank, angle in angles.items()
    }


def _rows(rows: list[list[int]], columns: int | None = None) -> dict[int, Point]:
    """Rows from top to bottom; a grid's are filled from the left, others are centred."""
    high = (HEIGHT - 2 * (_NODE + 18)) / max(1, len(rows) - 1)
    found = {}
    for row, ranks in enumerate(rows):
        across = columns or len(ranks)
        for column, rank in enumerate(ranks):
            share = (column + 0.5) / across
            y = HEIGHT / 2 if len(rows) == 1 else _NODE + 18 + high * row
            found[rank] = (_MARGIN / 2 + share * (WIDTH - _MARGIN), y)
    return found


def _levels(plan: NetworkPlan) -> list[list[int]]:
    """Ranks by their distance from rank 0."""
    depth, queue = {0: 0}, deque([0])
    while queue:
        rank = queue.popleft()
        for near in plan.neighbours(rank):
            if near not in depth:
                depth[near] = depth[rank] + 1
                queue.append(near)
    return [[rank for rank in sorted(depth) if depth[rank] == level] for level in range(max(depth.values()) + 1)]


def _label_place(a: int, b: int, size: int, places: dict[int, Point]) -> Point:
    """The middle of the edge; nearer to one end where the edge crosses the drawing's centre, as others do there."""
    (x1, y1), (x2, y2) = places[a], places[b]
    middle = math.dist(((x1 + x2) / 2, (y1 + y2) / 2), (WIDTH / 2, HEIGHT / 2))
    share = 0.3 if middle < 40 and size > 2 else 0.5
    if abs(x1 - x2) < 60 < abs(y1 - y2) and b % 2 and share == 0.5:
        share = 0.34  # steep edges of a tree lie side by side
    return x1 + (x2 - x1) * share, y1 + (y2 - y1) * share
