"""About how long an experiment takes, told before it starts, and how much of it is left. Pure, and rough.

What it can tell: minutes from hours and hours from days, from what is computed, how far and how lossy the links are,
and how much must pass them. The measured experiment of examples/strategies.yaml (4 ranks, 2 cores) lies within a factor
of two. What it cannot: when a run reaches its target and stops (it counts all steps), what TCP makes of a link beyond
Mathis's formula (Cubic gets more of a long lossy path, BBR far more), how much a strategy hides behind computation
(none, it says), how fast this machine is, and what a strategy of the user's own does (as ddp, it says).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import Final

from harness.experiment.spec import Experiment, Run
from harness.experiment.traffic import Traffic, evaluation_seconds, step_seconds, traffic_of
from harness.model.address import SEGMENT
from harness.model.plan import NetworkPlan, Pair

_START_SECONDS: Final = 4.0
"""A network, the end; measured on the build machine (2 cores), as are those below."""
_START_DELAYS: Final = 120
"""One-way delays until all ranks are connected: on mobile that took 14 s, on wan 4 s more than on local."""
_IMPORT_SECONDS: Final = 3.0
"""Of a core for each rank: Python and PyTorch."""
_DELAYS_PER_HOP: Final = 2.5
"""gloo's receiver says that it is ready before a block is sent; measured 2 to 3 one-way delays per hop."""
_MATHIS: Final = 1.22
_SHORTEST_ROUND_TRIP: Final = 1e-4
_MACHINE_BYTES: Final = 2e8
"""What gloo and the kernel move in a second for each rank that has a core."""


def seconds_of(experiment: Experiment, run: Run, plan: NetworkPlan, cpus: int) -> float:
    """About how long a run takes.

    Args:
        experiment: it belongs to.
        run: which.
        plan: of its network, or of one that is like it.
        cpus: of this machine.
    """
    task = experiment.task
    crowd = max(1.0, plan.size / cpus)
    traffic = traffic_of(run.variant, plan.size, task)
    step = step_seconds(task) * crowd + (_round_seconds(plan, traffic, crowd) / traffic.every if traffic else 0.0)
    evaluations = 1 + math.ceil(experiment.schedule.steps / experiment.schedule.evaluate_every)
    training = experiment.schedule.steps * step + evaluations * evaluation_seconds(task) * crowd
    if experiment.limit_seconds is not None:
        training = min(training, experiment.limit_seconds)
    connecting = _START_DELAYS * max((_delay(plan, pair) for pair in _circle(plan)), default=0.0)
    return _START_SECONDS + connecting + _IMPORT_SECONDS * crowd + training


def _circle(plan: NetworkPlan) -> list[Pair]:
    """Each rank and the next one, to which gloo's collectives send."""
    return [(rank, (rank + 1) % plan.size) for rank in range(plan.size)] if plan.size > 1 else []


def _delay(plan: NetworkPlan, pair: Pair) -> float:
    return sum(edge.shape.delay.seconds for edge in plan.path(*pair))


def _round_seconds(plan: NetworkPlan, traffic: Traffic, crowd: float) -> float:
    """Of a round of communication, in which the slowest pair makes the others wait."""
    pairs = list(plan.edges) if traffic.to_neighbours else _circle(plan)
    if not pairs:
        return 0.0
    shared = Counter(edge.pair for pair in pairs for edge in plan.path(*pair))
    slowest = min(_bytes_per_second(plan, pair, shared, crowd) for pair in pairs)
    delay = max(_delay(plan, pair) for pair in pairs)
    return traffic.hops * _DELAYS_PER_HOP * delay + traffic.sent_bytes / slowest


def _bytes_per_second(plan: NetworkPlan, pair: Pair, shared: Mapping[Pair, int], crowd: float) -> float:
    """Of one TCP connection: its part of the links' rates, and no more than loss lets it send (Mathis, Semke, Mahdavi
    and Ott, The Macroscopic Behavior of the TCP Congestion Avoidance Algorithm, 1997).
    """
    path = plan.path(*pair)
    rates = [edge.shape.rate.bit_s / 8 / shared[edge.pair] for edge in path if edge.shape.rate is not None]
    most = min([_MACHINE_BYTES / crowd, *rates])
    loss = 1 - math.prod(1 - min(1.0, edge.shape.mean_loss) for edge in path)
    if not loss:
        return most
    round_trip = max(_SHORTEST_ROUND_TRIP, _delay(plan, pair) + _delay(plan, (pair[1], pair[0])))
    return min(most, _MATHIS * SEGMENT / (round_trip * math.sqrt(loss)))


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
