"""``harness capture``: records packets as they enter and leave links."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import IO, TYPE_CHECKING, Annotated, Final

import typer

from harness.cli import networks, options
from harness.cli.output import note, say
from harness.errors import InputError
from harness.linux import host
from harness.linux.signals import ENDING
from harness.model.plan_edit import parse_pairs
from harness.model.ranks import named_ranks

if TYPE_CHECKING:
    from harness.capture.points import Point
    from harness.capture.record import Record

_STDOUT: Final = "-"
_NAMED: Final = 8
"""The most directed edges that a line names."""
EPILOG: Final = options.examples(
    "harness capture 0-1",
    "harness capture 0-1 --one-way -w link.pcapng --seconds 10",
    "harness capture all -w all.pcapng -c 1000",
    "harness capture 0-1 -w - | wireshark -k -i -",
)


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("capture", epilog=EPILOG)(capture)


def capture(
    edges: options.EdgesArgument,
    file: Annotated[
        str | None,
        typer.Option("--write", "-w", help="Write a pcapng file, - for standard output.", metavar="FILE"),
    ] = None,
    count: Annotated[
        int | None,
        typer.Option("--count", "-c", help="End after so many records; a packet that arrives has two."),
    ] = None,
    most: Annotated[
        int, typer.Option("--snaplen", "-s", help="Bytes to record of each packet, from the IP header on; 0: all.")
    ] = 128,
    seconds: Annotated[float | None, typer.Option("--seconds", help="End after this many seconds.")] = None,
    one_way: Annotated[bool, typer.Option("--one-way", help="Only from A to B.")] = False,
    name: options.NameOption = options.DEFAULT_NAME,
) -> None:
    """Record packets as they enter and leave links, until Ctrl-C.

    A pcapng file has two interfaces for each direction of an edge, which show one-way delay and loss. At the end, a
    summary on standard error says how many packets were sent and received, and how long they took.
    """
    from harness.capture.session import check

    check(most, seconds, count)
    if file == _STDOUT and sys.stdout.isatty():
        raise InputError("-w - would print bytes on this terminal: pipe it, e.g. '| wireshark -k -i -', or name a file")
    network = networks.find_network(name, named_ranks(edges))
    pairs = parse_pairs(edges, network.plan, one_way=one_way)

    from harness.capture.capture import Capture
    from harness.capture.points import points
    from harness.capture.session import PcapngSink, Session

    ends = points(network.plan, pairs)
    with _opened(file) as out, _ending() as came, Capture(network.backend, ends, most) as capture_:
        sink = PcapngSink(out, ends, most) if out else _RecordLines(ends)
        session = Session(capture_, ends, sink)
        named = ", ".join(one.edge for one in ends if one.side == "sent")
        note(f"recording {named if len(pairs) <= _NAMED else f'{len(pairs)} directed edges'}; Ctrl-C ends")
        try:
            session.run(lambda: bool(came), seconds=seconds, packets=count)
        finally:
            if isinstance(sink, PcapngSink):
                sink.finish(capture_.lost)
            for text in session.summary():
                note(text)
    if came and came[0] != signal.SIGINT:
        raise SystemExit(128 + came[0])


class _RecordLines:
    """Prints a line for each record."""

    def __init__(self, ends: Sequence[Point]) -> None:
        from harness.capture.packet_line import line

        self._points, self._line = ends, line

    def write(self, record: Record, after: int | None) -> None:
        say(self._line(record, self._points[record.point], after))

    def flush(self) -> None:
        sys.stdout.flush()


@contextlib.contextmanager
def _opened(file: str | None) -> Iterator[IO[bytes] | None]:
    """The file to write; None: lines are printed. Raises InputError if it cannot be written."""
    if file is None:
        yield None
    elif file == _STDOUT:
        yield sys.stdout.buffer
    else:
        try:
            handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
        except OSError as problem:
            raise InputError(f"cannot write {host.explain(problem)}") from None
        with open(handle, "wb") as out:
            yield out


@contextlib.contextmanager
def _ending() -> Iterator[list[int]]:
    """The signals that have come: the first ends the capture between two records, a second one at once."""
    came: list[int] = []

    def note_it(number: int, frame: FrameType | None) -> None:
        if came:
            raise SystemExit(128 + number)
        came.append(number)

    before = {
        number: signal.signal(number, note_it) for number in ENDING if signal.getsignal(number) is not signal.SIG_IGN
    }
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
