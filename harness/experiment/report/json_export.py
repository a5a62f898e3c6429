"""The analysis as JSON, for programs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

from harness.experiment.report.analysis import Analysis, Comparison, Scenario
from harness.experiment.report.figures import RunFigures
from harness.experiment.report.groups import RunGroup, SeedSpread
from harness.experiment.report.summary import headline, sentence

VERSION: Final = 1


def document(analysis: Analysis) -> dict[str, Any]:
    """The JSON of `report --json`: everything but the curves; times in seconds, sizes in bytes, rates in bit/s."""
    experiment = analysis.experiment
    made = {
        "version": VERSION,
        "id": experiment.id,
        "name": experiment.name,
        "created": experiment.created,
        "answer": headline(analysis),
        "facets": [_facet(analysis, facet) for facet in analysis.facets],
        "runs": [_run(run) for run in analysis.runs],
        "not_begun": list(experiment.missing),
        "notes": [asdict(note) for note in experiment.notes],
    }
    return dict(_finite(made))


def _facet(analysis: Analysis, facet: Scenario) -> dict[str, Any]:
    win = facet.win
    return {
        "profile": facet.profile,
        "topology": facet.topology,
        "nodes": facet.nodes,
        "target_loss": facet.target.value if facet.target and facet.target.kind == "loss" else None,
        "target_accuracy": facet.target.value if facet.target and facet.target.kind == "accuracy" else None,
        "target_chosen_by_report": facet.chosen and facet.target is not None,
        "answer": sentence(analysis, facet),
        "winner": win.winner.label if win else None,
        "next": _rival(win.next) if win else None,
        "baseline": _rival(win.baseline) if win else None,
        "strategies": [_group(group) for group in facet.groups],
    }


def _rival(rival: Comparison | None) -> dict[str, Any] | None:
    return asdict(rival) if rival else None


def _group(group: RunGroup) -> dict[str, Any]:
    spreads: dict[str, SeedSpread | None] = {
        "seconds_to_target": group.seconds,
        "bytes_to_target": group.bytes,
        "least_loss": group.best_loss,
        "accuracy": group.accuracy,
        "step_seconds": group.step_seconds,
        "comm_share": group.comm_share,
        "sent_bytes_per_step": group.sent_bytes,
    }
    return {
        "label": group.label,
        "strategy": group.strategy,
        "runs": len(group.runs),
        "reached": group.reached,
        "not_reached": group.count("not reached"),
        "no_answer": group.count("failed", "unfinished"),
        **{name: asdict(spread) if spread else None for name, spread in spreads.items()},
    }


def _run(run: RunFigures) -> dict[str, Any]:
    end = run.run.end
    return {
        "slug": run.run.slug,
        "profile": run.run.profile,
        "topology": run.run.topology,
        "nodes": run.run.nodes,
        "label": run.run.label,
        "seed": run.run.seed,
        "engine": run.run.engine,
        "status": run.run.status,
        "failed_rank": end.failed_rank if end else None,
        "last_lines": list(end.last_lines) if end else [],
        "notes": list(end.notes) if end else [],
        "steps": run.steps,
        "seconds": run.seconds,
        "least_loss": run.best.loss if run.best else None,
        "last_loss": run.last.loss if run.last else None,
        "loss_is": run.curve.kind,
        "diverged_at_step": run.curve.diverged,
        "sent_bytes": run.sent_bytes,
        "step_seconds_compute": run.compute,
        "step_seconds_comm": run.comm,
        "comm_share": run.comm_share,
        "step_seconds_p50": run.step_p50,
        "step_seconds_p95": run.step_p95,
        "bus": asdict(run.bus) | {"hidden": run.bus.hidden, "share_of_bound": run.bus.share} if run.bus else None,
        "links": asdict(run.links) if run.links else None,
    }


def _finite(value: Any) -> Any:
    """The same without NaN and infinity, which JSON does not have."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
