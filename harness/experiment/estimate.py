"""About how long an experiment takes, told before it starts, and how much of it is left. Pure, and rough: within a
factor of two or three where a strategy does what its name says.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from harness.experiment.spec import Experiment, Run, Variant
from harness.plan import NetworkPlan

_START_SECONDS: Final = 4.0
"""A network, connections, the end; measured on the build machine (2 cores), as are those below."""
_IMPORT_SECONDS: Final = 3.0
"""Of a core for each rank: Python and PyTorch."""
_STEP_SECONDS: Final = {"digits": 0.01, "mnist": 0.1, "text": 0.3}
"""Of a core for each rank and step."""
_DELAYS_PER_HOP: Final = 3
"""gloo's receiver says that it is ready before a block is sent; measured 2.5 to 3 one-way delays for each of the
2 (n - 1) hops of an all_reduce on wan."""
_RETRANSMITS: Final = 50
"""An all_reduce on mobile (1 % loss) took 1.6 times what its delays explain."""
_EVERY: Final = {"local": 1_000_000, "fedavg": 10, "diloco": 10, "streaming-diloco": 10}
"""Steps between two rounds, where no option H says; others communicate in every step."""


def seconds_of(experiment: Experiment, run: Run, plan: NetworkPlan, cpus: int) -> float:
    """About how long a run takes.

    Args:
        experiment: it belongs to.
        run: which.
        plan: of its network, or of one that is like it.
        cpus: of this machine.
    """
    crowd = max(1.0, plan.size / cpus)
    every = _every(run.variant)
    step = _STEP_SECONDS[experiment.task.name] * crowd + _round_seconds(plan) / every
    training = experiment.steps * step
    if experiment.limit_seconds is not None:
        training = min(training, experiment.limit_seconds)
    return _START_SECONDS + _IMPORT_SECONDS * crowd + training


def _every(variant: Variant) -> int:
    """Steps between two rounds."""
    try:
        return max(1, int(variant.options["H"]))
    except (KeyError, ValueError):  # a text that nobody could check: PyTorch is in the nodes only
        return _EVERY.get(variant.strategy, 1)


def _round_seconds(plan: NetworkPlan) -> float:
    """Of an all_reduce that is small."""
    if plan.size < 2:
        return 0.0
    paths = [plan.path(rank, (rank + 1) % plan.size) for rank in range(plan.size)]
    delay = max(sum(edge.shape.delay.seconds for edge in path) for path in paths)
    loss = max(sum(edge.shape.mean_loss for edge in path) for path in paths)
    return 2 * (plan.size - 1) * _DELAYS_PER_HOP * delay * (1 + _RETRANSMITS * loss)


def left(estimates: Mapping[str, float], took: Mapping[str, float], running: str | None, running_for: float) -> float:
    """Seconds that are left: estimates, corrected by how wrong they have been so far.

    Args:
        estimates: seconds, by run.
        took: seconds of those that have ended.
        running: the one that is under way, or None.
        running_for: seconds.
    """
    told = sum(estimates[name] for name in took)
    factor = sum(took.values()) / told if told else 1.0
    ahead = sum(seconds for name, seconds in estimates.items() if name not in took and name != running)
    now = max(estimates[running] * factor - running_for, 0.0) if running else 0.0
    return ahead * factor + now
