"""Transactions of nf_tables whose errors say which step the kernel refused."""

from __future__ import annotations

from collections.abc import Sequence

from harness.netlink import nftables as nft
from harness.netlink.channel import Refusal, Request
from harness.netlink.nfnetlink import WHOLE, Nfnetlink

Step = tuple[str, Request]
"""What a message does, in words, and the message."""


def perform(netlink: Nfnetlink, steps: Sequence[Step]) -> None:
    """Carry out all steps in one transaction, or none. Raises OSError that names the first step refused."""
    if refusals := attempt(netlink, steps):
        raise refusal_error(steps, refusals[0])


def attempt(netlink: Nfnetlink, steps: Sequence[Step]) -> list[Refusal]:
    """The same, but returns what the kernel refused."""
    return netlink.transaction([request for _, request in steps])


def refusal_error(steps: Sequence[Step], refusal: Refusal) -> OSError:
    """An error that names the refused step."""
    what = "change nf_tables" if refusal.index == WHOLE else steps[refusal.index][0]
    return OSError(refusal.errno, f"{what}: {refusal.text}")


def dump(netlink: Nfnetlink, request: tuple[int, bytes]) -> list[memoryview]:
    """The messages of a dump. Raises OSError where the kernel has no nf_tables."""
    try:
        return list(netlink.dump(*request))
    except OSError as problem:
        raise OSError(problem.errno, f"read nf_tables: {problem.strerror}") from None


def generation(netlink: Nfnetlink) -> int | None:
    """A number that grows with every change of nf_tables in this network namespace; None: the kernel has none."""
    answer = netlink.ask(*nft.generation_request())
    return None if answer is None else nft.read_generation(answer)
