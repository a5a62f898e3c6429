"""The options of a network, each declared once for the command line, Python, containers' environment and compose.yaml.

tests/unit/model/test_plan_options.py fails where one of these lacks an option or has another default.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Final

from harness.errors import InputError
from harness.model.address import MAX_MTU, MIN_MTU, MTU

if TYPE_CHECKING:
    from harness.model.address import Addressing
    from harness.model.capacity import Capacity
    from harness.model.cpu import CpuShare, CpuShares
    from harness.model.plan import NetworkPlan


@dataclass(frozen=True)
class NetworkOption:
    """The properties of an option beside its name, type and default.

    Args:
        help, flags: on the command line.
        compose: its variable in compose.yaml and in a node; empty: none.
        environ: the variable from which the command line and Python read it; empty: none.
        shown: the default to show where the default value is None.
        least: the smallest number that it can be; None: any.
    """

    help: str
    flags: tuple[str, ...]
    compose: str = ""
    environ: str = ""
    shown: str = ""
    least: int | None = None


def option(default: Any, help_: str, *flags: str, **more: Any) -> Any:
    """A dataclass field that is an option of a network; see NetworkOption."""
    return field(default=default, metadata={"option": NetworkOption(help_, flags, **more)})


@dataclass(frozen=True)
class PlanOptions:
    """The options that determine a plan, as the user wrote them."""

    nodes: int | None = option(
        None, "Number of nodes; 4, or what a topology file says.", "--nodes", "-n", compose="NODES", least=1
    )
    topology: str = option(
        "fully_connected",
        "fully_connected, ring, star, line, tree[:ARITY], grid[:RxC], islands[:K], "
        "regions[:K], regions:aws, a YAML file, matrix:delay=D.csv,rate=R.csv, or matrix:rtt=D.csv,unit=ms.",
        "--topology",
        "-t",
        compose="TOPOLOGY",
    )
    profile: str = option(
        "wan",
        "A name from 'harness profiles', a YAML file, or none (unshaped).",
        "--profile",
        "-p",
        compose="PROFILE",
    )
    between: str | None = option(
        None, "Profile of the slow edges between islands or regions; wan unless given.", "--between", compose="BETWEEN"
    )
    seed: int = option(0, "Seed of the values that links draw from the profile's ranges.", "--seed", compose="SEED")
    subnet: str | None = option(None, "IPv4 subnet of the nodes.", "--subnet", compose="SUBNET", shown="10.77.0.0/16")
    subnet6: str | None = option(None, "IPv6 subnet of the nodes.", "--subnet6", compose="SUBNET6", shown="fd77::/64")
    uplink: str | None = option(
        None, "Rate that everything a node sends shares, e.g. 20mbit, or none.", "--uplink", compose="UPLINK"
    )
    downlink: str | None = option(
        None,
        "Rate that everything a node receives shares, e.g. 100mbit, or none.",
        "--downlink",
        compose="DOWNLINK",
    )
    trunk: str | None = option(
        None,
        "Rate that all edges from one region to another share, e.g. 1gbit; not with containers.",
        "--trunk",
        compose="TRUNK",
    )
    cpu: tuple[str, ...] = option(
        (),
        "Share of one CPU core that programs of nodes get, e.g. 2=25%, 0-3=50%, all=50%, or 250%.",
        "--cpu",
        compose="CPU",
    )
    place: str | None = option(
        None,
        "Regions of the ranks with -t regions:aws, e.g. eu-west-1,us-east-1 ('harness regions' lists them).",
        "--place",
        compose="PLACE",
    )
    mtu: int = option(MTU, "Largest packet in bytes, 1280 to 9000.", "--mtu", compose="MTU", least=1280)
    ecn: bool = option(False, "TCP asks for ECN: queues mark its packets instead of dropping.", "--ecn", compose="ECN")

    def plan(self, addressing: Addressing | None = None) -> NetworkPlan:
        """Make the plan. Raises InputError.

        Args:
            addressing: the nodes' addresses; None: in order, from the subnets.
        """
        from harness.model.address import Addressing
        from harness.model.make_plan import make_plan
        from harness.model.profile_file import load_profile
        from harness.model.topology_names import build_topology

        addressing = addressing or Addressing.parse(self.subnet, self.subnet6)
        if self.nodes is not None:
            addressing.require(self.nodes)
        topology = build_topology(self.topology, self.nodes, self.seed, self.place)
        has_slow = any(edge.tier for edge in topology.edges)
        if self.between is not None and not has_slow:
            raise InputError(f"--between is for topologies with islands or regions; {topology.name} has none")
        between = load_profile(self.between or PlanOptions.profile) if has_slow else None
        if has_slow and self.profile == "none" and self.between is None:
            between = None
        if not MIN_MTU <= self.mtu <= MAX_MTU:
            raise InputError(f"--mtu {self.mtu} is not between {MIN_MTU} (IPv6's least, RFC 8200) and {MAX_MTU}")
        given = {"uplink": self.uplink, "downlink": self.downlink}
        cpus = self._cpus(topology.size)
        caps: dict[str, Capacity | CpuShare | None] = {
            name: _capacity(f"--{name}", text) for name, text in given.items() if text is not None
        }
        return make_plan(
            topology,
            load_profile(self.profile),
            self.seed,
            between=between,
            addressing=addressing,
            caps=caps | ({"cpu": cpus.every} if cpus.given else {}),
            cpus=cpus.ranks,
            trunk=_capacity("--trunk", self.trunk),
            mtu=self.mtu,
            ecn=self.ecn,
        )

    def _cpus(self, size: int) -> CpuShares:
        from harness.model.cpu import CpuShares

        try:
            return CpuShares.parse(self.cpu, size)
        except InputError as error:
            raise InputError(f"--cpu: {error}") from None


def _capacity(option_name: str, text: str | None) -> Capacity | None:
    from harness.model.capacity import Capacity
    from harness.model.units import Rate

    try:
        return None if text in (None, "none") else Capacity(Rate.parse(text))
    except InputError as error:
        raise InputError(f"{option_name}: {error}") from None


@dataclass(frozen=True)
class NetworkOptions(PlanOptions):
    """A plan's options, and those of backend and engine."""

    runtime: str = option(
        "netns",
        "Where nodes live: netns (network namespaces) or docker (containers).",
        "--runtime",
        environ="HARNESS_RUNTIME",
    )
    engine: str = option(
        "auto",
        "What shapes the links: netem (the kernel), userspace (NFQUEUE, for kernels without netem), or auto.",
        "--engine",
        compose="ENGINE",
        environ="HARNESS_ENGINE",
    )
    congestion_control: str = option(
        "cubic",
        "TCP's congestion control in the nodes, e.g. bbr; results depend on it.",
        "--congestion-control",
        compose="CONGESTION_CONTROL",
    )
    image: str | None = option(
        None,
        "Image of containers: harness-node, or one made from it.",
        "--image",
        compose="IMAGE",
        shown="harness-node",
    )
    volumes: tuple[str, ...] = option(
        (),
        "A folder for containers: /HOST:/INSIDE or /HOST:/INSIDE:ro. Programs start in /work.",
        "--volume",
        "-v",
    )
    gpus: str | None = option(
        None, "GPUs of containers: all, a number, or device=0,2, as for docker run; nodes share them.", "--gpus"
    )


PLAN_OPTIONS: Final = tuple(each.name for each in fields(PlanOptions))
DEFAULTS: Final = NetworkOptions()
NAME_UNLESS_GIVEN: Final = "default"
"""The name of a network for which the user gives none."""
OPTIONS: Final[Mapping[str, NetworkOption]] = {each.name: each.metadata["option"] for each in fields(NetworkOptions)}
"""The declarations of the options, by name."""
COMPOSED: Final[Mapping[str, str]] = {one.compose: name for name, one in OPTIONS.items() if one.compose}
"""The options that a node's environment has, by their variable."""
