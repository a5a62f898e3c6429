"""The results in sentences that claim no more than the data show."""

from __future__ import annotations

from collections.abc import Iterable

from harness.experiment.report.analysis.figures import RunFigures
from harness.experiment.report.analysis.groups import RunGroup, format_spread
from harness.experiment.report.analysis.scenarios import Analysis, Scenario
from harness.experiment.report.analysis.winners import Comparison, Winner
from harness.model.format import NOTHING, count, format_factor, format_number, format_time


def headline(analysis: Analysis) -> str:
    """One sentence over all scenarios."""
    won: dict[str, list[str]] = {}
    for scenario in analysis.scenarios:
        if scenario.win:
            close = " (too close to call)" if scenario.win.too_close else ""
            won.setdefault(scenario.win.winner.label, []).append(analysis.name(scenario) + close)
    if not won:
        some = any(run.curve.points for run in analysis.runs)
        nothing = "No command has finished yet." if _own(analysis.runs) else "No run has recorded a loss yet."
        return f"No {analysis.noun} has reached its target." if some else nothing
    if all(len(scenario.groups) == 1 for scenario in analysis.scenarios):
        return "; ".join(_alone(analysis, one) for one in analysis.scenarios if one.win) + "."
    parts = [f"{label} was the fastest on {_listed(names)}" for label, names in won.items()]
    return "; ".join(parts) + "."


def _alone(analysis: Analysis, scenario: Scenario) -> str:
    """Where there is nothing to compare: ``diloco H=20 took 12.3 s to loss 0.4 on wan``."""
    group = scenario.groups[0]
    goal = "" if scenario.target is None or scenario.target.kind == "end" else f" to {scenario.target}"
    return f"{group.label} took {time_to_target(group)}{goal} on {analysis.name(scenario)}"


def sentence(analysis: Analysis, scenario: Scenario) -> str:
    """One scenario: who won, by how much, and how sure that is."""
    where = f"On {analysis.name(scenario)}"
    if scenario.target is None:
        if not any(run.curve.points for run in scenario.runs):
            return f"{where} no {'command has finished' if _own(scenario.runs) else 'run has recorded a loss'} yet."
        return f"{where} no run that ran its full length lowered its loss{_pending(scenario)}."
    if scenario.win is None:
        return f"{where} no {analysis.noun} reached {scenario.target}{_pending(scenario)}."
    win = scenario.win
    compared = " and ".join(filter(None, map(_versus, win.comparisons)))
    took = f"{where}, {win.winner.label} reached {scenario.target} in {_time(win)}"
    return took + (f", {compared}." if compared else ".") + _doubts(analysis, scenario, win)


def margin(other: Comparison) -> str:
    """The winner's lead over another strategy: ``2.9 × (2.5 – 3.1)``, ``> 4.1 ×, not reached``."""
    if other.reached and not other.won_all:
        return f"reached in {other.reached} of {other.answered}"
    if other.factor is None:
        return "" if other.reached else "not reached"
    if not other.reached:
        return f"> {format_factor(other.factor)}, not reached"
    span = f" ({_range(other)})" if other.pairs > 1 else ""
    return f"{format_factor(other.factor)}{span}" + (", too close" if other.overlaps else "")


def time_to_target(group: RunGroup, ranged: bool = False) -> str:
    """``12.3 s``, ``12.3 s, 2 of 3 seeds``, ``not reached in 2 min``, ``failed``; with the range if wanted."""
    if group.target is None:
        return NOTHING
    if group.seconds:
        rest = "" if group.reached == len(group.runs) else f", {group.reached} of {len(group.runs)} seeds"
        return (format_spread(group.seconds) if ranged else format_time(group.seconds.median)) + rest
    if group.given_up:
        return f"not reached in {format_time(group.given_up.low)}"
    return " and ".join(dict.fromkeys(run.outcome(group.target) for run in group.runs))


def runs_counted(group: RunGroup) -> str:
    """``3``; ``2 of 3`` where figures are of two of three runs."""
    counted, runs = len(group.counted), len(group.runs)
    return str(runs) if counted == runs else f"{counted} of {runs}"


def _own(runs: Iterable[RunFigures]) -> bool:
    return all(run.run.own_command for run in runs)


def _time(win: Winner) -> str:
    time = win.winner.seconds
    if time is None:
        return NOTHING
    if time.count == 1:
        seeds = len(win.winner.runs)
        alone = "one seed: spread unknown" if seeds == 1 else f"one of {seeds} seeds reached it"
        return f"{format_time(time.median)} ({alone})"
    return format_spread(time, over=f" over {time.count} seeds")


def _versus(other: Comparison) -> str:
    if other.won_all:
        lead = "" if other.factor is None else f"{format_number(other.factor)} times as fast as {other.label}"
        return lead and lead + _basis(other)
    if other.reached:
        return f"while {other.label} reached it in {other.reached} of {other.answered} runs only"
    if other.factor is not None:
        return f"more than {format_number(other.factor)} times as fast as {other.label}, which did not reach it"
    return f"while {other.label} did not reach it"


def _basis(other: Comparison) -> str:
    """How a factor was computed."""
    if other.pairs == 1:
        return ""
    if not other.pairs:
        return " (a ratio of medians, since no seed ran with both)"
    return f" (median of {other.pairs} seeds compared pairwise: {_range(other)})"


def _range(other: Comparison) -> str:
    return " – ".join(dict.fromkeys(format_number(one or 0.0) for one in (other.factor_low, other.factor_high)))


def _doubts(analysis: Analysis, scenario: Scenario, win: Winner) -> str:
    doubts = ""
    if 1 < win.winner.reached < len(win.winner.runs):
        doubts += f" Only {win.winner.reached} of its {len(win.winner.runs)} runs did."
    if win.next and win.too_close:
        doubts += f" {win.winner.label} was not ahead of {win.next.label} with every seed: too close to call."
    if scenario.chosen:
        all_did = not any(group.count("not reached") for group in scenario.groups)
        who = f"every {analysis.noun} reached" if all_did else "every run reached whose loss fell at all"
        doubts += f" The experiment names no target; this is the lowest loss that {who}."
    silent = [run for run in scenario.runs if not run.curve.points and run.run.status == "failed"]
    if silent:
        doubts += f" {count(len(silent), 'run')} failed without a result."
    return doubts


def _pending(scenario: Scenario) -> str:
    going = sum(run.run.status == "unfinished" for run in scenario.runs)
    return f" ({going} of its {len(scenario.runs)} runs still to end)" if going else ""


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " and " + words[-1]
