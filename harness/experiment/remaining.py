"""Estimates the remaining time of a run and of an experiment from the measured times. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean


def run_remaining(step: int, steps: int, elapsed: float, limit: float | None) -> float | None:
    """Seconds of training that a run still needs at the mean pace of its steps so far; None before the first step.

    Args:
        step: the last finished one.
        steps: of the whole run.
        elapsed: seconds of training until then.
        limit: of training, in seconds; None: no limit.
    """
    if step < 1:
        return None
    rest = elapsed / step * (steps - step)
    return rest if limit is None else max(0.0, min(rest, limit - elapsed))


def experiment_remaining(
    finished: Sequence[float], waiting: int, running_for: float | None, run_left: float | None
) -> float | None:
    """Seconds until all runs are finished, at the mean time of the finished ones; None while nothing is measured.

    Args:
        finished: seconds that each run took.
        waiting: runs that have not begun.
        running_for: how long the present run has gone on; None: there is none.
        run_left: seconds that it still needs, where that is known.
    """
    if finished:
        mean = fmean(finished)
    elif running_for is not None and run_left is not None:
        mean = running_for + run_left
    else:
        return None
    if running_for is None:
        return waiting * mean
    return waiting * mean + (max(0.0, mean - running_for) if run_left is None else run_left)
