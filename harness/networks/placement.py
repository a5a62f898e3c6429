"""Where the nodes of a network live and what enforces its links: checks the options and starts the network.

The command line, the Python API and experiments share this; nothing here prints.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Final, Self

from harness.agent.trunks import refuse_trunks
from harness.backends.base import Progress
from harness.backends.docker.container_options import Limits, parse_gpus, parse_volume
from harness.backends.registration import Registration
from harness.errors import InputError, UnavailableError, quoted
from harness.model.long_paths import long_paths
from harness.model.narrow_caps import narrow_caps
from harness.model.plan import NetworkPlan
from harness.model.plan_options import NetworkOptions
from harness.model.small_buckets import small_buckets
from harness.model.suggest import suggest
from harness.networks.backends import BACKENDS, DOCKER, NETNS, find_backend
from harness.networks.network import Network
from harness.networks.registry import LocalRegistry
from harness.shaping.detect import LIMITS, choose_engine, make_engine
from harness.shaping.facts import AUTO, NETEM, USERSPACE, engine_facts


def check_backend(name: str, image: str | None, volumes: Sequence[str], gpus: str | None = None) -> None:
    """Raise InputError for an unknown --runtime, or an option that it does not have."""
    if name not in BACKENDS:
        raise InputError(f"no runtime is called {name!r}; {suggest(name, BACKENDS)}")
    if name != DOCKER and (image or volumes):
        raise InputError("--image and --volume are for containers: add --runtime docker")
    if name != DOCKER and gpus:
        raise InputError("--gpus is for containers: nodes in network namespaces have all of the machine's GPUs")
    for volume in volumes:
        parse_volume(volume)
    parse_gpus(gpus)


_CONGESTION_CONTROL: Final = re.compile(r"[A-Za-z0-9_-]{1,15}")
"""A name as the kernel has it: TCP_CA_NAME_MAX is 16, with the zero at its end."""


@dataclass(frozen=True)
class Placement:
    """Options that say where nodes live and what enforces their links.

    Args:
        runtime: netns or docker.
        engine: auto, netem or userspace.
        congestion_control: TCP's.
        image: of containers.
        volumes: of containers, /HOST:/INSIDE[:ro].
        gpus: of each container: all, a number, or device=0,2.
    """

    runtime: str = NETNS
    engine: str = AUTO
    congestion_control: str = "cubic"
    image: str | None = None
    volumes: tuple[str, ...] = ()
    gpus: str | None = None

    @classmethod
    def of(cls, chosen: NetworkOptions) -> Self:
        """The placement that a network's options ask for."""
        return cls(**{one.name: getattr(chosen, one.name) for one in fields(cls)})

    def with_volume(self, volume: str) -> Self:
        """The same with one more volume."""
        return replace(self, volumes=(*self.volumes, volume))

    def check(self, plan: NetworkPlan | None = None) -> None:
        """Raise InputError where an option is wrong, or the plan needs what the runtime lacks; touches no machine."""
        if self.engine != AUTO:
            engine_facts(self.engine)
        if not _CONGESTION_CONTROL.fullmatch(self.congestion_control):
            raise InputError(f"--congestion-control {quoted(self.congestion_control)}: write one, e.g. cubic or bbr")
        check_backend(self.runtime, self.image, self.volumes, self.gpus)
        if self.runtime == DOCKER:
            Limits.read(os.environ)
            if plan is not None:
                refuse_trunks(plan)

    def start(
        self, name: str, plan: NetworkPlan, *, transient: bool, progress: Progress, tell: Callable[[str], None]
    ) -> Network:
        """Make the network.

        Args:
            name: of the network.
            plan: of the network.
            transient: whether it ends with this process.
            progress: called with what is being done.
            tell: called with warnings about the links, one line each.

        Raises:
            NetworkStateError: the name is taken.
            UnavailableError, PrivilegeError: the machine lacks something; nothing was made.
            NodeError: a node refused; everything was removed again.
        """
        if self.runtime == DOCKER:
            return self._start_containers(name, plan, transient, progress, tell)
        from harness.backends.netns.backend import NetnsBackend

        engine = make_engine(_chosen(self.engine, plan, tell))
        notes = (*engine.precision_warnings(plan.edges.values()), *narrow_caps(plan), *small_buckets(plan))
        for text in (*notes, *long_paths(plan)):
            tell(text)
        backend = NetnsBackend(engine, self.congestion_control)
        LocalRegistry().sweep(_is_gone)
        return Network.up(name, plan, backend, LocalRegistry(), transient=transient, progress=progress)

    def _start_containers(
        self, name: str, plan: NetworkPlan, transient: bool, progress: Progress, tell: Callable[[str], None]
    ) -> Network:
        from harness.backends.docker.backend import DockerBackend
        from harness.backends.docker.container_options import IMAGE, ContainerOptions
        from harness.backends.docker.cpu import shares_note
        from harness.backends.docker.registry import DockerRegistry

        limits = Limits.read(os.environ)
        image = self.image or IMAGE
        recipe = ContainerOptions(
            image, self.volumes, self.engine, self.congestion_control, transient, limits, self.gpus
        )
        backend, registry = DockerBackend(name, recipe=recipe), DockerRegistry(LocalRegistry())
        network = Network.up(name, plan, backend, registry, transient=transient, progress=progress)
        if network.engine == USERSPACE and self.engine != USERSPACE:
            tell(LIMITS)
        notes = (*backend.engine.precision_warnings(plan.edges.values()), *narrow_caps(plan), *small_buckets(plan))
        for text in (*notes, *shares_note(plan, network.engine)):
            tell(text)
        return network


def _is_gone(record: Registration) -> bool:
    """Whether a network is gone. Removes what a killed command left of it."""
    backend = find_backend(record)
    if backend.alive:
        return False
    backend.destroy()
    return True


def _chosen(wanted: str, plan: NetworkPlan, tell: Callable[[str], None]) -> str:
    """The engine's name; a network that shapes nothing needs no engine that works, and no note about it."""
    shaped = plan.has_caps or any(not edge.shape.is_unshaped for edge in plan.edges.values())
    try:
        engine, why = choose_engine(wanted)
    except UnavailableError:
        if shaped:
            raise
        return NETEM
    if why and shaped:
        tell(why)
    return engine
