"""The analysis as JSON, for programs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

from harness.experiment.report.analysis import Analysis, Scenario
from harness.experiment.report.analysis.caps import cap_uses
from harness.experiment.report.analysis.churn import Churn
from harness.experiment.report.analysis.collectives import collective_times
from harness.experiment.report.analysis.figures import RunFigures
from harness.experiment.report.analysis.flows import flow_totals
from harness.experiment.report.analysis.groups import RunGroup, SeedSpread
from harness.experiment.report.analysis.logged import last_logged, parameters
from harness.experiment.report.analysis.sentences import headline, sentence
from harness.experiment.report.analysis.utilisation import edge_uses
from harness.experiment.report.load.network_records import FlowRecord

VERSION: Final = 1


def document(analysis: Analysis) -> dict[str, Any]:
    """The JSON of `report --json`, without the curves; times in seconds, sizes in bytes, rates in bit/s."""
    experiment = analysis.experiment
    made = {
        "version": VERSION,
        "id": experiment.id,
        "name": experiment.name,
        "created": experiment.created,
        "answer": headline(analysis),
        "facets": [_scenario(analysis, scenario) for scenario in analysis.scenarios],
        "runs": [_run(run) for run in analysis.runs],
        "not_begun": list(experiment.missing),
        "notes": [asdict(note) for note in experiment.notes],
    }
    return dict(_finite(made))


def _scenario(analysis: Analysis, scenario: Scenario) -> dict[str, Any]:
    win = scenario.win
    return {
        "profile": scenario.profile,
        "topology": scenario.topology,
        "nodes": scenario.nodes,
        "target": str(scenario.target) if scenario.target else None,
        "target_loss": scenario.target_value("loss"),
        "target_accuracy": scenario.target_value("accuracy"),
        "target_chosen_by_report": scenario.chosen and scenario.target is not None,
        "answer": sentence(analysis, scenario),
        "winner": win.winner.label if win else None,
        "next": asdict(win.next) if win and win.next else None,
        "baseline": asdict(win.baseline) if win and win.baseline else None,
        "strategies": [_group(group) for group in scenario.groups],
        "leads": [asdict(other) for other in win.others] if win else [],
    }


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
        "network_seed": run.run.seeds[0],
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
        "parameters": parameters(run.run),
        "logged_last": last_logged(run.run),
        "collectives": [asdict(one) for one in collective_times(run.run.ranks, run.bus.traffic if run.bus else ())],
        "edges": [{"edge": use.edge} | asdict(use) for use in edge_uses(run.run)],
        "caps": [{"name": use.name} | asdict(use) for use in cap_uses(run.run)],
        "flows": [_flow(flow) for flow in run.run.flows if flow.samples],
        "explanation": asdict(run.explanation),
        "churn": _churn(run.churn) if run.churn else None,
    }


def _churn(churn: Churn) -> dict[str, Any]:
    absences = [asdict(one) | {"rejoin_seconds": one.rejoin_seconds} for one in churn.absences]
    return asdict(churn) | {"absences": absences}


def _flow(flow: FlowRecord) -> dict[str, Any]:
    """A connection in one direction, without its samples."""
    whole = {key: value for key, value in vars(flow_totals(flow)).items() if key != "flow"}
    ends = ("id", "attempt", "src", "dst", "src_port", "dst_port", "congestion_control")
    return {key: getattr(flow, key) for key in ends} | whole


def _finite(value: Any) -> Any:
    """The value with None for NaN and infinity, which JSON lacks."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
