"""What sampling links and flows ten times a second costs: CPU of the process that does it, and time of a job's steps.

    python -m benchmarks.sampling [cost|steps]

* cost: eight nodes that are all connected to each other, as gloo's ranks are, and send on every connection all the
  time, so that at every moment every edge and every flow has something new.
* steps: digits with ddp on a network of four nodes; the sampler stands still and goes on in turns within one run, and
  a third kind of turn, in which it stands still too, tells how much two that are alike differ.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean, median

from benchmarks.report import Row, table
from harness.backends.base import Stdio
from harness.backends.netns.backend import NetnsBackend
from harness.backends.netns.namespaces import start_time
from harness.model.plan_options import PlanOptions
from harness.model.torchrun import environment
from harness.networks.network import Network
from harness.networks.registry import LocalRegistry
from harness.networks.sampler import Sampler
from harness.shaping.detect import choose_engine, make_engine

NODES = 8
JOB_NODES = 4
KINDS = ("without", "control", "with")
SHARE = 0.02
"""Of one core: what sampling may cost."""
LIMIT = 1.02
_COST_SECONDS = 20
_TURN_SECONDS = 1.0
_ROUNDS = 30
_QUIET = Stdio(subprocess.DEVNULL, subprocess.DEVNULL, None)
_CHATTER = """
import selectors, socket, sys, time
rank, addresses = int(sys.argv[1]), sys.argv[2].split(",")
server = socket.create_server(("", 6000), backlog=64)
sockets = []
for address in addresses[rank + 1:]:
    while True:
        try:
            sockets.append(socket.create_connection((address, 6000)))
            break
        except OSError:
            time.sleep(0.1)
for _ in range(rank):
    sockets.append(server.accept()[0])
watch = selectors.DefaultSelector()
for one in sockets:
    one.setblocking(False)
    watch.register(one, selectors.EVENT_READ)
while True:
    for one in sockets:
        try:
            one.send(bytes(4000))
        except BlockingIOError:
            pass
    end = time.monotonic() + 0.05
    while (left := end - time.monotonic()) > 0:
        for key, _ in watch.select(left):
            key.fileobj.recv(1 << 16)
"""


@contextlib.contextmanager
def _network(nodes: int, topology: str, profile: str) -> Iterator[Network]:
    plan = PlanOptions(nodes, topology, profile, None, 0, None, None).plan()
    backend = NetnsBackend(make_engine(choose_engine("auto")[0]))
    with tempfile.TemporaryDirectory() as folder:
        network = Network.up("sampling", plan, backend, LocalRegistry(Path(folder)), transient=True)
        try:
            yield network
        finally:
            network.down()


def _cpu(pid: int) -> float:
    """CPU seconds that a process has taken, by the kernel's count, which has steps of 10 ms."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def cost() -> list[Row]:
    """The share of a core that sampling takes for NODES nodes."""
    rows = []
    for topology in ("ring", "fully_connected"):
        with _network(NODES, topology, "wan") as network, tempfile.TemporaryDirectory() as folder:
            addresses = ",".join(str(network.plan.addressing.ipv4(rank)) for rank in range(NODES))
            for rank in range(NODES):
                argv = [sys.executable, "-c", _CHATTER, str(rank), addresses]
                network.backend.spawn(rank, argv, stdio=_QUIET)
            sampler = Sampler(network, Path(folder))
            sampler.start()
            time.sleep(5)
            pid = _sampler_of(sampler)
            before, began = _cpu(pid), time.monotonic()
            time.sleep(_COST_SECONDS)
            share = (_cpu(pid) - before) / (time.monotonic() - began)
            sampler.stop()
            flows = [json.loads(line) for line in Path(folder, "flows.jsonl").read_text().splitlines()]
            moments = [line["time"] for line in flows if line["kind"] == "sample"][-100:]
            count = sum(line["kind"] == "flow" for line in flows)
            sizes = (file.stat().st_size for file in Path(folder).iterdir())
            kilobytes = sum(sizes) / 1000 / (moments[-1] - flows[0]["time"])
        what = f"{topology} of {NODES}, {len(network.plan.edges)} edges, {count} flows"
        rows += [
            Row(f"{what}: sampler's share of a core", f"{share:.2%}", f"<= {SHARE:.0%}", share <= 1.05 * SHARE),
            Row("  samples a second", f"{(len(moments) - 1) / (moments[-1] - moments[0]):.1f}", "10"),
            Row("  written a second", f"{kilobytes:.0f} kB"),
        ]
    return rows


def _sampler_of(sampler: Sampler) -> int:
    """Its process: a child of ours that is neither a keeper nor a program in a node."""
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    (pid,) = (int(pid) for pid in children if b"netns/sampling.py" in Path(f"/proc/{pid}/cmdline").read_bytes())
    assert start_time(pid) is not None
    return pid


def steps() -> list[Row]:
    """Seconds of a step with the sampler and without it: medians of rounds, for the machine's own pace wanders."""
    turns: list[tuple[int, str, float, float]] = []
    with _network(JOB_NODES, "ring", "datacenter") as network, tempfile.TemporaryDirectory() as folder:
        processes = [_train(network, rank, folder) for rank in range(JOB_NODES)]
        try:
            record = Path(folder, "rank-0.jsonl")
            while not record.exists() or b'"step"' not in record.read_bytes():
                time.sleep(0.2)
                assert all(process.poll() is None for process in processes)
            with Sampler(network, Path(folder)) as sampler:
                pid = _sampler_of(sampler)
                for number in range(_ROUNDS):
                    for kind in KINDS[number % 3 :] + KINDS[: number % 3]:
                        os.kill(pid, signal.SIGCONT if kind == "with" else signal.SIGSTOP)
                        began = time.time()
                        time.sleep(_TURN_SECONDS)
                        turns.append((number, kind, began, time.time()))
                os.kill(pid, signal.SIGCONT)
        finally:
            for process in processes:
                process.kill()
                process.wait()
        lines = [json.loads(line) for line in record.read_text().splitlines()]
    ended = [(line["time"], line["seconds"]) for line in lines if line["kind"] == "step"]
    took = {
        (number, kind): fmean(seconds for time_, seconds in ended if begin <= time_ - seconds and time_ <= end)
        for number, kind, begin, end in turns
    }
    without = median(took[number, "without"] for number in range(_ROUNDS))
    ratios = {kind: median(took[number, kind] / took[number, "without"] for number in range(_ROUNDS)) for kind in KINDS}
    return [
        Row(
            f"digits on {JOB_NODES} nodes: step without sampling",
            f"{1000 * without:.2f} ms",
            samples=f"{_ROUNDS} rounds",
        ),
        Row("  step with sampling / without", f"{ratios['with']:.3f}", f"<= {LIMIT}", ratios["with"] <= LIMIT),
        Row("  two without it, the one / the other", f"{ratios['control']:.3f}"),
    ]


def _train(network: Network, rank: int, folder: str) -> subprocess.Popen[bytes]:
    argv = [sys.executable, "-m", "harness.training.train", "--task", "digits", "--strategy", "ddp"]
    argv += ["--steps", "1000000", "--evaluate-every", "1000000", "--out", folder]
    env = environment(network.plan, rank, {**network.backend.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    return network.backend.spawn(rank, argv, env=env, stdio=_QUIET)


PARTS = {"cost": cost, "steps": steps}


def main(*parts: str) -> None:
    """Measure and print."""
    rows = [row for part in parts or PARTS for row in PARTS[part]()]
    table(f"What sampling links and flows costs ({choose_engine('auto')[0]})", rows)


if __name__ == "__main__":
    main(*sys.argv[1:])
