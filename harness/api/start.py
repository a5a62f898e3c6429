"""``harness.network``: starts a network from Python."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from harness.api.arguments import PROFILE, StrPath, several, whole, written, written_or_none
from harness.api.failures import HarnessWarning, warn
from harness.api.shaped import SCENARIO, ShapedNetwork
from harness.errors import HarnessError, InputError, NetworkStateError
from harness.linux import host
from harness.model.plan_options import DEFAULTS, OPTIONS, PlanOptions
from harness.networks.backends import DOCKER
from harness.networks.network import Network
from harness.networks.placement import Placement
from harness.networks.registry import LocalRegistry
from harness.scenario.scenario_name import scenario_path
from harness.scenario.step_file import JobSteps, make_local_steps

if TYPE_CHECKING:
    from harness.api.record import NetworkRecord
    from harness.model.plan import NetworkPlan
    from harness.run_files import RunFolder
    from harness.scenario.accompany import Accompaniment

_TRIES: Final = 8


def network(
    nodes: int | None = None,
    topology: StrPath = DEFAULTS.topology,
    profile: StrPath = DEFAULTS.profile,
    *,
    between: StrPath | None = None,
    seed: int = DEFAULTS.seed,
    uplink: str | None = None,
    downlink: str | None = None,
    trunk: str | None = None,
    cpu: str | Sequence[str] = DEFAULTS.cpu,
    place: str | None = None,
    mtu: int = DEFAULTS.mtu,
    ecn: bool = DEFAULTS.ecn,
    subnet: str | None = None,
    subnet6: str | None = None,
    runtime: str | None = None,
    engine: str | None = None,
    congestion_control: str = DEFAULTS.congestion_control,
    image: str | None = None,
    volumes: Sequence[str] = (),
    gpus: str | None = None,
    name: str | None = None,
    record: bool | StrPath = False,
    scenario: StrPath | None = None,
) -> ShapedNetwork:
    """Start a shaped network, which ends with the ``with`` block, ``down()``, or this process, whichever comes first.

    Args:
        nodes: how many; None: 4, or what a topology file says.
        topology: fully_connected, ring, star, line, tree[:ARITY], grid[:RxC], islands[:K], regions[:K], a YAML
            file (its path as text or as a Path), or matrix:delay=D.csv,rate=R.csv.
        profile: a name from ``harness profiles``, a YAML file (its path as text or as a Path), or none (unshaped).
        between: profile of the slow edges between islands or regions; None: wan.
        seed: of the values drawn from the profile's ranges.
        uplink: limit of all that a node sends, e.g. "20mbit"; None: the profile's.
        downlink: limit of all that a node receives; None: the profile's.
        trunk: limit of all edges from one region to another, e.g. "1gbit"; None: no limit.
        cpu: share of one CPU core for the programs of a node: "50%" for all nodes, or e.g. ["2=25%", "0-1=50%"].
        place: regions of the ranks with topology "regions:aws", e.g. "eu-west-1,us-east-1"; None: all in turn.
        mtu: largest packet in bytes, 1280 to 9000.
        ecn: whether TCP in the nodes uses explicit congestion notification: queues mark packets instead of dropping.
        subnet: IPv4 subnet of the nodes; None: 10.77.0.0/16, or a free one for containers.
        subnet6: the same for IPv6; None: fd77::/64.
        runtime: where nodes live: netns (network namespaces) or docker (containers); None: $HARNESS_RUNTIME, or netns.
        engine: what enforces the links: netem, userspace or auto; None: $HARNESS_ENGINE, or auto.
        congestion_control: TCP's, in the nodes.
        image: of containers: harness-node, or one made from it.
        volumes: folders for containers: /HOST:/INSIDE or /HOST:/INSIDE:ro.
        gpus: of each container: "all", a number as text, or "device=0,2".
        name: for ``harness ... --name``; None: a unique one, so that tests can run side by side.
        record: True records what runs on the network in a new folder in ``runs``, for ``harness report``; a path
            replaces ``runs``. See ``ShapedNetwork.run_folder``.
        scenario: a name or a file (docs/scenarios.md), which plays as soon as the network is up.

    Raises:
        InputError: an argument is wrong, or the record cannot be written; nothing was touched.
        UnavailableError, PrivilegeError: the machine lacks something; the message says how to fix it.
        NetworkStateError: the name or the subnet is taken.
    """
    options = PlanOptions(
        None if nodes is None else whole("nodes", nodes, 4),
        written("topology", topology, "a name, e.g. 'ring', or a YAML file"),
        written("profile", profile, PROFILE),
        written_or_none("between", between, PROFILE),
        whole("seed", seed, 1),
        subnet,
        subnet6,
        uplink=written_or_none("uplink", uplink, "a rate, e.g. '20mbit'"),
        downlink=written_or_none("downlink", downlink, "a rate, e.g. '100mbit'"),
        trunk=written_or_none("trunk", trunk, "a rate, e.g. '1gbit'"),
        cpu=(cpu,) if isinstance(cpu, str) else several("cpu", cpu, "2=25%"),
        place=written_or_none("place", place, "names of regions, e.g. 'eu-west-1,us-east-1'"),
        mtu=whole("mtu", mtu, 1500),
        ecn=bool(ecn),
    )
    if options.nodes is not None and options.nodes < 1:
        raise InputError(f"nodes={nodes}: a network has at least one node")
    plan = options.plan()
    placement = Placement(
        runtime or os.environ.get(OPTIONS["runtime"].environ) or DEFAULTS.runtime,
        engine or os.environ.get(OPTIONS["engine"].environ) or DEFAULTS.engine,
        congestion_control,
        image,
        several("volumes", volumes, "/HOST:/INSIDE"),
        written_or_none("gpus", gpus, "'all', '2' or 'device=0,2'"),
    )
    placement.check(plan)
    name = _new_name() if name is None else LocalRegistry.check_name(name)
    beside = _beside(name, scenario, plan)
    host.raise_open_files()
    folder, placement = _recorded(record, placement)
    if beside:
        beside, placement = beside.placed(placement)
    notes: list[str] = []
    made = _made(name, options, placement, notes.append, beside, folder)
    shaped = _shaped(made, placement, beside, folder)
    try:
        for text in notes:
            warn(text)
        if beside:
            shaped.play(beside.file)
    except (HarnessWarning, HarnessError) as error:
        shaped.__exit__(type(error), error, None)
        raise
    return shaped


def _beside(network: str, scenario: StrPath | None, plan: NetworkPlan) -> Accompaniment | None:
    """The scenario, checked against the plan. Raises InputError."""
    if scenario is None:
        return None
    from harness.scenario.accompany import Accompaniment

    return Accompaniment.checked(network, scenario_path(written("scenario", scenario, SCENARIO)), plan)


def _made(
    name: str,
    options: PlanOptions,
    placement: Placement,
    note: Callable[[str], None],
    beside: Accompaniment | None,
    folder: RunFolder | None,
) -> Network:
    """Start the network. Where that fails, remove the run folder, which is still empty."""
    own_subnet = options.subnet is not None or options.subnet6 is not None
    start = _start if own_subnet or placement.runtime != DOCKER else _beside_others
    try:
        return start(name, options, placement, note, beside)
    except BaseException:
        if folder:
            with contextlib.suppress(OSError):
                folder.path.rmdir()
        raise


def _shaped(
    made: Network, placement: Placement, beside: Accompaniment | None, folder: RunFolder | None
) -> ShapedNetwork:
    """The network for Python, with its record. Where that fails, take the network down."""
    try:
        steps = _steps(made, beside)
        return ShapedNetwork(made, _record(made, folder, placement.congestion_control, beside), steps)
    except BaseException:
        made.down()
        raise


def _recorded(record: bool | StrPath, placement: Placement) -> tuple[RunFolder | None, Placement]:
    """A new run folder, and the placement in which nodes see it. Raises InputError, HarnessError."""
    if record is False:
        return None, placement
    from harness.api.record import program_name
    from harness.experiment.recorded import RUNS
    from harness.experiment.recording import check_volumes, recorded_placement
    from harness.experiment.run_folder import new_run_folder

    root = RUNS if record is True else Path(written("record", record, "True, or a folder, e.g. 'runs'"))
    check_volumes(placement)
    folder = new_run_folder(root, program_name())
    return folder, recorded_placement(placement, folder)


def _record(
    network: Network, folder: RunFolder | None, congestion_control: str, beside: Accompaniment | None
) -> NetworkRecord | None:
    if folder is None:
        return None
    from harness.api.record import NetworkRecord

    return NetworkRecord(network, folder, congestion_control, str(beside.file) if beside else None)


def _steps(network: Network, beside: Accompaniment | None) -> JobSteps | None:
    """The file that jobs write their steps to; in namespaces always, because a scenario may be played later."""
    if beside and beside.steps:
        return beside.steps
    if network.backend.name == DOCKER:
        return None
    return make_local_steps(network.name)


def _beside_others(
    name: str, options: PlanOptions, placement: Placement, note: Callable[[str], None], beside: Accompaniment | None
) -> Network:
    """Start the network in a free subnet: two networks of a Docker daemon cannot have the same."""
    from harness.backends.docker.registry import DockerRegistry

    for _ in range(_TRIES):
        try:
            return _start(name, options, placement, note, beside)
        except NetworkStateError:
            if name in DockerRegistry(LocalRegistry()).names():
                raise
            low, high = secrets.randbelow(256), secrets.randbelow(2)  # RFC 2544's 198.18.0.0/15 is rarely used
            options = replace(options, subnet=f"198.{18 + high}.{low}.0/24", subnet6=f"fd77:{high:x}{low:02x}::/64")
    return _start(name, options, placement, note, beside)


def _start(
    name: str, options: PlanOptions, placement: Placement, note: Callable[[str], None], beside: Accompaniment | None
) -> Network:
    if beside and beside.steps:
        beside.make_shared_steps()
    return placement.start(name, options.plan(), transient=True, progress=lambda _: None, tell=note)


def _new_name() -> str:
    return f"py-{os.getpid()}-{secrets.token_hex(4)}"
