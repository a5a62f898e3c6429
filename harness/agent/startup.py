"""What every container runs: it finds the other nodes, shapes its own links, and runs the job.

``harness-node [CMD ARG...]``: with a program, it ends when that has ended on all nodes, with the exit code of the rank
that failed first; without one, it stays until it is stopped. The environment describes the network (settings.py). It is
process 1 of its container, and the only privileged one.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from harness.agent import discovery
from harness.agent.agent import READY, Agent
from harness.agent.cpu import await_share
from harness.agent.links import NodeLinks
from harness.agent.log import say
from harness.agent.manage_network import ManageNetwork
from harness.agent.scenario_player import ScenarioPlayer
from harness.agent.settings import Settings, is_no_node
from harness.errors import HarnessError, InputError, PrivilegeError
from harness.linux import host
from harness.linux.congestion_control import AVAILABLE, is_known
from harness.linux.syscalls import gain_no_rights
from harness.model.narrow_caps import narrow_caps
from harness.model.plan import NetworkPlan
from harness.model.plan_cpus import check_cores
from harness.model.small_buckets import small_buckets
from harness.shaping.detect import choose_engine, in_place_features, make_engine

_TELL_SECONDS: Final = 8.0
_POLL_SECONDS: Final = 0.1
_NET_ADMIN: Final = 12
"""CAP_NET_ADMIN (linux/capability.h)."""


def _prepare(settings: Settings, names: list[str]) -> NodeLinks:
    """Find the other nodes, plan, and shape this node's links. Raises HarnessError."""
    plan = settings.plan
    if plan is None:
        ipv6, swarm = discovery.ipv6_prefix() is not None, bool(settings.machine)
        places = discovery.find_all(names, settings.start_timeout, say, ipv6=ipv6, swarm=swarm)
        plan = settings.options.plan(discovery.addressing_of(places))
    rank = discovery.own_rank(plan.addressing, plan.size)
    engine, why = choose_engine(settings.engine, in_place_features(settings.engine))
    links = NodeLinks(plan, rank, make_engine(engine, outside=True), settings.congestion_control)
    links.engine.check(plan)
    check_cores(plan, os.cpu_count() or 1)
    if settings.plan is None:  # otherwise harness has made the container with its share
        await_share(plan.node_shape(rank).cpu, names[rank], settings.start_timeout, say)
    if rank == 0:
        warnings = links.engine.precision_warnings(plan.edges.values())
        for text in (why, *warnings, *narrow_caps(plan), *small_buckets(plan)):
            if text:
                say(text)
    links.start()
    links.shape()
    return links


def _check_privilege() -> None:
    """Raises PrivilegeError if this process may not change its network."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    if not int(status["CapEff"], 16) >> _NET_ADMIN & 1:
        raise PrivilegeError(
            "this container lacks CAP_NET_ADMIN, by which it shapes its links; start it with docker run --cap-add"
            " NET_ADMIN, or cap_add as in compose.yaml"
        )


def _check_congestion_control(name: str) -> None:
    """Raises InputError if the kernel has no congestion control of that name."""
    if not is_known(name):
        there = AVAILABLE.read_text().strip() if AVAILABLE.exists() else "other ones"
        raise InputError(f"CONGESTION_CONTROL={name}: this kernel has no such congestion control; it has {there}")


def _digest(links: NodeLinks) -> str:
    """A digest of what nodes must agree on; without addresses, which may have changed since a node asked for them."""
    plan: NetworkPlan = links.plan
    edges = [plan.edges[pair].to_json() for pair in sorted(plan.edges)]
    agreed = [edges, plan.caps_to_json(), plan.mtu, plan.ecn, plan.size, plan.addressing.versions, links.engine.name]
    return hashlib.sha256(json.dumps(agreed).encode()).hexdigest()


def _leave_it_to(name: str) -> bool:
    """Leave it to the node of this name to log an error that all nodes find; whether it has done so.

    This waits until that node has ended: Compose may stop all others as soon as one ends, before it has logged.
    """
    deadline = time.monotonic() + _TELL_SECONDS
    other = False
    while time.monotonic() < deadline:
        with contextlib.suppress(discovery.Unanswered):
            place = discovery.look_up(name)
            if place is None or discovery.is_ours(place.ipv4):
                return other
            other = True
        time.sleep(_POLL_SECONDS)
    return False


async def _serve(
    settings: Settings, links: NodeLinks, manage: ManageNetwork | None, player: ScenarioPlayer | None
) -> int:
    return await Agent(settings, links, settings.host_names, _digest(links), manage, player).run()


def main(end_with: Callable[[int | None], None]) -> int:
    """Run the agent; the exit code.

    Args:
        end_with: sets the exit code of a stop from now on; None: the signal's.
    """
    try:
        if is_no_node(os.environ):
            return _run_alone(sys.argv[1:])
        READY.unlink(missing_ok=True)
        settings = Settings.read(os.environ, sys.argv[1:])
        names = settings.host_names
        try:
            settings.check()
            player = ScenarioPlayer() if settings.scenario else None
            _check_privilege()
            gain_no_rights()  # also for jobs: Swarm has no option for it
            _check_congestion_control(settings.congestion_control)
        except InputError as error:
            end_with(error.exit_code)
            if not _leave_it_to(names[0]):
                say(str(error))
            return error.exit_code
        end_with(None)
        links = _prepare(settings, names)
        others = settings.manage_names
        manage = ManageNetwork.join(others, settings.start_timeout, say) if others else None
        return asyncio.run(_serve(settings, links, manage, player))
    except HarnessError as error:
        end_with(error.exit_code)
        say(str(error))
        return error.exit_code
    except OSError as problem:
        say(host.explain(problem))
        return HarnessError.exit_code


def _run_alone(command: list[str]) -> int:
    """Become that program: somebody started the image without a network. Raises InputError if there is none."""
    if not command:
        raise InputError(
            "this image is for nodes of a network: harness up --runtime docker or docker compose up start them; "
            "alone, it runs the command that it is given, e.g. docker run -it harness-node sh"
        )
    say("no network is configured here (NODES, TOPOLOGY and PROFILE are unset): running the command alone, unshaped")
    try:
        os.execvp(command[0], command)
    except FileNotFoundError:
        raise InputError(f"no program is called {command[0]!r} in this image") from None
