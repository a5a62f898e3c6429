"""``harness bench``: times gloo's collectives across the links, beside the best that the links allow."""

from __future__ import annotations

import contextlib
import importlib.util
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, Final

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from harness.cli import networks, options
from harness.cli.console import err
from harness.cli.output import note, print_json, show
from harness.cli.rank_result import rank_result
from harness.errors import InputError, UnavailableError, quoted
from harness.installed import INSTALL_TORCH
from harness.model.bound import COLLECTIVES
from harness.model.format import format_size, format_time
from harness.model.suggest import suggest
from harness.model.units import Size
from harness.networks.network import Network
from harness.training.device import DEVICES, TRANSPORTS

EPILOG = options.examples(
    "harness bench",
    "harness bench --sizes 1KiB,1MiB --collectives all_reduce,barrier",
    "harness bench --device cuda --collectives all_reduce",
    "harness bench --json > bench.json",
)
_STARTING: Final = "starting PyTorch on every node"


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("bench", epilog=EPILOG)(bench)


def bench(
    collectives: Annotated[str | None, typer.Option(help="Comma-separated names; default: all.")] = None,
    sizes: Annotated[str, typer.Option(help="Comma-separated sizes, as nccl-tests counts them.")] = "1KiB,64KiB,1MiB",
    warmup: Annotated[int, typer.Option(min=1, help="Number of runs before the timed ones.")] = 1,
    repeats: Annotated[int, typer.Option(min=1, help="Number of timed runs.")] = 10,
    seconds: Annotated[
        float, typer.Option(min=0.1, help="Time limit for each row; slow collectives get fewer runs.")
    ] = 3.0,
    device: Annotated[str, typer.Option(help="Where the arrays are: cpu, cuda or auto; nodes share GPUs.")] = "cpu",
    transport: Annotated[str, typer.Option(help="What carries GPU arrays: gloo, or nccl over sockets.")] = "gloo",
    name: options.NameOption = options.DEFAULT_NAME,
    json_: options.JsonOption = False,
) -> None:
    """Time gloo's collectives over a sweep of sizes; bound is the best that delay and rate of the links allow."""
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
    """Raise InputError here, once, and not on every node."""
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
    """Run harness.training.bench on every node, with a progress bar; see rank_result."""
    with _bar() as update:
        return rank_result(network, "harness.training.bench", words, update)


@contextlib.contextmanager
def _bar() -> Iterator[Callable[[dict[str, Any]], None]]:
    """Show the progress on standard error: on a terminal by a bar, elsewhere by a line for each row.

    Yields a function that takes rank 0's progress messages.
    """
    if not err.is_terminal:
        note(_STARTING)
        yield lambda message: note(f"{message['done']} of {message['total']}: {_in_words(message.get('row'))}")
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True) as bar:
        task = bar.add_task(_STARTING, total=None)

        def update(message: dict[str, Any]) -> None:
            words = _in_words(message.get("row"))
            bar.update(task, description=words, completed=message["done"], total=message["total"])

        yield update


def _in_words(row: Mapping[str, Any] | None) -> str:
    """The row that was measured last; None: the ranks have just connected."""
    if row is None:
        return "measuring"
    size = f" {format_size(Size(row['bytes']))}" if row["bytes"] else ""
    return f"{row['collective']}{size}: {format_time(row['seconds_median'])}"
