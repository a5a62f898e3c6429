"""The records and the figures as CSV files, for spreadsheets and data frames."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from harness.experiment.report.analysis import Analysis
from harness.experiment.report.analysis.figures import RunFigures
from harness.experiment.report.analysis.links import zeros

Row = tuple[object, ...]


def write_csv(analysis: Analysis, prefix: str, folder: Path) -> list[Path]:
    """Write the summary, and every step, evaluation and link sample; returns the files."""
    tables: dict[str, tuple[Sequence[str], Iterable[Row]]] = {
        "summary": (SUMMARY, _summary_rows(analysis)),
        "steps": (STEPS, _step_rows(analysis)),
        "evals": (EVALS, _eval_rows(analysis)),
        "links": (LINKS, _link_rows(analysis)),
    }
    written = []
    for name, (columns, rows) in tables.items():
        path = folder / f"{prefix}{name}.csv"
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(columns)
            writer.writerows(rows)
        written.append(path)
    return written


_RUN: Final = ("run", "profile", "topology", "strategy", "seed")
SUMMARY: Final = (
    *_RUN, "status", "target_loss", "outcome", "seconds_to_target", "bytes_to_target", "least_loss", "accuracy",
    "steps", "seconds", "sent_bytes", "step_seconds_compute", "step_seconds_comm", "step_seconds_p50",
    "step_seconds_p95", "bus_bit_s", "bus_bound_bit_s", "dropped_packets", "retransmitted_segments",
    "target_accuracy", "network_seed",
)  # fmt: skip
STEPS: Final = (
    *_RUN, "rank", "step", "elapsed", "loss", "seconds", "seconds_compute", "seconds_comm", "sent_bytes",
    "received_bytes",
)  # fmt: skip
EVALS: Final = (*_RUN, "rank", "step", "elapsed", "loss", "accuracy")
LINKS: Final = (
    *_RUN, "attempt", "elapsed", "src", "dst", "sent_packets", "sent_bytes", "dropped", "backlog_bytes",
    "backlog_packets",
)  # fmt: skip


def _names(run: RunFigures) -> Row:
    return run.run.slug, run.run.profile, run.run.topology, run.run.label, run.run.seed


def _summary_rows(analysis: Analysis) -> Iterator[Row]:
    for scenario in analysis.scenarios:
        for run in scenario.runs:
            hit = run.curve.reached(scenario.target) if scenario.target is not None else None
            yield (
                *_names(run),
                run.run.status,
                scenario.target_value("loss"),
                run.outcome(scenario.target) if scenario.target is not None else None,
                hit.seconds if hit else None,
                hit.bytes if hit else None,
                run.best.loss if run.best else None,
                run.best.accuracy if run.best else None,
                run.steps,
                run.seconds,
                run.sent_bytes,
                run.compute,
                run.comm,
                run.step_p50,
                run.step_p95,
                run.bus.bit_s if run.bus else None,
                run.bus.bound_bit_s if run.bus else None,
                run.links.dropped if run.links else None,
                run.links.retransmitted if run.links else None,
                scenario.target_value("accuracy"),
                run.run.seeds[0],
            )


def _step_rows(analysis: Analysis) -> Iterator[Row]:
    for run in analysis.runs:
        for rank in run.run.ranks:
            for step in rank.steps:
                times = (step.seconds, step.seconds_compute, step.seconds_comm)
                yield (*_names(run), rank.rank, step.step, step.elapsed, step.loss, *times, step.sent_bytes,
                       step.received_bytes)  # fmt: skip


def _eval_rows(analysis: Analysis) -> Iterator[Row]:
    for run in analysis.runs:
        for rank in run.run.ranks:
            for one in rank.evals:
                yield (*_names(run), rank.rank, one.step, one.elapsed, one.loss, one.accuracy)


def _link_rows(analysis: Analysis) -> Iterator[Row]:
    for run in analysis.runs:
        zero = zeros(run.run)
        for sample in run.run.links:
            elapsed = sample.time - zero[sample.attempt] if sample.attempt in zero else None
            for (src, dst), now in sorted(sample.edges.items()):
                counts = (now.sent_packets, now.sent_bytes, now.dropped, now.backlog_bytes, now.backlog_packets)
                yield (*_names(run), sample.attempt, elapsed, src, dst, *counts)
