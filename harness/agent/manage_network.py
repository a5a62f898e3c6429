"""The agents' own network, where nodes are on several machines (``harness stack``): not shaped, and closed to jobs.

On one machine, the command line reaches every agent through Docker, and agents reach each other over the links. On
several machines, each container has this second network.
"""

from __future__ import annotations

import fcntl
import socket
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Final

from harness.agent import discovery
from harness.agent.protocol import PORTS
from harness.agent.user_rules import reserve_network
from harness.errors import PrivilegeError, UnavailableError
from harness.model.address import INTERFACE

PORT: Final = PORTS[1]
"""Where every agent listens on that network for the requests that its control socket takes."""
_SIOCGIFADDR: Final = 0x8915
_SIOCGIFNETMASK: Final = 0x891B


@dataclass(frozen=True)
class ManageNetwork:
    """The agents' addresses on it, by rank; this node's interface to it, e.g. eth1; and the interface's subnet."""

    addresses: tuple[IPv4Address, ...]
    interface: str
    subnet: IPv4Network

    @classmethod
    def join(cls, names: Sequence[str], patience: float, tell: Callable[[str], None]) -> ManageNetwork:
        """Find all agents by their names on it, and keep jobs out of it.

        Args:
            names: by rank.
            patience: seconds within which all must be found.
            tell: logs a line.

        Raises:
            UnavailableError: nodes are missing, or this container is not on that network.
            PrivilegeError: the kernel cannot keep jobs out.
        """
        places = discovery.find_all(names, patience, tell, ipv6=False)
        addresses = tuple(place.ipv4 for place in places)
        interface, subnet = _interface_of(addresses)
        if why := reserve_network(subnet, interface):
            raise PrivilegeError(
                f"jobs could send past the links, by {interface}: this kernel takes no rules by user ({why}); it needs"
                " nf_tables (modprobe nf_tables), and version 4.17"
            )
        return cls(addresses, interface, subnet)

    def address(self, rank: int) -> str:
        """The address of a rank's agent."""
        return str(self.addresses[rank])


def _interface_of(addresses: Sequence[IPv4Address]) -> tuple[str, IPv4Network]:
    """The interface of this container that has one of these addresses. Raises UnavailableError."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:

        def ask(name: str, request: int) -> IPv4Address:
            answer = fcntl.ioctl(any_socket, request, struct.pack("16s24x", name.encode()))
            return IPv4Address(answer[20:24])

        for _, name in socket.if_nameindex():
            try:
                address, mask = ask(name, _SIOCGIFADDR), ask(name, _SIOCGIFNETMASK)
            except OSError:  # it has none
                continue
            if address in addresses:
                if name == INTERFACE:
                    raise UnavailableError(
                        f"{INTERFACE} is on the network of the agents (HARNESS_MANAGE), not on that of the links: name"
                        " the two so that the links' name sorts first, as harness stack does"
                    )
                return name, IPv4Network((int(address), str(mask)), strict=False)
    raise UnavailableError("this container is not on the network of the agents (HARNESS_MANAGE)")
