"""Changes of nf_tables with words for what each does: a refusal says what was being done."""

from __future__ import annotations

from collections.abc import Sequence

from harness.netlink import nftables as nft
from harness.netlink.channel import Refusal, Request
from harness.netlink.nfnetlink import WHOLE, Nfnetlink

Step = tuple[str, Request]
"""What is being done, in words, and the message that does it."""


def perform(netlink: Nfnetlink, steps: Sequence[Step]) -> None:
    """Carry out all of them in one transaction, or none. Raises OSError with the words of the first one refused."""
    if refusals := attempt(netlink, steps):
        raise refusal_error(steps, refusals[0])


def attempt(netlink: Nfnetlink, steps: Sequence[Step]) -> list[Refusal]:
    """The same; what was refused."""
    return netlink.transaction([request for _, request in steps])


def refusal_error(steps: Sequence[Step], refusal: Refusal) -> OSError:
    """A refusal in words."""
    what = "change nf_tables" if refusal.index == WHOLE else steps[refusal.index][0]
    return OSError(refusal.errno, f"{what}: {refusal.text}")


def dump(netlink: Nfnetlink, request: tuple[int, bytes]) -> list[memoryview]:
    """The messages of a dump. Raises OSError where the kernel has no nf_tables."""
    try:
        return list(netlink.dump(*request))
    except OSError as problem:
        raise OSError(problem.errno, f"read nf_tables: {problem.strerror}") from None


def generation(netlink: Nfnetlink) -> int | None:
    """A number that every change of nf_tables in this network namespace makes another; None: the kernel has none."""
    answer = netlink.ask(*nft.generation_request())
    return None if answer is None else nft.read_generation(answer)
