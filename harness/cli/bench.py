"""``harness bench``: gloo collectives across the links, against what the links allow."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from harness.bound import COLLECTIVES
from harness.cli import networks, options
from harness.cli.output import err, print_json, show
from harness.cli.run import end, printer
from harness.errors import InputError, UnavailableError
from harness.launch import launch
from harness.session import Network
from harness.suggest import suggest
from harness.units import Size

EPILOG = (
    "Examples: [b]harness bench[/b] | [b]harness bench --sizes 1KiB,1MiB --collectives all_reduce,barrier[/b] | "
    "[b]harness bench --json > bench.json[/b]"
)


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("bench", epilog=EPILOG)(bench)


def bench(
    collectives: Annotated[str | None, typer.Option(help="Comma-separated; all unless given.")] = None,
    sizes: Annotated[str, typer.Option(help="Comma-separated sizes, as nccl-tests counts them.")] = "1KiB,64KiB,1MiB",
    warmup: Annotated[int, typer.Option(min=1, help="Runs before those that count.")] = 1,
    repeats: Annotated[int, typer.Option(min=1, help="Runs that count.")] = 10,
    seconds: Annotated[float, typer.Option(min=0.1, help="Time for a row's runs; fewer of them to keep it.")] = 3.0,
    name: options.Name = options.DEFAULT_NAME,
    json_: options.Json = False,
) -> None:
    """Time gloo's collectives over a sweep of sizes; bound is what delay and rate of the links allow at best."""
    from harness.report.bench import bench_document, bench_table

    _check(collectives, sizes)
    network = networks.find_network(name)
    if network.plan.size < 2:
        raise InputError(f"network {name!r} has one node; a collective needs at least 2")
    if importlib.util.find_spec("torch") is None:
        raise UnavailableError("harness bench needs PyTorch, which this Python lacks: run 'make setup' (CPU build)")
    words = ["--sizes", sizes, "--warmup", str(warmup), "--repeats", str(repeats), "--seconds", str(seconds)]
    if collectives:
        words += ["--collectives", collectives]
    with networks.watched(network):
        document = bench_document(network.engine, network.plan, measure(network, words))
    print_json(document) if json_ else show(bench_table(document))


def _check(collectives: str | None, sizes: str) -> None:
    """Raise InputError here, once, rather than on every node."""
    for word in collectives.split(",") if collectives else ():
        if word.strip() not in COLLECTIVES:
            raise InputError(f"--collectives: {word.strip()!r} is unknown; {suggest(word.strip(), COLLECTIVES)}")
    for word in sizes.split(","):
        try:
            Size.parse(word)
        except InputError as error:
            raise InputError(f"--sizes: {error}") from None


def measure(network: Network, words: list[str]) -> dict[str, Any]:
    """Run the workload on every node; its result. Ends the command where a rank fails."""
    with tempfile.TemporaryDirectory(prefix="harness-bench-") as folder, _progress(Path(folder, "progress")) as fifo:
        out = Path(folder, "result.json")
        argv = [sys.executable, "-m", "harness.workloads.bench", *words, "--out", str(out), "--progress", str(fifo)]
        outcome = launch(network.runtime, network.plan, argv, printer(network.plan.size))
        end(outcome)
        result: dict[str, Any] = json.loads(out.read_text())
        return result


@contextlib.contextmanager
def _progress(fifo: Path) -> Iterator[Path]:
    """A bar on standard error, fed by the JSON lines that rank 0 writes into a FIFO."""
    os.mkfifo(fifo, 0o600)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True) as bar:
        task = bar.add_task("starting PyTorch on every node", total=None)

        def follow(line: dict[str, Any]) -> None:
            row = line.get("row")
            told = f"{row['collective']} of {row['bytes']} B" if row else "measuring"
            bar.update(task, description=told, completed=line["done"], total=line["total"])

        reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
        stop = threading.Event()
        thread = threading.Thread(target=_follow, args=(reader, stop, follow), daemon=True)
        thread.start()
        try:
            yield fifo
        finally:
            stop.set()
            thread.join()
            os.close(reader)


def _follow(reader: int, stop: threading.Event, tell: Callable[[dict[str, Any]], None]) -> None:
    rest = b""
    while not stop.wait(0.1):
        with contextlib.suppress(BlockingIOError):
            *lines, rest = (rest + os.read(reader, 1 << 16)).split(b"\n")
            for line in lines:
                tell(json.loads(line))
