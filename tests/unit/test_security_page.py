"""docs/security.md: its table of packets is the one that is tested, and the tests that it names are there."""

import re
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from tests.support import frames

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/security.md").read_text()
ENDS = frames.Ends(
    (bytes(6), bytes(6)),
    (IPv4Address("10.0.0.1"), IPv4Address("10.0.0.2")),
    (IPv6Address("fd00::1"), IPv6Address("fd00::2")),
    (IPv6Address("fe80::1"), IPv6Address("fe80::2")),
    (IPv4Address("10.0.0.3"), IPv6Address("fd00::3")),
    IPv4Address("10.0.0.255"),
)


def test_its_table_of_packets_is_the_one_that_is_tested():
    kinds = frames.kinds(ENDS)
    lines = [f"| {kind.name} | {kind.netem} | {kind.userspace} |" for kind in kinds]
    written = PAGE[PAGE.index("| packet | netem | user space |") :].strip().splitlines()
    assert written == ["| packet | netem | user space |", "|---|---|---|", *lines]


def test_the_tests_that_it_names_are_there():
    named = re.findall(r"`(tests/[\w/]+\.py)`", PAGE)
    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []
