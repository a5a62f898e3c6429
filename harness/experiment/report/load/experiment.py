"""Reads a folder of runs into a `RecordedExperiment`."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from harness.errors import HarnessError, InputError
from harness.experiment.report.load.changes import load_changes
from harness.experiment.report.load.flows import load_flows
from harness.experiment.report.load.jsonl import Malformed, Oddities, number_or_none, read_object, whole
from harness.experiment.report.load.links import load_links
from harness.experiment.report.load.membership import load_absences, load_groups, present
from harness.experiment.report.load.rank import load_rank
from harness.experiment.report.load.records import RecordedExperiment, RecordedRun, RunEnd, Target
from harness.experiment.report.load.traffic import load_traffic, without_traffic
from harness.model.address import MAX_NODES
from harness.model.format import format_shape
from harness.model.plan import NetworkPlan
from harness.run_files import AWAY, MEMBERSHIP, TRAFFIC

_YEAR_3000: Final = 32_503_680_000
OWN_COMMAND: Final = "own command"
"""The strategy of runs of the user's own command."""


def load_experiment(folder: Path) -> RecordedExperiment:
    """Read runs/<id>, or one run of it (runs/<id>/<slug>). Raises InputError where there is no folder, or no run."""
    folder = folder.absolute()
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; 'harness experiment run FILE' makes one, e.g. runs/<id>")
    alone = (folder / "run.json").is_file()
    oddities = Oddities(folder.parent if alone else folder)
    about = read_object((folder.parent if alone else folder) / "experiment.json", oddities) or {}
    slugs = [folder.name] if alone else _slugs(folder, about)
    runs, missing = [], []
    with _no_garbage_collection():
        for slug in slugs:
            run = _load_run(folder if alone else folder / slug, oddities)
            if run:
                runs.append(run)
            elif not alone and not (folder / slug).exists():
                missing.append(slug)
    if not runs:
        raise InputError(f"{folder}: {_remedy(folder, missing)}")
    if not about and not alone:
        oddities.add(folder / "experiment.json", "missing, so runs that never started are not listed")
    created = number_or_none(about, "created")
    source, options = about.get("source"), about.get("home")
    return RecordedExperiment(
        id=str(about.get("id", folder.name)),
        name=str(about.get("name", folder.name)),
        folder=folder,
        created=created if created is not None and 0 <= created < _YEAR_3000 else None,
        runs=tuple(runs),
        missing=tuple(missing),
        notes=tuple(oddities.notes),
        source=source if isinstance(source, str) and source else None,
        run_options=options if isinstance(options, dict) else {},
    )


@contextlib.contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Collecting garbage among a million records, which have no cycles, took a third of the time of loading."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _slugs(folder: Path, about: Mapping[str, Any]) -> list[str]:
    """The runs in experiment.json, in its order, then all others."""
    listed = about.get("runs")
    named = [slug for slug in listed if isinstance(slug, str)] if isinstance(listed, list) else []
    named = [slug for slug in named if Path(slug).name == slug and slug not in ("", ".", "..")]
    found = sorted(path.parent.name for path in folder.glob("*/run.json"))
    return list(dict.fromkeys([*named, *found]))


def _remedy(folder: Path, missing: list[str]) -> str:
    if missing:
        return f"none of its {len(missing)} runs has begun; start or resume it with 'harness experiment run'"
    if (folder / "run.json").is_file():
        return "its run.json cannot be read, so nothing is known of this run"
    inside = sorted(path.parent.name for path in folder.glob("*/experiment.json"))
    if inside:
        return f"contains several experiments, and a report is of one: give e.g. {folder / inside[-1]}"
    if not any(folder.iterdir()):
        return "is empty: nothing was recorded there (where a job's user may not write, its node's log says so)"
    return "contains no run (no run.json, no <slug>/run.json); 'harness experiment list' shows those that there are"


def _load_run(folder: Path, oddities: Oddities) -> RecordedRun | None:
    settings = read_object(folder / "run.json", oddities)
    if settings is None:
        if folder.is_dir():
            oddities.add(folder, "no run.json that can be read: this run is left out")
        return None
    own = "command" in settings
    strategy = str(settings.get("strategy") or (OWN_COMMAND if own else "not recorded"))
    nodes = _nodes(settings, folder)
    traffic = load_traffic(folder / TRAFFIC, oddities)
    groups = load_groups(folder / MEMBERSHIP, oddities)
    began = any(folder.glob("rank-*.jsonl")) or any(folder.glob("collectives-*.jsonl"))
    if not began and not own:
        oddities.add(folder, "no rank-R.jsonl: no rank recorded its training, as harness.training.train does")
    ranks = (load_rank(folder, rank, oddities, trains=not own) for rank in range(nodes if began else 0))
    return RecordedRun(
        slug=folder.name,
        profile=str(settings.get("profile", "?")),
        topology=str(settings.get("topology", "?")),
        nodes=nodes,
        seed=_or_zero(settings, "seed"),
        strategy=strategy,
        label=str(settings.get("label") or strategy),
        target=_target(settings),
        engine=str(settings.get("engine", "?")),
        settings={key: value for key, value in settings.items() if key != "plan"},
        plan=_plan(settings, folder, oddities),
        ranks=present(ranks, groups),
        links=load_links(folder / "links.jsonl", oddities) if began or any(folder.glob("links*.jsonl")) else (),
        changes=load_changes(folder / "changes.jsonl", oddities),
        end=_end(folder, oddities),
        network_seed=None if settings.get("network_seed") is None else _or_zero(settings, "network_seed"),
        flows=without_traffic(load_flows(folder, oddities), traffic),
        traffic=traffic,
        groups=groups,
        absences=load_absences(folder / AWAY, oddities),
    )


def _nodes(settings: Mapping[str, Any], folder: Path) -> int:
    """The number of ranks in run.json, else the number of files."""
    files = len(list(folder.glob("rank-*.jsonl")))
    nodes = _or_zero(settings, "nodes")
    return nodes if 0 < nodes <= MAX_NODES else files


def _or_zero(settings: Mapping[str, Any], key: str) -> int:
    try:
        return whole(settings, key, 0)
    except Malformed:
        return 0


def _target(settings: Mapping[str, Any]) -> Target | None:
    """The target of a run; of a command that is measured by its wall time, its end."""
    target, measure = settings.get("target"), settings.get("measure")
    if not isinstance(target, dict):
        return Target("end") if isinstance(measure, dict) and measure.get("kind") == "wall_time" else None
    loss, accuracy = number_or_none(target, "loss"), number_or_none(target, "accuracy")
    if loss is not None:
        return Target("loss", loss)
    return None if accuracy is None else Target("accuracy", accuracy)


def _plan(settings: Mapping[str, Any], folder: Path, oddities: Oddities) -> NetworkPlan | None:
    try:
        plan = NetworkPlan.from_json(settings["plan"])
        _check(plan)
        return plan
    except (HarnessError, KeyError, TypeError, ValueError, AttributeError) as problem:
        what = f"no plan that can be read ({type(problem).__name__}: {problem}); no drawing, no bound"
        oddities.add(folder / "run.json", what)
        return None


def _check(plan: NetworkPlan) -> None:
    """Raise unless the plan is consistent, as the rest of the report expects."""
    if not isinstance(plan.topology, str):
        raise TypeError(f"the topology is {plan.topology!r}, no name")
    plan.to_json()
    for (src, dst), edge in plan.edges.items():
        format_shape(edge.shape)
        if (dst, src) not in plan.edges or not {src, dst} <= set(range(plan.size)):
            raise ValueError(f"edge {edge} has no way back, or no such rank")
    for rank in range(plan.size):
        if any((rank, hop) not in plan.edges for hop in plan.next_hops[rank].values()):
            raise ValueError(f"rank {rank} has a route over an edge that is not there")


def _end(folder: Path, oddities: Oddities) -> RunEnd | None:
    end = read_object(folder / "end.json", oddities)
    if end is None:
        return None
    code, rank, lines = end.get("code"), end.get("failed_rank"), end.get("last_lines")
    notes, codes = end.get("notes"), end.get("codes")
    by_rank = codes.items() if isinstance(codes, dict) else ()
    return RunEnd(
        status=str(end.get("status", "?")),
        seconds=number_or_none(end, "seconds"),
        code=code if isinstance(code, int) else None,
        failed_rank=rank if isinstance(rank, int) else None,
        last_lines=tuple(map(str, lines)) if isinstance(lines, list) else (),
        notes=tuple(map(str, notes)) if isinstance(notes, list) else (),
        time=number_or_none(end, "time"),
        codes={int(rank): code for rank, code in by_rank if rank.isdecimal() and isinstance(code, int)},
    )
