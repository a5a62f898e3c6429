"""A program on every node, as torchrun would start it: variables, prefixed output, the first failure ends all."""

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
"""The exit code where the time is over, as of timeout(1)."""


@dataclass(frozen=True)
class LaunchOutcome:
    """How a launch ended.

    Args:
        code: 0, or the exit code of the rank that failed first (128 + number for a signal), or TIMED_OUT.
        failed_rank: that rank, or None.
        codes: of every rank; those of stopped ranks too.
        cut: whether ``tick``, ``until`` or ``timeout`` ended it before any rank had failed.
        terminated: whether the rank that failed first was ended by C++ with TERMINATED.
        unended: ranks that ran on until the time was over.
        away: ranks that a scenario had killed, and that were not back.
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
        """How many ranks ended by the signals that we send to the others once one has failed."""
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
    """Run a program on the nodes until all end, or until the first fails: then the others are stopped.

    A rank that a scenario kills has not failed. Where the scenario says so it is started again, with how many times
    that has happened to it in HARNESS_RESTART; it is not waited for once all others have ended. Where none has done its
    work, and those that it killed stay away, the first of these counts as failed.

    Args:
        nodes: where programs start.
        plan: of the network.
        argv: the program and its arguments.
        sink: gets every line of output.
        ranks: where to run it; None: everywhere.
        master_port: for the rendezvous at rank 0.
        extra_env: beside the environment that the nodes give their programs.
        tick: called four times a second while the program runs; True ends it on all ranks.
        until: whose end with 0 ends the others.
        timeout: seconds, after which all are stopped.
        cwd: the folder in which it starts; None: ours, in containers their own.
        begun: called when it has been started on all of these nodes.
        on_failure: whether a rank that fails by itself stops the others, or is only noted in ``away``.
        away: where a scenario's player says who is away; None: nobody ever is.
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
    if first is None and away and not watch.cut and all(watch.codes.values()):  # nobody is left who could be right
        failed, code = away[0], watch.codes[away[0]]
    terminated = first is not None and first.terminated
    return LaunchOutcome(code, failed, watch.codes, watch.cut, terminated, watch.unended, away)
