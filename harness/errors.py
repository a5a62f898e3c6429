"""The exception tree. Each class has the exit code of the CLI.

Exit codes: 1 a measurement differs from what was requested, 2 wrong input, 3 the network is in the wrong state,
69 the machine lacks something (sysexits EX_UNAVAILABLE), 70 the kernel refused or a node failed (EX_SOFTWARE),
77 not permitted (EX_NOPERM), 126 and 127 a program cannot be started, as in shells.
"""

from __future__ import annotations

from typing import Final

MOST_QUOTED: Final = 100
"""Characters of an input that a message repeats at most."""


def quoted(value: object) -> str:
    """The input as ``repr`` has it, cut where it is long."""
    text = repr(value[:MOST_QUOTED] if isinstance(value, str) else value)
    cut = isinstance(value, str) and len(value) > MOST_QUOTED
    return f"{text[: MOST_QUOTED - 4]}...{text[0]}" if cut or len(text) > MOST_QUOTED else text


class HarnessError(Exception):
    """The root. The message is one line that says where, what and how to fix it."""

    exit_code = 70


class InputError(HarnessError):
    """The user's input is wrong; raised before the machine is touched."""

    exit_code = 2


class UnitError(InputError):
    """A quantity that cannot be parsed, or that the kernel cannot represent."""


class ShapeError(InputError):
    """A link shape whose parts contradict each other or exceed a kernel field."""


class ProfileError(InputError):
    """A profile that is missing, is not YAML or has wrong keys or values; names file and YAML path."""


class TopologyError(InputError):
    """A topology that cannot be built."""


class PlanError(InputError):
    """An unknown rank or edge, or more nodes than addresses."""


class NetworkStateError(HarnessError):
    """The named network is already up, not up, or busy."""

    exit_code = 3


class RecordError(NetworkStateError):
    """The registration of a network is damaged."""


class UnavailableError(HarnessError):
    """The machine lacks something (a kernel feature, a program, PyTorch); the message says how to fix it."""

    exit_code = 69


class PrivilegeError(HarnessError):
    """This user may not do it."""

    exit_code = 77


class NodeError(HarnessError):
    """An action failed on one node.

    Args:
        rank: the node.
        action: what was tried, e.g. ``"add netem to edge 0->1"``.
        cause: what the kernel or the node answered.
        remedy: what the user can do, or an empty string.
    """

    def __init__(self, rank: int, action: str, cause: str, remedy: str = "") -> None:
        self.rank, self.action, self.cause, self.remedy = rank, action, cause, remedy
        super().__init__(f"node {rank}: {action}: {cause}" + (f"; {remedy}" if remedy else ""))

    def __reduce__(self) -> tuple[type[NodeError], tuple[int, str, str, str]]:
        return type(self), (self.rank, self.action, self.cause, self.remedy)


class ProgramError(NodeError):
    """A program that does not exist (exit code 127) or cannot be executed (126), as in shells."""

    def __init__(self, rank: int, program: str, cause: str, *, found: bool) -> None:
        super().__init__(rank, f"start {program!r}", cause)
        self.exit_code = 126 if found else 127
