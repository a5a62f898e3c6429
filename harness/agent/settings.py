"""What a node reads from its environment: the network's options, or a whole plan, and its job."""

from __future__ import annotations

import base64
import binascii
import contextlib
import itertools
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Self

from harness.agent.protocol import PORTS
from harness.agent.trunks import refuse_trunks
from harness.errors import InputError
from harness.model.address import MAX_MTU, MIN_MTU, Addressing
from harness.model.plan import NetworkPlan
from harness.model.plan_options import DEFAULTS, PlanOptions
from harness.model.suggest import suggest
from harness.model.torchrun import MASTER_PORT
from harness.shaping.facts import AUTO, ENGINES

NAMES: Final = "HARNESS_NAMES"
"""The variable with the nodes' host names, with ``{rank}`` for the rank, or ``{}`` for rank + 1, as Compose counts."""
MANAGE: Final = "HARNESS_MANAGE"
"""The variable with the agents' host names on their own network (manage_network.py), in the form of NAMES."""
MACHINE: Final = "HARNESS_MACHINE"
"""The variable with the name of the container's machine, where there are several."""
TRANSIENT: Final = "HARNESS_TRANSIENT"
"""The variable that makes the node end with the command that made it."""
_PLAN: Final = "HARNESS_PLAN_{}"
_PART: Final = 100_000
"""Bytes of one variable: Linux takes 128 KiB (MAX_ARG_STRLEN)."""
DEFAULT_NODES: Final = 4
_START_SECONDS: Final = 60
HOST_NAME_LENGTH: Final = 63
"""Characters of a host name that DNS takes."""


@dataclass(frozen=True)
class Settings:
    """The settings of a node.

    Args:
        options: of the plan, if there is no plan.
        plan: made outside, with every node's address.
        names: see NAMES.
        manage: see MANAGE; empty: agents talk over the links.
        machine: see MACHINE.
        engine: auto, netem or userspace.
        congestion_control: of TCP.
        job: the program to run; empty: the node waits for programs that are started from outside.
        master_port: of the job's rendezvous at rank 0.
        stops: whether the job ends on all nodes as soon as one rank has failed.
        transient: whether the node ends with the command that made it.
        start_timeout: seconds to wait until all nodes' names are known.
        collectives: whether the job records each collective.
        scenario: a name or a file; empty: none.
    """

    options: PlanOptions
    plan: NetworkPlan | None
    names: str
    manage: str
    machine: str
    engine: str
    congestion_control: str
    job: tuple[str, ...]
    master_port: int
    stops: bool
    transient: bool
    start_timeout: int
    collectives: bool
    scenario: str

    @classmethod
    def read(cls, environ: Mapping[str, str], job: Sequence[str] = ()) -> Self:
        """Read a container's environment; an empty variable counts as not set. Raises InputError."""
        variables = _Variables(environ)
        text, number = variables.text, variables.number
        on_failure = text("ON_FAILURE", "stop")
        if on_failure not in ("stop", "continue"):
            raise InputError(f"ON_FAILURE={on_failure}: write stop (the first failure ends the job) or continue")
        names, manage = variables.names(NAMES), variables.names(MANAGE) if text(MANAGE) else ""
        nodes = number("NODES", DEFAULT_NODES, 1, 4094)
        if len(longest := max(_host_name(names, nodes - 1).split("."), key=len)) > HOST_NAME_LENGTH:
            raise InputError(
                f"{longest!r} is too long for a host name, which has up to {HOST_NAME_LENGTH} characters: give the"
                " Compose project a shorter name (docker compose -p NAME)"
            )
        if (port := number("MASTER_PORT", MASTER_PORT, 1, 65535)) in (PORTS if manage else PORTS[:1]):
            raise InputError(f"MASTER_PORT={port}: agents use that port at rank 0; take another")
        return cls(
            options=_plan_options(variables, nodes),
            plan=_unpacked(environ),
            names=names,
            manage=manage,
            machine=text(MACHINE),
            engine=text("ENGINE", DEFAULTS.engine),
            congestion_control=text("CONGESTION_CONTROL", DEFAULTS.congestion_control),
            job=tuple(job),
            master_port=port,
            stops=on_failure == "stop",
            transient=bool(text(TRANSIENT)),
            start_timeout=number("START_TIMEOUT", _START_SECONDS, 1, 86_400),
            collectives=bool(number("COLLECTIVES", 0, 0, 1)),
            scenario=text("SCENARIO"),
        )

    @property
    def host_names(self) -> list[str]:
        """The host names of all nodes, by rank."""
        return [_host_name(self.names, rank) for rank in range(self.size)]

    @property
    def manage_names(self) -> list[str]:
        """Of all agents on the network of their own, by rank; none where there is no such network."""
        return [_host_name(self.manage, rank) for rank in range(self.size)] if self.manage else []

    @property
    def size(self) -> int:
        """Number of nodes."""
        return self.plan.size if self.plan else self.options.nodes or DEFAULT_NODES

    def check(self, made: NetworkPlan | None = None) -> None:
        """Raise InputError if they make no plan, or Docker's subnet has not enough addresses.

        Args:
            made: the plan, where its files have other names here than in a node; None: it is made here.
        """
        if self.engine not in (AUTO, *ENGINES):
            raise InputError(f"ENGINE={self.engine}: {suggest(self.engine, (AUTO, *ENGINES))}")
        if self.plan:
            return
        Addressing.parse(self.options.subnet, self.options.subnet6).require(self.size, others=1)
        refuse_trunks(made or self.options.plan())


@dataclass(frozen=True)
class _Variables:
    """A container's environment; an empty variable counts as not set. Methods raise InputError."""

    environ: Mapping[str, str]

    def text(self, name: str, default: str = "") -> str:
        return self.environ.get(name) or default

    def number(self, name: str, default: int, least: int, most: int) -> int:
        value = self.text(name, str(default))
        with contextlib.suppress(ValueError):
            if least <= int(value) <= most:
                return int(value)
        raise InputError(f"{name}={value}: write a whole number from {least} to {most}")

    def names(self, name: str) -> str:
        """Host names with one placeholder for the number or the rank; see NAMES."""
        given = self.text(name)
        if given.count("{}") + given.count("{rank}") != 1:
            raise InputError(
                f"{name}={given!r}: write the nodes' host names with {{}} for the number from 1, e.g."
                " node-{}, or {rank} for the rank"
            )
        return given


def _plan_options(variables: _Variables, nodes: int) -> PlanOptions:
    text, number = variables.text, variables.number
    return PlanOptions(
        nodes=nodes,
        topology=text("TOPOLOGY", DEFAULTS.topology),
        profile=text("PROFILE", DEFAULTS.profile),
        between=text("BETWEEN") or None,
        uplink=text("UPLINK") or None,
        downlink=text("DOWNLINK") or None,
        trunk=text("TRUNK") or None,
        cpu=(text("CPU"),) if text("CPU") else (),
        place=text("PLACE") or None,
        mtu=number("MTU", DEFAULTS.mtu, MIN_MTU, MAX_MTU),
        ecn=bool(number("ECN", 0, 0, 1)),
        seed=number("SEED", DEFAULTS.seed, -(2**63), 2**63 - 1),
        subnet=text("SUBNET") or None,
        subnet6=text("SUBNET6") or None,
    )


def _host_name(names: str, rank: int) -> str:
    return names.replace("{}", str(rank + 1)).replace("{rank}", str(rank))


def is_no_node(environ: Mapping[str, str]) -> bool:
    """Whether the environment describes no network: somebody started the image by itself."""
    return not any(environ.get(name) for name in (NAMES, "NODES", "TOPOLOGY", "PROFILE", _PLAN.format(0)))


def packed(plan: NetworkPlan) -> dict[str, str]:
    """The variables that hand a whole plan to a node."""
    data = json.dumps(plan.to_json(), separators=(",", ":")).encode()
    text = base64.b64encode(zlib.compress(data, 9)).decode()
    return {_PLAN.format(i): text[at : at + _PART] for i, at in enumerate(range(0, len(text), _PART))}


def _unpacked(environ: Mapping[str, str]) -> NetworkPlan | None:
    def parts() -> Iterator[str]:
        for i in itertools.count():
            if not (part := environ.get(_PLAN.format(i))):
                return
            yield part

    text = "".join(parts())
    if not text:
        return None
    try:
        return NetworkPlan.from_json(json.loads(zlib.decompress(base64.b64decode(text, validate=True))))
    except (binascii.Error, zlib.error, ValueError, LookupError, TypeError) as problem:
        raise InputError(f"{_PLAN.format(0)} holds no plan ({problem})") from None
