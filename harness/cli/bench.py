"""``harness bench``: gloo collectives across the links, against what the links allow."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import sys
from collections.abc import Callable, Iterator
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from harness.cli import networks, options
from harness.cli.console import err
from harness.cli.output import print_json, show
from harness.cli.run import end, printer
from harness.errors import HarnessError, InputError, UnavailableError, quoted
from harness.installed import INSTALL_TORCH
from harness.model.bound import COLLECTIVES
from harness.model.format import format_size
from harness.model.suggest import suggest
from harness.model.units import Size
from harness.networks.launch import launch
from harness.networks.network import Network
from harness.networks.rank_process import Stream
from harness.training.device import DEVICES, TRANSPORTS

EPILOG = options.examples(
    "harness bench",
    "harness bench --sizes 1KiB,1MiB --collectives all_reduce,barrier",
    "harness bench --device cuda --collectives all_reduce",
    "harness bench --json > bench.json",
)


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("bench", epilog=EPILOG)(bench)


def bench(
    collectives: Annotated[str | None, typer.Option(help="Comma-separated names; all unless given.")] = None,
    sizes: Annotated[str, typer.Option(help="Comma-separated sizes, as nccl-tests counts them.")] = "1KiB,64KiB,1MiB",
    warmup: Annotated[int, typer.Option(min=1, help="Runs to warm up, which are not timed.")] = 1,
    repeats: Annotated[int, typer.Option(min=1, help="Runs that are timed.")] = 10,
    seconds: Annotated[
        float, typer.Option(min=0.1, help="Time limit for each row; a slow collective gets fewer runs.")
    ] = 3.0,
    device: Annotated[str, typer.Option(help="Where the arrays are: cpu, cuda or auto; nodes share GPUs.")] = "cpu",
    transport: Annotated[str, typer.Option(help="What carries GPU arrays: gloo, or nccl over sockets.")] = "gloo",
    name: options.NameOption = options.DEFAULT_NAME,
    json_: options.JsonOption = False,
) -> None:
    """Time gloo's collectives over a sweep of sizes; bound is what delay and rate of the links allow at best."""
    from harness.cli.bench_table import bench_document, bench_table

    _check(collectives, sizes)
    for flag, word, known in (("--device", device, DEVICES), ("--transport", transport, TRANSPORTS)):
        if word not in known:
            raise InputError(f"{flag} {quoted(word)} is unknown; {suggest(word, known)}")
    network = networks.find_network(name)
    if network.plan.size < 2:
        raise InputError(f"network {quoted(name)} has one node; a collective needs at least 2")
    if network.backend.python == sys.executable and importlib.util.find_spec("torch") is None:
        raise UnavailableError(f"harness bench needs PyTorch, which this Python lacks: {INSTALL_TORCH}")
    words = ["--sizes", sizes, "--warmup", str(warmup), "--repeats", str(repeats), "--seconds", str(seconds)]
    words += ["--device", device, "--transport", transport]
    if collectives:
        words += ["--collectives", collectives]
    with networks.watched(network):
        document = bench_document(network.engine, network.plan, measure(network, words))
    print_json(document) if json_ else show(bench_table(document))


def _check(collectives: str | None, sizes: str) -> None:
    """Raise InputError here, once, rather than on every node."""
    for word in collectives.split(",") if collectives else ():
        if word.strip() not in COLLECTIVES:
            raise InputError(f"--collectives: {quoted(word.strip())} is unknown; {suggest(word.strip(), COLLECTIVES)}")
    for word in sizes.split(","):
        try:
            size = Size.parse(word)
            if not size.bytes:
                raise InputError(f"{quoted(word.strip())} is nothing to send; write e.g. 1KiB")
        except InputError as error:
            raise InputError(f"--sizes: {error}") from None


def measure(network: Network, words: list[str]) -> dict[str, Any]:
    """Run the workload on every node; its result. Ends the command where a rank fails."""
    result: dict[str, Any] = {}
    printed = printer(network.plan.size)
    with _bar() as update:

        def sink(rank: int, stream: Stream, line: bytes) -> None:
            message = _message(line) if (rank, stream) == (0, "stdout") else None
            if message is None:
                printed(rank, stream, line)
            elif "result" in message:
                result.update(message["result"])
            else:
                update(message)

        argv = [network.backend.python, "-m", "harness.training.bench", *words]
        outcome = launch(network.backend, network.plan, argv, sink)
    end(outcome)
    if not result:
        raise HarnessError("rank 0 ended without a result")
    return result


def _message(line: bytes) -> dict[str, Any] | None:
    """The message of the workload in this line, or None where the line is other output."""
    with contextlib.suppress(ValueError):
        message = json.loads(line)
        if isinstance(message, dict) and ("result" in message or {"done", "total"} <= message.keys()):
            return message
    return None


@contextlib.contextmanager
def _bar() -> Iterator[Callable[[dict[str, Any]], None]]:
    """A bar on standard error; yields what brings it to where a message of rank 0 says."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True) as bar:
        task = bar.add_task("starting PyTorch on every node", total=None)

        def update(message: dict[str, Any]) -> None:
            row = message.get("row")
            doing = (
                f"{row['collective']} {format_size(Size(row['bytes'])) if row['bytes'] else ''}" if row else "measuring"
            )
            bar.update(task, description=doing, completed=message["done"], total=message["total"])

        yield update
