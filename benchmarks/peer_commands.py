"""What peers run in a node to shape its links: of each the commands of its first run, of a change, of its clean-up.

All shape what a node sends, at its own interface, as they are documented to be used:

* **tc**: a file for ``tc -batch`` as people write it, an htb class with a netem and a u32 filter for each destination.
* **tcconfig** (PyPI): ``tcset`` once for each destination, ``--change`` or ``--overwrite`` later, ``tcdel --all``.
* **Pumba** (alexei-led/pumba): the tc commands of ``pumba netem --target A --target B``, from
  pkg/runtime/docker/netem.go (startNetemContainerIPFilter, stopNetemContainer; all effects in one netem:
  pkg/chaos/netem/combine.go). The program itself needs a Docker daemon, in which it runs each of them by an exec of its
  own, in a helper container unless the node's image has tc: that is not in the figures. A change is a new run: Pumba
  ends, which removes the qdiscs, and starts again.
* **Containernet** (containernet/containernet): TCIntf of its TCLink (mininet/link.py: bwCmds, delayCmds, config), which
  it has from Mininet (mininet/mininet, the same file): one link per interface, whatever is behind that. The commands
  are asked of the class in Mininet's package (peer_packages.py). A change is another ``config``, which deletes first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

DEVICE: Final = "eth0"


@dataclass(frozen=True)
class Link:
    """A link's shape, one way; no rate is no limit."""

    delay_ms: int
    rate_mbit: int | None = None
    loss_percent: float = 0.0


class Step(NamedTuple):
    """A command, and its standard input."""

    argv: tuple[str, ...]
    text: str = ""


def words(line: str) -> Step:
    """A command without quotes."""
    return Step(tuple(line.split()))


class Peer(Protocol):
    """A tool that shapes a node's links to these addresses, all alike."""

    @property
    def name(self) -> str:
        """What it is called in the table."""
        ...

    def shape(self, link: Link, addresses: Sequence[str]) -> list[Step]:
        """Where nothing is shaped yet."""
        ...

    def change(self, link: Link, addresses: Sequence[str]) -> list[Step]:
        """The link to the first of these addresses; all of them where the tool can't help it."""
        ...

    def again(self, link: Link, addresses: Sequence[str]) -> list[Step]:
        """What its next run does, after one that was killed."""
        ...

    def clean(self) -> list[Step]:
        """What the tool has to take everything back; nothing where it leaves that to the user."""
        ...


class Tc:
    """See the module."""

    name = "tc -batch"

    def shape(self, link: Link, addresses: Sequence[str]) -> list[Step]:
        """See Peer."""
        lines = [
            f"qdisc add dev {DEVICE} root handle 1: htb default 1",
            f"class add dev {DEVICE} parent 1: classid 1:1 htb rate 10gbit",
        ]
        for number, address in enumerate(addresses, 16):
            lines += [
                f"class add dev {DEVICE} parent 1: classid 1:{number:x} htb rate {link.rate_mbit or 10_000}mbit",
                f"qdisc add dev {DEVICE} parent 1:{number:x} handle {number:x}: netem {_netem(link)}",
                f"filter add dev {DEVICE} protocol ip parent 1: prio 1 u32 match ip dst {address}/32"
                f" flowid 1:{number:x}",
            ]
        return [Step(("tc", "-batch", "-"), "\n".join(lines) + "\n")]

    def change(self, link: Link, addresses: Sequence[str]) -> list[Step]:
        """See Peer: in place."""
        return [words(f"tc qdisc change dev {DEVICE} parent 1:10 handle 10: netem {_netem(link)}")]

    def again(self, link: Link, addresses: Sequence[str]) -> list[Step]:
        """See Peer."""
        return self.shape(link, addresses)

    def clean(self) -> list[Step]:
        """See Peer."""
        return []


@dataclass(frozen=True)
class Tcconfig:
    """See the module. ``folder`` has tcset and tcdel; ``how`` a change is made: --change or --overwrite."""

    folder: str
    name: str = "tcconfig"
    how: str = "--change"

    def shape(self, link: Link, addresses: Sequence[str]) -> list[Step]:
        """See Peer. ``--add`` says "Exclusivity flag on" of the qdisc that is there, and does its work."""
        return [self._set(link, address, *(["--add"] if number else [])) for number, address in enumerate(addresses)]

    def change(self, link: Link, addresses: Sequence[str]) -> list[Step]:
        """See Peer: --overwrite deletes the interface's rules, all of them, before it adds this one."""
        return [self._set(link, addresses[0], self.how)]

    def again(self, link: Link, addresses: Sequence[str]) -> list[Step]:
        """See Peer."""
        return self.shape(link, addresses)

    def clean(self) -> list[Step]:
        """See Peer."""
        return [words(f"{self.folder}/tcdel {DEVICE} --all")]

    def _set(self, link: Link, address: str, *options: str) -> Step:
        rate = f"--rate {link.rate_mbit}Mbps" if link.rate_mbit else ""
        loss = f"--loss {link.loss_percent:g}%" if link.loss_percent else ""
        given = f"--network {address} --delay {link.delay_ms}ms {rate} {loss} {' '.join(options)}"
        return words(f"{self.folder}/tcset {DEVICE} {given}")


class Pumba:
    """See the module."""

    name = "Pumba's commands"

    def shape(self, link: Link, addresses: Sequence[str]) -> list[Step]:
        """See Peer."""
        rate = f" rate {link.rate_mbit}mbit" if link.rate_mbit else ""
        loss = f" loss {link.loss_percent:.2f}" if link.loss_percent else ""
        lines = [
            "qdisc add dev {0} root handle 1: prio",
            "qdisc add dev {0} parent 1:1 handle 10: sfq",
            "qdisc add dev {0} parent 1:2 handle 20: sfq",
            f"qdisc add dev {{0}} parent 1:3 handle 30: netem delay {link.delay_ms}ms{loss}{rate}",
            *(
                f"filter add dev {{0}} protocol ip parent 1:0 prio 1 u32 match ip dst {address}/32 flowid 1:3"
                for address in addresses
            ),
        ]
        return [words("tc " + line.format(DEVICE)) for line in lines]

    def change(self, link: Link, addresses: Sequence[str]) -> list[Step]:
        """See Peer: all its targets have one netem."""
        lines = [
            "qdisc del dev {0} parent 1:1 handle 10:",
            "qdisc del dev {0} parent 1:2 handle 20:",
            "qdisc del dev {0} parent 1:3 handle 30:",
            "qdisc del dev {0} root handle 1: prio",
        ]
        return [words("tc " + line.format(DEVICE)) for line in lines] + self.shape(link, addresses)

    def again(self, link: Link, addresses: Sequence[str]) -> list[Step]:
        """See Peer."""
        return self.shape(link, addresses)

    def clean(self) -> list[Step]:
        """See Peer: only the Pumba that made the qdiscs removes them, before it ends."""
        return []


def _netem(link: Link) -> str:
    loss = f" loss {link.loss_percent:g}%" if link.loss_percent else ""
    return f"delay {link.delay_ms}ms{loss}"
