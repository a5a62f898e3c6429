"""What is measured of peers and of this harness: the same jobs in the same namespaces, one tool after the other."""

from __future__ import annotations

import json
import os
import re
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from statistics import median

from benchmarks.fidelity import OUTPUT, PIPES, programs_of
from benchmarks.numbered import numbered_flow
from benchmarks.peer_commands import Link, Tcconfig
from benchmarks.peer_tools import Bench, Left, Ours, Theirs, Tool, left_here, run
from benchmarks.report import Row
from benchmarks.scale import processes
from benchmarks.tcp import goodput
from harness.backends.netns.backend import NetnsBackend
from harness.model.format import format_time
from harness.model.make_plan import make_plan
from harness.model.profile_file import load_profile
from harness.model.topology_names import build_topology
from harness.networks.network import Network
from harness.networks.registry import LocalRegistry
from harness.shaping.detect import make_engine
from harness.verify.binomial import CONFIDENCE, binomial_interval

PLAIN = Link(50, 100)
CHANGES, PATIENCE = 3, 30.0
"""Patience: seconds after which no further node is begun."""
RATE, LOSS, LOSS_SECONDS = Link(10, 100), Link(5, loss_percent=1.0), 6.0


@contextmanager
def network(engine: str, topology: str, nodes: int) -> Iterator[Bench]:
    """A network that is up, without shapes."""
    with tempfile.TemporaryDirectory() as name:
        plan = make_plan(build_topology(topology, nodes), load_profile("none"), 0)
        backend = NetnsBackend(make_engine(engine))
        net = Network.up("bench", plan, backend, LocalRegistry(Path(name)), transient=True)
        try:
            yield Bench(net, backend, Path(name))
        finally:
            net.down()


def shaping(bench: Bench, tool: Tool) -> Iterator[Row]:
    """A ring, from nothing."""
    nodes = bench.net.plan.size
    took, done = tool.shape(bench, PLAIN, PATIENCE)
    short = "" if done == nodes else f": {done} nodes"
    yield Row(f"shape a ring of {nodes}", f"{format_time(took)}{short}", samples=f"{2 * nodes} links")


def changing(bench: Bench, tool: Tool) -> Iterator[Row]:
    """A link of the ring that has been shaped, while packets cross it."""
    times, lost = _changes(bench, partial(tool.change, bench))
    yield Row("change one link by a command", format_time(times), samples=f"median of {CHANGES}")
    ours = isinstance(tool, Ours)
    yield Row(
        "  lost of 1,000 packets a second", str(lost), "0" if ours else "", lost == 0, samples=f"{CHANGES} changes"
    )
    found, text = "", ""
    if isinstance(tool, Theirs) and isinstance(tool.peer, Tcconfig):
        other = Theirs(Tcconfig(tool.peer.folder, how="--overwrite"))
        times, lost = _changes(bench, partial(other.change, bench))
        left = bench.backend.in_each([0], lambda _: left_here())[0].filters
        found, text = format_time(times), f"{lost}; {left} of 2"
    yield Row("change one link by tcset --overwrite", found)
    yield Row("  lost; links of the node still shaped", text)


def _changes(bench: Bench, change: Callable[[Link], float]) -> tuple[float, int]:
    times = []
    with numbered_flow(partial(bench.backend.spawn, stdio=PIPES), bench.address(1)) as flow:
        time.sleep(1)
        for step in range(CHANGES):
            times.append(change(Link(60 - 10 * (step % 2), PLAIN.rate_mbit)))
            time.sleep(0.3)
    return median(times), flow.lost


def fidelity(bench: Bench, tool: Tool) -> Iterator[Row]:
    """Delay, rate and loss of a link between two nodes.

    Round trips end where ping wakes up (-U): of packets held at their receiver, the kernel's stamps are too early.
    """
    spawn, host = programs_of(bench.net), bench.address(1)
    tool.shape(bench, Link(25), PATIENCE)
    argv = ["ping", "-nU", "-c", "41", "-i", "0.05", host]
    output = bench.backend.spawn(0, argv, stdio=OUTPUT).communicate(timeout=60)[0].decode()
    error = median(float(text) for text in re.findall(r"time=([\d.]+)", output)[1:]) - 50
    yield Row("RTT of 50 ms: median's error", f"{error:+.2f} ms", "1.5 ms", abs(error) <= 1.5, samples="40 pings")
    _again(bench, tool, RATE)
    share = goodput(spawn, host, 8.0, 5.0) / 1e8
    yield Row("goodput at 100 Mbit/s, RTT 20 ms", f"{share:.1%}", "92-100 %", 0.92 <= share <= 1, samples="5 s of TCP")
    _again(bench, tool, LOSS)
    with numbered_flow(partial(bench.backend.spawn, stdio=PIPES), host) as flow:
        time.sleep(LOSS_SECONDS)
    low, high = binomial_interval(LOSS.loss_percent / 100, flow.sent, CONFIDENCE)
    fits = low <= flow.lost / flow.sent <= high
    yield Row(
        "loss of 1 %", f"{flow.lost} of {flow.sent}", "99 % interval", fits, samples=f"{LOSS_SECONDS:.0f} s of UDP"
    )


def _again(bench: Bench, tool: Tool, link: Link) -> None:
    tool.clear(bench)
    tool.shape(bench, link, PATIENCE)


def killed(bench: Bench, tool: Tool) -> Iterator[Row]:
    """What is left in two nodes, and what its own next commands make of it."""
    left, cleaned, again = _ours_killed(bench) if isinstance(tool, Ours) else _theirs_killed(bench, tool)
    clean = left == "nothing" if isinstance(tool, Ours) else None
    yield Row("left of two nodes' shaping by SIGKILL", left, "nothing" if clean is not None else "", clean, samples="1")
    yield Row("  after its own clean-up", cleaned)
    yield Row("  its next run", again)


def _theirs_killed(bench: Bench, tool: Tool) -> tuple[str, str, str]:
    assert isinstance(tool, Theirs)
    peer = tool.peer
    reader, writer = os.pipe()
    tool.clear(bench)
    if not (child := os.fork()):  # the tool: it has shaped all, and waits for its end
        with suppress(BaseException):
            tool.shape(bench, RATE, PATIENCE)
            os.write(writer, b"k")
            signal.pause()
        os._exit(1)
    os.close(writer)
    assert os.read(reader, 1)
    os.close(reader)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    left = _left(bench)
    try:
        bench.backend.in_each([0], lambda rank: run(peer.again(RATE, bench.neighbours(rank))))
        again = "works"
    except RuntimeError as problem:
        again = "fails: File exists" if "Exclusivity flag" in str(problem) else f"fails: {problem}"
    steps = peer.clean()
    bench.backend.in_each(range(2), lambda _: run(steps))
    cleaned = str(_left(bench)) if steps else "it has none"
    tool.clear(bench)
    return str(left), cleaned, again


def _left(bench: Bench) -> Left:
    found = bench.backend.in_each(range(2), lambda _: left_here())
    return Left(*(sum(column) for column in zip(*found.values(), strict=True)))


def _runs(process: Path) -> bool:
    """Whether the process of this /proc folder has not ended; whose parent has not looked yet has."""
    try:
        return (process / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _ours_killed(bench: Bench) -> tuple[str, str, str]:
    """``harness run`` is killed, with its network up: processes hold the namespaces, which hold everything else."""
    subnets = ["--subnet", "10.79.0.0/24", "--subnet6", "fd79::/64"]
    given = ["run", "-n", "2", "-t", "line", "--engine", bench.net.engine, "--name", "killed", *subnets, "--"]
    command = bench.harness(*given, "sh", "-c", "echo up; sleep 60")
    assert command.stdout is not None
    assert b"up" in command.stdout.readline()
    record = json.loads((bench.folder / "killed.json").read_text().splitlines()[0])
    running = list(processes(record["handle"]["keeper"]["pid"]))
    begun = time.monotonic()
    command.kill()
    while (left := [path for path in running if _runs(path)]) and time.monotonic() < begun + 10:
        time.sleep(0.002)
    took = time.monotonic() - begun
    command.communicate()
    again = bench.harness(*given, "true")
    said = again.communicate(timeout=60)[1].decode()
    found = f"{len(left)} processes" if left else "nothing"
    return found, "not needed" if left else f"gone in {format_time(took)}", "works" if not again.returncode else said


def measure(engine: str, tools: list[Tool], note: Callable[[str], None]) -> dict[str, list[Row]]:
    """All jobs of all tools, in the same networks, the harness last: what it sets in a node would help the others."""
    rows: dict[str, list[Row]] = {tool.name: [] for tool in tools}
    jobs = (("ring", 8, (shaping, changing)), ("ring", 64, (shaping,)), ("line", 2, (fidelity, killed)))
    for topology, nodes, parts in jobs:
        with network(engine, topology, nodes) as bench:
            for tool in tools:
                for part in parts:
                    for row in part(bench, tool):
                        rows[tool.name].append(row)
                        note(f"  {tool.name}: {row.what.strip()}: {row.measured}")
                tool.clear(bench)
    return rows
