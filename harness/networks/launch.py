"""Runs a program on every node with torchrun's variables; the first failure ends all ranks."""

from __future__ import annotations

import math
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from harness.backends.base import ProgramStarter, Stdio
from harness.model.plan import NetworkPlan
from harness.model.torchrun import MASTER_PORT, RESTART, environment
from harness.networks.away import AwayFile
from harness.networks.rank_process import RankProcess, Sink
from harness.networks.until import ALL, Until
from harness.networks.watch import OnFailure, Rules, Watch

TIMED_OUT: Final = 124
"""The exit code after a timeout, as timeout(1) has it."""


@dataclass(frozen=True)
class LaunchOutcome:
    """How a launch ended.

    Args:
        code: 0, or the exit code of the rank that failed first (128 + number for a signal), or TIMED_OUT.
        failed_rank: that rank, or None.
        codes: of every rank, including stopped ones.
        cut: whether ``tick``, ``until`` or ``timeout`` ended it before any rank failed.
        terminated: whether the rank that failed first printed TERMINATED.
        unended: ranks that still ran at the timeout.
        away: ranks that a scenario had killed and not brought back.
    """

    code: int
    failed_rank: int | None
    codes: Mapping[int, int]
    cut: bool = False
    terminated: bool = False
    unended: tuple[int, ...] = ()
    away: tuple[int, ...] = ()

    @property
    def stopped(self) -> int:
        """How many other ranks ended by the signals that stop them after a failure."""
        ours = (128 + signal.SIGTERM, 128 + signal.SIGKILL)
        others = {*self.codes} - {self.failed_rank, *self.away}
        return sum(self.codes[rank] in ours for rank in others)


def launch(
    nodes: ProgramStarter,
    plan: NetworkPlan,
    argv: Sequence[str],
    sink: Sink,
    *,
    ranks: Sequence[int] | None = None,
    master_port: int = MASTER_PORT,
    extra_env: Mapping[str, str] | None = None,
    tick: Callable[[], bool] | None = None,
    until: Until = ALL,
    timeout: float | None = None,
    cwd: str | None = None,
    begun: Callable[[], None] | None = None,
    on_failure: OnFailure = "stop",
    away: AwayFile | None = None,
) -> LaunchOutcome:
    """Run a program on the nodes until it ends on all of them, or fails on one: then the others are stopped.

    A rank that a scenario kills has not failed. It is started again where the scenario brings it back, with the number
    of its restarts in HARNESS_RESTART; once all other ranks have ended, nobody waits for it. Where no rank has ended
    with 0 and the killed ones stay away, the first of these counts as failed.

    Args:
        nodes: starts programs.
        plan: of the network.
        argv: the program and its arguments.
        sink: called with every line of output.
        ranks: where to run it; None: on every node.
        master_port: for the rendezvous at rank 0.
        extra_env: in addition to the environment that the nodes give their programs.
        tick: called four times a second while the program runs; True ends it on all ranks.
        until: which rank's end with 0 ends the others.
        timeout: seconds, after which all ranks are stopped.
        cwd: the folder in which it starts; None: this process's, or in containers their own.
        begun: called when the program has started on all ranks.
        on_failure: whether a rank that fails by itself stops the others, or is only noted in ``away``.
        away: the file that says which ranks are away; None: no scenario plays.
    """
    base = {**nodes.environ, **(extra_env or {})}
    stdio = Stdio(subprocess.DEVNULL, subprocess.PIPE, subprocess.PIPE)

    def start(rank: int, restarts: int) -> RankProcess:
        env = environment(plan, rank, base, master_port, argv)
        again = {RESTART: str(restarts)} if restarts else {}
        return RankProcess(rank, nodes.spawn(rank, argv, env={**env, **again}, stdio=stdio, cwd=cwd))

    limit = math.inf if timeout is None else time.monotonic() + timeout
    watch = Watch(start, sink, Rules(tick, until, limit, on_failure, away))
    try:
        watch.begin(range(plan.size) if ranks is None else ranks)
        if begun:
            begun()
        watch.run()
    finally:
        watch.close()
    return _outcome(watch)


def _outcome(watch: Watch) -> LaunchOutcome:
    first, away = watch.first, watch.away
    code = first.code if first is not None else TIMED_OUT if watch.unended else 0
    failed = None if first is None else first.rank
    if first is None and away and not watch.cut and all(watch.codes.values()):  # no rank has ended with 0
        failed, code = away[0], watch.codes[away[0]]
    terminated = first is not None and first.terminated
    return LaunchOutcome(code, failed, watch.codes, watch.cut, terminated, watch.unended, away)
