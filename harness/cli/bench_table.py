"""What `harness bench` prints: its JSON and its table."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from harness.model.bound import LinkBound
from harness.model.format import format_range, format_rate, format_share, format_size, format_time
from harness.model.plan import NetworkPlan
from harness.model.table import Column, Table
from harness.model.units import Size

_NUMBERS: Final = ("size", "median", "min - max", "runs", "algbw", "busbw", "bound", "of median")
_OPTIONAL: Final = ("min - max", "runs", "algbw")


def bench_document(engine: str, plan: NetworkPlan, result: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON of `bench --json`.

    Args:
        engine: what shaped the links, e.g. ``netem``.
        plan: the network as it was while the collectives ran.
        result: of harness.training.bench.

    Returns:
        The network's ``engine``, ``nodes`` (their number), ``topology``, ``profile`` and ``seed``, and the result. Each
        of its ``rows`` has ``bound_seconds`` too: the least time that the links allow; None if a link is down.
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
    """The document as a table, with remarks on collectives below it."""
    title = "{nodes} nodes, {topology}, profile {profile}, seed {seed}, engine {engine}".format(**document)
    if (device := document.get("device", "cpu")) != "cpu":
        title += f", {device}"
    rows = document["rows"]
    notes = dict.fromkeys(f"{row['collective']}: {row['note']}" for row in rows if row.get("note"))
    columns = [Column("collective")]
    columns += [Column(name, right=True, optional=name in _OPTIONAL) for name in _NUMBERS]
    table = Table(title, columns, "\n".join(notes))
    last = None
    for row in rows:
        if last not in (None, row["collective"]):
            table.end_section()
        bound, median = row["bound_seconds"], row["seconds_median"]
        table.add_row(
            row["collective"] if row["collective"] != last else "",
            format_size(Size(row["bytes"]) if row["bytes"] else None),
            format_time(median),
            format_range(row["seconds_min"], row["seconds_max"], format_time),
            str(row.get("repeats", "")),
            format_rate(row["algbw_bit_s"] or None),
            format_rate(row["busbw_bit_s"] or None),
            format_time(bound or None),
            format_share(bound / median if bound and median else None),
        )
        last = row["collective"]
    return table
