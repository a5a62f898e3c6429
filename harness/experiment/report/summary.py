"""The result in sentences, and never more than the data say."""

from __future__ import annotations

from harness.experiment.report import told
from harness.experiment.report.analysis import Analysis, Comparison, Scenario, Winner


def headline(analysis: Analysis) -> str:
    """One sentence over all profiles and topologies."""
    won: dict[str, list[str]] = {}
    for facet in analysis.facets:
        if facet.win:
            close = " (too close to call)" if _close(facet.win) else ""
            won.setdefault(facet.win.winner.label, []).append(analysis.told(facet) + close)
    if not won:
        some = any(run.curve.points for run in analysis.runs)
        return "No strategy has reached its target." if some else "No run has recorded a loss yet."
    parts = [f"{label} was the fastest on {_listed(facets)}" for label, facets in won.items()]
    return "; ".join(parts) + "."


def sentence(analysis: Analysis, facet: Scenario) -> str:
    """One profile and topology: who won, by how much, and how sure that is."""
    where = f"On {analysis.told(facet)}"
    if facet.target is None:
        if not any(run.curve.points for run in facet.runs):
            return f"{where} no run has recorded a loss yet."
        return f"{where} no run has had its time and a loss less than at first{_pending(facet)}."
    if facet.win is None:
        return f"{where} no strategy reached {facet.target}{_pending(facet)}."
    win = facet.win
    took = f"{where}, {win.winner.label} reached {facet.target} in {_time(win)}"
    return took + _compared(win) + "." + _doubts(facet, win)


def _time(win: Winner) -> str:
    time = win.winner.seconds
    if time is None:
        return told.NOTHING
    if time.count == 1:
        seeds = len(win.winner.runs)
        alone = "one seed: spread unknown" if seeds == 1 else f"one of {seeds} seeds reached it"
        return f"{told.seconds(time.median)} ({alone})"
    return told.spread(time, over=f" over {time.count} seeds")


def _compared(win: Winner) -> str:
    """How much faster than ddp and than the next, each said once."""
    rivals = [win.baseline] if win.baseline else []
    if win.next and win.next.label not in [rival.label for rival in rivals]:
        rivals.append(win.next)
    parts = [text for rival in rivals if (text := _versus(rival))]
    return ", " + " and ".join(parts) if parts else ""


def _versus(rival: Comparison) -> str:
    if rival.won_all:
        return "" if rival.factor is None else f"{told.factor(rival.factor)} times as fast as {rival.label}"
    if rival.reached:
        return f"while {rival.label} reached it in {rival.reached} of {rival.answered} runs only"
    if rival.factor is not None:
        return f"more than {told.factor(rival.factor)} times as fast as {rival.label}, which did not reach it"
    return f"while {rival.label} did not reach it"


def _doubts(facet: Scenario, win: Winner) -> str:
    doubts = ""
    if 1 < win.winner.reached < len(win.winner.runs):
        doubts += f" Only {win.winner.reached} of its {len(win.winner.runs)} runs did."
    if win.next and _close(win):
        doubts += f" The ranges over seeds of {win.winner.label} and {win.next.label} overlap: too close to call."
    if facet.chosen:
        all_did = not any(group.count("not reached") for group in facet.groups)
        who = "every strategy reached" if all_did else "every run reached whose loss fell at all"
        doubts += f" The experiment names no target; this is the lowest loss that {who}."
    silent = [run for run in facet.runs if not run.curve.points and run.run.status == "failed"]
    if silent:
        doubts += f" {len(silent)} run{'s' if len(silent) > 1 else ''} failed without a result."
    return doubts


def _close(win: Winner) -> bool:
    """Whether seeds of the winner and of the next cannot be told apart."""
    return win.next is not None and win.next.overlaps and win.winner.reached > 1


def _pending(facet: Scenario) -> str:
    going = sum(run.run.status == "unfinished" for run in facet.runs)
    return f" ({going} of its {len(facet.runs)} runs still to end)" if going else ""


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " and " + words[-1]


def margin(rival: Comparison) -> str:
    """The winner's lead over another: ``2.9 ×``, ``> 4.1 ×, not reached``, ``reached in 2 of 3``."""
    if rival.reached and not rival.won_all:
        return f"reached in {rival.reached} of {rival.answered}"
    if rival.factor is None:
        return "" if rival.reached else "not reached"
    if not rival.reached:
        return f"> {told.factor(rival.factor)} ×, not reached"
    return f"{told.factor(rival.factor)} ×" + (", ranges overlap" if rival.overlaps else "")
