"""What the running kernel can do, and which engine that is enough for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from harness.errors import HarnessError, InputError, PrivilegeError, UnavailableError
from harness.linux.fork import forked
from harness.model.suggest import suggest
from harness.shaping import trial
from harness.shaping.userspace.limits import MAX_JITTERED, MAX_RATE, MIN_DELAY

AUTO: Final = "auto"
NETEM: Final = "netem"
USERSPACE: Final = "userspace"
ENGINES: Final = (NETEM, USERSPACE)
"""The first that works is what AUTO takes."""
LIMITS: Final = (
    f"links are enforced in user space (NFQUEUE), which is not exact for delays under {MIN_DELAY} one way, rates over"
    f" {MAX_RATE} per edge, or over {MAX_JITTERED:,} packets/s with jitter"
)


Trial = tuple[str, str, tuple[str, ...], str, Callable[[], str]]
"""Name, purpose and users of a feature, the kernel's modules for it, and what tries it."""


@dataclass(frozen=True)
class Feature:
    """Something that the machine has or lacks.

    Args:
        name: e.g. ``sch_netem``.
        purpose: what it is for.
        ok: whether it works here.
        detail: the kernel's answer where it does not, or how it works.
        remedy: how to fix it.
        needed_by: engines that make no links without it.
    """

    name: str
    purpose: str
    ok: bool
    detail: str = ""
    remedy: str = ""
    needed_by: tuple[str, ...] = ()


def features() -> list[Feature]:
    """Probe everything. Needs root, or user namespaces; where neither is there, that is the only answer."""
    try:
        return forked(_try_all)
    except PrivilegeError as error:
        remedy = "run as root, or allow them: sysctl user.max_user_namespaces=10000 kernel.unprivileged_userns_clone=1"
        return [Feature("namespaces", "nodes of their own", False, str(error), remedy, ENGINES)]


def in_place_features() -> list[Feature]:
    """Probe in the current network namespace, on its loopback: for a container, which may not make another one.

    Nothing of it stays. What only a maker of networks needs (veth, bridge) is not asked.
    """
    try:
        return _tried([one for one in _TRIALS if one[0] not in ("veth", "bridge")])
    finally:
        trial.clean()


def works(engine: str, found: Iterable[Feature]) -> bool:
    """Whether all that an engine needs was found."""
    return not lacking(engine, found)


def lacking(engine: str, found: Iterable[Feature]) -> list[Feature]:
    """What an engine needs and does not have."""
    return [feature for feature in found if engine in feature.needed_by and not feature.ok]


def choose_engine(wanted: str, found: Sequence[Feature] | None = None) -> tuple[str, str]:
    """The engine that makes the links.

    Args:
        wanted: its name; AUTO takes the kernel's own links where they work, else those in user space.
        found: what features() told; None asks it.

    Returns:
        Its name, and one line to tell the user, or an empty string.

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


def _unavailable(missing: Sequence[Feature], otherwise: str = "") -> HarnessError:
    first = missing[0]
    kind = PrivilegeError if first.name == "namespaces" else UnavailableError
    return kind(f"{first.name}: {first.detail} ({first.purpose}); fix: {first.remedy}{otherwise}")


def _no_engine(found: Sequence[Feature]) -> HarnessError:
    """What all engines lack, or else what each of them does."""
    common = [feature for feature in lacking(NETEM, found) if set(ENGINES) <= set(feature.needed_by)]
    if common:
        return _unavailable(common)
    first = {engine: lacking(engine, found)[0] for engine in ENGINES}
    told = "; ".join(f"{engine} lacks {feature.name} ({feature.detail})" for engine, feature in first.items())
    return UnavailableError(f"no engine works here: {told}; fix: {first[NETEM].remedy}")


def _try_all() -> list[Feature]:
    """In a forked process: enter a namespace of its own and try each thing there."""
    try:
        how = trial.enter()
    except OSError as problem:
        raise PrivilegeError(f"cannot make a network namespace: {problem.strerror}") from None
    return [Feature("namespaces", "nodes of their own", True, how, "", ENGINES), *_tried(_TRIALS)]


def _tried(trials: Iterable[Trial]) -> list[Feature]:
    found = []
    for name, purpose, needed_by, modules, attempt in trials:
        try:
            found.append(Feature(name, purpose, True, attempt(), "", needed_by))
        except OSError as problem:
            told = problem.strerror or str(problem)
            remedy = trial.modules(modules) + ("" if needed_by == _USERSPACE_ONLY else _OTHER_KERNEL)
            found.append(Feature(name, purpose, False, told, remedy, needed_by))
    return found


_OTHER_KERNEL: Final = "; where the kernel was built without it: scripts/with-netem harness ..."
_NETEM_ONLY, _USERSPACE_ONLY = (NETEM,), (USERSPACE,)
_TRIALS: Final[tuple[Trial, ...]] = (
    ("veth", "cables between nodes and bridge", ENGINES, "veth", trial.veth),
    ("bridge", "the network that nodes share", ENGINES, "bridge", trial.bridge),
    ("sch_htb", "one class per neighbour", _NETEM_ONLY, "sch_htb", trial.htb),
    ("cls_u32", "sends packets to their neighbour's class", _NETEM_ONLY, "cls_u32", trial.u32),
    ("sch_netem", "delay, jitter, loss and rate", _NETEM_ONLY, "sch_netem", trial.netem),
    ("sch_tbf", "token buckets, where a profile asks for a burst", (), "sch_tbf", trial.tbf),
    ("nfqueue", "links in user space", _USERSPACE_ONLY, "nf_tables nft_queue nfnetlink_queue", trial.nfqueue),
)
