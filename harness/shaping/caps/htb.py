"""Makes a shared capacity's htb tree on an interface of the current network namespace, and reads it back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from harness.model.capacity import Capacity
from harness.model.status import CapStatus, Stats
from harness.netlink.rtnetlink import Request, Rtnetlink
from harness.shaping import u32
from harness.shaping.caps import messages as tc
from harness.shaping.caps.messages import INGRESS
from harness.shaping.caps.tree import REST, TOTAL, CapTree, cap_tree, differences, held_capacity
from harness.shaping.counts import read_counts
from harness.shaping.leaf import leaf_options, read_leaf
from harness.shaping.qdisc import ROOT
from harness.shaping.u32 import Filter

FilterKey = tuple[int, int]
"""Priority and number of a filter; the number is the low 12 bits of its handle."""
_NUMBER_BITS: Final = 0xFFF


@dataclass(frozen=True)
class HeldCaps:
    """The tree of an interface.

    Args:
        tree: its classes and leaves.
        rooted: whether it has the htb root.
        stats: of the whole tree.
    """

    tree: CapTree = field(default_factory=CapTree)
    rooted: bool = False
    stats: Stats = field(default_factory=Stats)


def make_tree(netlink: Rtnetlink, index: int, wanted: CapTree, filters: Mapping[FilterKey, Filter]) -> None:
    """Change an interface's tree to the wanted one. Raises OSError with the kernel's words.

    Args:
        netlink: in its namespace.
        index: of the interface.
        wanted: the tree.
        filters: on its root.
    """
    held = read_tree(netlink, index, wanted)
    found = held.tree
    missing = list(_filters(netlink, index, ROOT, filters)) if held.rooted else _added(index, ROOT, filters)
    requests = [] if held.rooted else [tc.new_root(index)]
    if wanted.shortening != found.shortening:
        requests.append(tc.set_shortening(index, wanted.shortening))
    requests += _classes(index, wanted, found, rest=False)
    requests += missing
    requests += _classes(index, wanted, found, rest=True)  # from now on what matches no filter is limited too
    send(netlink, requests)


def _classes(index: int, wanted: CapTree, found: CapTree, *, rest: bool) -> Iterator[Request]:
    for number, spec in wanted.classes.items():
        if (number == REST) == rest:
            if found.classes.get(number) != spec:
                yield tc.set_class(index, number, ROOT if number == TOTAL else ROOT | TOTAL, spec)
            leaf = wanted.leaves.get(number)
            if leaf and found.leaves.get(number) != leaf:
                yield tc.set_leaf(index, number, *leaf_options(leaf, spec.ceil))


def read_tree(netlink: Rtnetlink, index: int, wanted: CapTree) -> HeldCaps:
    """Read an interface's tree; for ``wanted`` see leaf.read_leaf."""
    root, counts, leaves = None, (0, 0, 0, 0, 0), {}
    for body in netlink.dump(tc.RTM_GETQDISC, tc.dump_request(index)):
        at, handle, parent, _ = tc.header(body)
        if at != index:
            continue
        kind, options = tc.kind_and_options(body)
        if kind == "htb" and handle == ROOT:
            root, counts = tc.read_shortening(body), read_counts(body)
        elif parent >> 16 == ROOT >> 16:
            number = parent & 0xFFFF
            ceil = wanted.classes[number].ceil if number in wanted.classes else 0
            if leaf := read_leaf(kind, options, wanted.leaves.get(number), ceil):
                leaves[number] = leaf
    if root is None:
        return HeldCaps()
    classes = {}
    sent = 0, 0
    for body in netlink.dump(tc.RTM_GETTCLASS, tc.dump_request(index)):
        _, handle, _, _ = tc.header(body)
        if handle >> 16 != ROOT >> 16:  # of fq_codel or red
            continue
        number = handle & 0xFFFF
        classes[number] = tc.read_class(tc.kind_and_options(body)[1], leaf=number != TOTAL)
        if number == TOTAL:
            sent = read_counts(body)[:2]
    packets, size = sent
    _, _, dropped, backlog, queued = counts
    return HeldCaps(
        CapTree(classes, leaves, root), True, Stats(packets, size + packets * root, dropped, backlog, queued)
    )


def read_cap(
    netlink: Rtnetlink, index: int, capacity: Capacity | None, flows: int, mtu: int
) -> tuple[CapStatus, list[str]]:
    """The capacity that an interface enforces, and how it differs from the wanted one; see cap_tree."""
    wanted = cap_tree(capacity, flows, mtu)
    held = read_tree(netlink, index, wanted)
    return CapStatus(held_capacity(held.tree, capacity, flows), held.stats), list(differences(wanted, held.tree))


def has_tree(netlink: Rtnetlink, index: int) -> bool:
    """Whether an interface has the htb root."""
    found = map(tc.header, netlink.dump(tc.RTM_GETQDISC, tc.dump_request(index)))
    return any(at == index and handle == ROOT for at, handle, _, _ in found)


def make_filters(netlink: Rtnetlink, index: int, filters: Mapping[FilterKey, Filter]) -> None:
    """Change the filters of incoming packets to these, and add the ingress qdisc for them. Raises OSError."""
    if not has_ingress(netlink, index):
        send(netlink, [tc.new_ingress(index), *_added(index, INGRESS, filters)])
    else:
        send(netlink, list(_filters(netlink, index, INGRESS, filters)))


def has_ingress(netlink: Rtnetlink, index: int) -> bool:
    """Whether an interface has an ingress qdisc."""
    found = map(tc.header, netlink.dump(tc.RTM_GETQDISC, tc.dump_request(index)))
    return any(at == index and handle == INGRESS for at, handle, _, _ in found)


def missing_filters(netlink: Rtnetlink, index: int, parent: int, filters: Mapping[FilterKey, Filter]) -> list[str]:
    """How many of these filters an interface lacks, in words; empty where it has all."""
    found = {key: spec for key, (_, spec) in _read_filters(netlink, index, parent).items()}
    missing = sum(found.get(key) != spec for key, spec in filters.items())
    return [f"{missing} of its {len(filters)} filters are missing"] if missing else []


def _filters(netlink: Rtnetlink, index: int, parent: int, wanted: Mapping[FilterKey, Filter]) -> Iterator[Request]:
    """The changes that lead to the wanted filters; a filter's keys cannot change, so it is replaced."""
    found = _read_filters(netlink, index, parent)
    for (priority, number), (handle, spec) in found.items():
        if wanted.get((priority, number)) != spec:
            yield u32.drop_filter(index, parent, priority, handle, spec.version)
    yield from _added(
        index, parent, {key: spec for key, spec in wanted.items() if found.get(key, (0, None))[1] != spec}
    )


def _added(index: int, parent: int, filters: Mapping[FilterKey, Filter]) -> list[Request]:
    return [u32.set_filter(index, parent, priority, number, spec) for (priority, number), spec in filters.items()]


def _read_filters(netlink: Rtnetlink, index: int, parent: int) -> dict[FilterKey, tuple[int, Filter]]:
    read = (u32.read_filter(body) for body in netlink.dump(tc.RTM_GETTFILTER, tc.dump_request(index, parent)))
    return {(one[0], one[1] & _NUMBER_BITS): (one[1], one[2]) for one in read if one is not None}


def send(netlink: Rtnetlink, requests: list[Request]) -> None:
    """Send requests in one batch. Raises OSError with the kernel's words for the first one refused."""
    for refusal in netlink.batch(requests):
        raise OSError(refusal.errno, refusal.text)
