"""The records and the figures as tables, for CSV and Parquet files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Final

from harness.experiment.report.analysis import Analysis
from harness.experiment.report.analysis.curves import origin
from harness.experiment.report.analysis.figures import RunFigures
from harness.experiment.report.analysis.links import zeros
from harness.experiment.report.analysis.logged import parameters
from harness.experiment.report.load.rank_records import Rank

Row = tuple[object, ...]
Kind = type[str] | type[int] | type[float]


@dataclass(frozen=True)
class RecordTable:
    """Rows under named columns.

    Args:
        name: of the table.
        columns: name -> type of its values; any value may be None.
        rows: can be read once.
    """

    name: str
    columns: Mapping[str, Kind]
    rows: Iterator[Row]


_RUN: Final[Mapping[str, Kind]] = {"run": str, "profile": str, "topology": str, "strategy": str, "seed": int}
_SUMMARY: Final[Mapping[str, Kind]] = {
    **_RUN, "status": str, "target_loss": float, "outcome": str, "seconds_to_target": float, "bytes_to_target": int,
    "least_loss": float, "accuracy": float, "steps": int, "seconds": float, "sent_bytes": int,
    "step_seconds_compute": float, "step_seconds_comm": float, "step_seconds_p50": float, "step_seconds_p95": float,
    "bus_bit_s": float, "bus_bound_bit_s": float, "dropped_packets": int, "retransmitted_segments": int,
    "target_accuracy": float, "network_seed": int, "cause": str, "explanation": str,
}  # fmt: skip
_STEPS: Final[Mapping[str, Kind]] = {
    **_RUN, "rank": int, "step": int, "elapsed": float, "loss": float, "seconds": float, "seconds_compute": float,
    "seconds_comm": float, "sent_bytes": int, "received_bytes": int,
}  # fmt: skip
_EVALS: Final[Mapping[str, Kind]] = {
    **_RUN, "rank": int, "step": int, "elapsed": float, "loss": float, "accuracy": float,
}  # fmt: skip
_LINKS: Final[Mapping[str, Kind]] = {
    **_RUN, "attempt": int, "elapsed": float, "src": int, "dst": int, "sent_packets": int, "sent_bytes": int,
    "dropped": int, "backlog_bytes": int, "backlog_packets": int,
}  # fmt: skip
_FLOWS: Final[Mapping[str, Kind]] = {
    **_RUN, "attempt": int, "elapsed": float, "src": int, "dst": int, "src_port": int, "dst_port": int,
    "congestion_control": str, "cwnd": int, "rtt": float, "retransmits": int, "delivery_rate": float,
    "acked_bytes": int, "busy": float, "rwnd_limited": float,
}  # fmt: skip
_COLLECTIVES: Final[Mapping[str, Kind]] = {
    **_RUN, "rank": int, "op": str, "start": float, "seconds": float, "bytes": int, "ranks": int, "group": str,
    "step": int,
}  # fmt: skip
_LOGGED: Final[Mapping[str, Kind]] = {**_RUN, "rank": int, "step": int, "elapsed": float, "name": str, "value": float}


def record_tables(analysis: Analysis) -> list[RecordTable]:
    """Tables of the summary, steps, evaluations and link samples, and, if there are any, of flows, single collectives
    and logged values.
    """
    names = list(dict.fromkeys(name for run in analysis.runs for name in parameters(run.run)))
    summary = {**_SUMMARY, **{f"parameter_{name}": str for name in names}}
    ranks = [rank for run in analysis.runs for rank in run.run.ranks]
    tables = [
        RecordTable("summary", summary, _summary_rows(analysis, names)),
        RecordTable("steps", _STEPS, _rank_rows(analysis, lambda rank: rank.steps, _STEPS)),
        RecordTable("evals", _EVALS, _rank_rows(analysis, lambda rank: rank.evals, _EVALS)),
        RecordTable("links", _LINKS, _link_rows(analysis)),
    ]
    if any(run.run.flows for run in analysis.runs):
        tables.append(RecordTable("flows", _FLOWS, _flow_rows(analysis)))
    if any(rank.timed for rank in ranks):
        rows = _rank_rows(analysis, lambda rank: rank.timed, _COLLECTIVES)
        tables.append(RecordTable("collectives", _COLLECTIVES, rows))
    if any(rank.logs for rank in ranks):
        tables.append(RecordTable("logged", _LOGGED, _logged_rows(analysis)))
    return tables


def _names(run: RunFigures) -> Row:
    return run.run.slug, run.run.profile, run.run.topology, run.run.label, run.run.seed


def _summary_rows(analysis: Analysis, names: Sequence[str]) -> Iterator[Row]:
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
                run.explanation.cause,
                run.explanation.sentence,
                *(parameters(run.run).get(name) for name in names),
            )


def _rank_rows(
    analysis: Analysis, records: Callable[[Rank], Sequence[Any]], columns: Mapping[str, Kind]
) -> Iterator[Row]:
    """A row per record of a rank; the columns after ``rank`` are attributes of the record."""
    values = attrgetter(*list(columns)[len(_RUN) + 1 :])
    for run in analysis.runs:
        for rank in run.run.ranks:
            for record in records(rank):
                yield (*_names(run), rank.rank, *values(record))


def _link_rows(analysis: Analysis) -> Iterator[Row]:
    for run in analysis.runs:
        zero = zeros(run.run)
        for sample in run.run.links:
            elapsed = sample.time - zero[sample.attempt] if sample.attempt in zero else None
            for (src, dst), now in sorted(sample.edges.items()):
                yield (*_names(run), sample.attempt, elapsed, src, dst, *now)


def _flow_rows(analysis: Analysis) -> Iterator[Row]:
    for run in analysis.runs:
        zero = zeros(run.run)
        for flow in run.run.flows:
            ends = (flow.src, flow.dst, flow.src_port, flow.dst_port, flow.congestion_control)
            for sample in flow.samples:
                elapsed = sample.time - zero[flow.attempt] if flow.attempt in zero else None
                yield (*_names(run), flow.attempt, elapsed, *ends, *sample[1:])


def _logged_rows(analysis: Analysis) -> Iterator[Row]:
    for run in analysis.runs:
        began = origin(run.run)
        for rank in run.run.ranks:
            for logged in rank.logs:
                elapsed = logged.time - began if began is not None else None
                for name, value in logged.values.items():
                    yield (*_names(run), rank.rank, logged.step, elapsed, name, value)
