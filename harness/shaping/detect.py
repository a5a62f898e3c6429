"""Probes the kernel's features, chooses an engine that works with them, and makes it.

It imports pyroute2's message classes, which takes 0.05 s, only when it probes.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from harness.errors import HarnessError, InputError, PrivilegeError, UnavailableError
from harness.installed import remedy
from harness.linux.denied import namespaces_denied
from harness.linux.fork import forked
from harness.model.format import format_rate, format_time
from harness.model.suggest import suggest
from harness.shaping.base import Engine
from harness.shaping.facts import AUTO, ENGINES, NETEM, USERSPACE, engine_facts
from harness.shaping.userspace.precision import MAX_JITTERED, MAX_RATE, MIN_DELAY

LIMITS: Final = (
    "links are enforced in user space (NFQUEUE), which is not exact for delays under"
    f" {format_time(MIN_DELAY)} one way, rates over {format_rate(MAX_RATE)} per edge,"
    f" or over {MAX_JITTERED:,} packets/s with jitter"
)


@dataclass(frozen=True)
class Feature:
    """A kernel feature, and whether this machine has it.

    Args:
        name: e.g. ``sch_netem``.
        purpose: what it is for.
        ok: whether it works here.
        detail: how it works, or the kernel's error.
        remedy: how to get it.
        needed_by: engines that do not work without it.
    """

    name: str
    purpose: str
    ok: bool
    detail: str = ""
    remedy: str = ""
    needed_by: tuple[str, ...] = ()


def features(only: Collection[str] | None = None) -> list[Feature]:
    """Probe features in a new network namespace. Without root or user namespaces it returns that these are missing.

    Args:
        only: names of the features; None: those that engines need or profit from.
    """
    from harness.shaping import kernel_probes  # noqa: F401 (before the fork: what makes the network needs it too)

    if only:
        from harness.shaping import tc_messages  # noqa: F401 (before the fork: what these are for needs it too)
    wanted = [feature for feature in _FEATURES if only is None or feature[0] in only]
    wanted += [feature for feature in CAP_FEATURES if only is not None and feature[0] in only]
    try:
        return forked(lambda: _in_new_namespace(wanted))
    except PrivilegeError as error:
        return [Feature("namespaces", "nodes of their own", False, str(error), namespaces_denied(), ENGINES)]


def in_place_features(wanted: str, only: Collection[str] | None = None) -> list[Feature]:
    """Probe features in the current network namespace, on its loopback, as in a container, which may not make another.

    It removes what it has made, which includes the user-space engine's rules: while these are in use, name only qdiscs
    in ``only``. It does not probe veth and bridge, which only the maker of a network needs.

    Args:
        wanted: the engine; with AUTO it probes netem's other features only where the kernel has netem.
        only: names of the features; None: those that the engine needs or profits from.
    """
    from harness.shaping import kernel_probes

    skipped = {"veth", "bridge"}
    if wanted == USERSPACE or not kernel_probes.knows_netem():
        skipped |= {"sch_htb", "cls_u32", "sch_tbf"} | ({"sch_netem"} if wanted == USERSPACE else set())
    chosen = [feature for feature in _FEATURES if feature[0] not in skipped]
    if only is not None:
        chosen = [feature for feature in (*_FEATURES, *CAP_FEATURES) if feature[0] in only]
    try:
        return _probe_all(chosen)
    finally:
        kernel_probes.clean([feature[0] for feature in chosen])


def works(engine: str, found: Iterable[Feature]) -> bool:
    """Whether an engine has all that it needs."""
    return not lacking(engine, found)


def lacking(engine: str, found: Iterable[Feature]) -> list[Feature]:
    """The features that an engine needs and that are missing."""
    return [feature for feature in found if engine in feature.needed_by and not feature.ok]


def choose_engine(wanted: str, found: Sequence[Feature] | None = None) -> tuple[str, str]:
    """The engine that shapes the links.

    Args:
        wanted: its name; AUTO takes the kernel's netem where it works, else user space.
        found: what features() returned; None calls it.

    Returns:
        Its name, and one line to print for the user, or an empty string.

    Raises:
        InputError: no engine has that name.
        UnavailableError: it does not work here; the message says what is missing and how to fix it.
        PrivilegeError: this user may not have network namespaces.
    """
    if wanted not in (AUTO, *ENGINES):
        raise InputError(f"no engine is called {wanted!r}; {suggest(wanted, (AUTO, *ENGINES))}")
    found = features() if found is None else found
    working = [engine for engine in ENGINES if works(engine, found)]
    if wanted in working:
        return wanted, ""
    if wanted != AUTO:
        raise _unavailable(lacking(wanted, found), f"; or use --engine {working[0]}" if working else "")
    if not working:
        raise _no_engine(found)
    if working[0] == NETEM:
        return NETEM, ""
    missing = lacking(NETEM, found)[0]
    return USERSPACE, f"no {missing.name} here: {LIMITS}"


def make_engine(name: str, *, outside: bool = False) -> Engine:
    """The engine of that name; imports it.

    Args:
        name: one of ENGINES.
        outside: whether nodes may send past their gateway, unshaped.

    Raises:
        InputError: none has that name.
    """
    if engine_facts(name).name == NETEM:
        from harness.shaping.netem import NetemEngine

        return NetemEngine(outside)
    from harness.shaping.userspace.engine import UserspaceEngine

    return UserspaceEngine(outside)


def _unavailable(missing: Sequence[Feature], otherwise: str = "") -> HarnessError:
    first = missing[0]
    denied = first.name == "namespaces" or first.detail == os.strerror(errno.EPERM)
    kind = PrivilegeError if denied else UnavailableError
    return kind(f"{first.name}: {first.detail} ({first.purpose}); fix: {first.remedy}{otherwise}")


def _no_engine(found: Sequence[Feature]) -> HarnessError:
    """An error that names what all engines lack or, where there is nothing, what each lacks."""
    common = [feature for feature in lacking(NETEM, found) if set(ENGINES) <= set(feature.needed_by)]
    if common:
        return _unavailable(common)
    first = {engine: lacking(engine, found)[0] for engine in ENGINES}
    reasons = "; ".join(f"{engine} lacks {feature.name} ({feature.detail})" for engine, feature in first.items())
    return UnavailableError(f"no engine works here: {reasons}; fix: {first[NETEM].remedy}")


def _in_new_namespace(wanted: Iterable[_Declared]) -> list[Feature]:
    """Enter a new network namespace and probe there; to be called in a forked process."""
    from harness.shaping import kernel_probes

    try:
        how = kernel_probes.enter()
    except OSError as problem:
        raise PrivilegeError(f"cannot make a network namespace: {problem.strerror}") from None
    return [Feature("namespaces", "nodes of their own", True, how, "", ENGINES), *_probe_all(wanted)]


def _probe_all(wanted: Iterable[_Declared]) -> list[Feature]:
    from harness.shaping import kernel_probes

    found = []
    for name, purpose, needed_by, modules in wanted:
        try:
            found.append(Feature(name, purpose, True, kernel_probes.PROBES[name](), "", needed_by))
        except OSError as problem:
            why = problem.strerror or str(problem)
            fix = kernel_probes.modules(modules) + ("" if needed_by == (USERSPACE,) else _OTHER_KERNEL)
            if problem.errno == errno.EPERM:
                fix = namespaces_denied()
            found.append(Feature(name, purpose, False, why, fix, needed_by))
    return found


_OTHER_KERNEL: Final = remedy("; where the kernel was built without it: scripts/with-netem harness ...", "")
_Declared = tuple[str, str, tuple[str, ...], str]
"""Name, purpose, the engines that need it, and the kernel's modules for it."""
_FEATURES: Final[tuple[_Declared, ...]] = (
    ("veth", "cables between nodes and bridge", ENGINES, "veth"),
    ("bridge", "the network that nodes share", ENGINES, "bridge"),
    ("sch_htb", "one class per neighbour", (NETEM,), "sch_htb"),
    ("cls_u32", "sends packets to their neighbour's class", (NETEM,), "cls_u32"),
    ("sch_netem", "delay, jitter, loss and rate", (NETEM,), "sch_netem"),
    ("sch_tbf", "token buckets, where a profile asks for a burst", (), "sch_tbf"),
    ("nfqueue", "links in user space", (USERSPACE,), "nf_tables nft_queue nfnetlink_queue"),
    ("nft_netdev", "with those, drops frames that are neither IP nor ARP", (), "nf_tables"),
)
CAP_FEATURES: Final[tuple[_Declared, ...]] = (
    ("ifb", "downlinks and trunks on netem", (), "ifb"),
    ("act_mirred", "downlinks and trunks on netem", (), "sch_ingress act_mirred"),
    ("act_skbedit", "trunks on netem", (), "act_skbedit"),
    ("sch_codel", "queue codel on netem and of uplinks", (), "sch_codel"),
    ("sch_fq_codel", "queue fq_codel on netem and of uplinks", (), "sch_fq_codel"),
    ("sch_red", "queue red on netem and of uplinks", (), "sch_red"),
    ("sch_pie", "queue pie on netem and of uplinks", (), "sch_pie"),
)
"""What only plans with shared capacity and queue disciplines need; see needs.py."""
ALL_FEATURES: Final = frozenset(feature[0] for feature in (*_FEATURES, *CAP_FEATURES))
