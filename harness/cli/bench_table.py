"""What `harness bench` prints: the document for programs, the table for people."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from harness.model.bound import LinkBound
from harness.model.plan import NetworkPlan
from harness.model.units import Size


def bench_document(engine: str, plan: NetworkPlan, result: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON of `bench --json`.

    Args:
        engine: what shaped the links, e.g. ``netem``.
        plan: the network as it was while the collectives ran.
        result: the `result` that harness.training.bench told.

    Returns:
        ``engine``, ``nodes`` (their number), ``topology``, ``profile``, ``seed``, what the result says beside its rows
        (``torch``, ``start``), and ``rows``: the result's, each with ``bound_seconds``, the least time that the links
        allow, or None where a link that is down allows none.
    """
    bound = LinkBound(plan)
    rows = []
    for row in result["rows"]:
        least = bound.seconds(row["collective"], row["bytes"])
        rows.append({**row, "bound_seconds": least if math.isfinite(least) else None})
    rest = {key: value for key, value in result.items() if key not in ("rows", "world_size")}
    return {
        "engine": engine,
        "nodes": plan.size,
        "topology": plan.topology,
        "profile": plan.profile,
        "seed": plan.seed,
        **rest,
        "rows": rows,
    }


def bench_table(document: Mapping[str, Any]) -> Table:
    """The document as a table that fits 100 columns; remarks on a collective stand below it."""
    title = "{nodes} nodes, {topology}, profile {profile}, seed {seed}, engine {engine}".format(**document)
    rows = document["rows"]
    notes = dict.fromkeys(f"{row['collective']}: {row['note']}" for row in rows if row.get("note"))
    table = Table(
        title=title, caption="\n".join(notes) or None, caption_justify="left", box=SIMPLE_HEAD, collapse_padding=True
    )
    table.add_column("collective", no_wrap=True)
    for name in ("size", "median", "min - max", "runs", "algbw", "busbw", "bound", "of median"):
        table.add_column(name, justify="right", no_wrap=True)
    last = None
    for row in rows:
        if last not in (None, row["collective"]):
            table.add_section()
        bound, median = row["bound_seconds"], row["seconds_median"]
        table.add_row(
            row["collective"] if row["collective"] != last else "",
            _size(row["bytes"]) if row["bytes"] else "-",
            _seconds(median),
            f"{_seconds(row['seconds_min'])} - {_seconds(row['seconds_max'])}",
            str(row.get("repeats", "")),
            _rate(row["algbw_bit_s"]),
            _rate(row["busbw_bit_s"]),
            _seconds(bound) if bound else "-",
            f"{bound / median:.0%}" if bound and median else "-",
        )
        last = row["collective"]
    return table


def _size(value: int) -> str:
    exact = str(Size(value))
    return exact if len(exact) <= 8 else f"{value / 1024**2:.2f}MiB"


def _seconds(value: float) -> str:
    for unit, factor in (("s", 1.0), ("ms", 1e3), ("us", 1e6)):
        if value * factor >= 0.9995:
            return f"{_three_digits(value * factor)}{unit}"
    return f"{value * 1e6:.2f}us"


def _rate(bit_s: float) -> str:
    if not bit_s:
        return "-"
    for prefix, factor in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if bit_s >= factor * 0.9995:
            return f"{_three_digits(bit_s / factor)}{prefix}bit"
    return f"{bit_s:.0f}bit"


def _three_digits(value: float) -> str:
    return f"{value:.{max(0, 2 - math.floor(math.log10(value * 1.0005)))}f}"
