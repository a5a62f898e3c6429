"""Real networks, of namespaces or of containers: HARNESS_RUNTIME says which, HARNESS_ENGINE what makes their links."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
from functools import cache
from pathlib import Path

import pytest

from harness.backends.base import Stdio
from harness.backends.docker.backend import DockerBackend
from harness.backends.docker.container_options import ContainerOptions
from harness.backends.docker.registry import DockerRegistry
from harness.backends.netns.backend import NetnsBackend
from harness.model.address import Addressing
from harness.networks.backends import DOCKER, NETNS
from harness.networks.network import Network
from harness.networks.registry import LocalRegistry
from harness.shaping.detect import choose_engine, make_engine
from harness.shaping.facts import AUTO
from tests.support import bulk_flow as bulk
from tests.support import plans, udp_flow


def runtime_name():
    """The runtime that the environment names, or namespaces."""
    return os.environ.get("HARNESS_RUNTIME", NETNS)


def needs():
    """The marks of a module whose tests need a network of that runtime."""
    markers = ["docker"] if runtime_name() == DOCKER else ["links", "namespaces"]
    return [getattr(pytest.mark, marker) for marker in markers]


@cache
def engine_name():
    """The engine that the environment names, or that works here."""
    wanted = os.environ.get("HARNESS_ENGINE", AUTO)
    return wanted if runtime_name() == DOCKER and wanted != AUTO else choose_engine(wanted)[0]


def on_any_engine(test):
    """Mark a test of what no engine takes part in: in CI it does not run again on the slow kernel with netem."""
    return pytest.mark.full(test) if os.environ.get("HARNESS_ENGINE") == "netem" else test


# What a Docker daemon has only once, which may have the user's networks and those of other test runs too


def own(name):
    """A network's name that no other test run takes."""
    return f"{name}-{os.getpid()}"


def addressing(place=0):
    """Subnets that hardly anybody else has (RFC 2544, section 12); networks that are up together differ in place."""
    number = (4 * os.getpid() + place) % 512  # an experiment with --jobs takes the next ones as well
    return Addressing.parse(f"198.{18 + number // 256}.{number % 256}.0/24", f"fd12:{number:x}::/64")


def network(topology, nodes, every=None, /, *, place=0, **edges):
    """See plans.network; in subnets of its own."""
    return plans.network(topology, nodes, every, addressing=addressing(place), **edges)


def registry(folder: Path | None = None):
    """Where networks of this runtime are recorded."""
    local = LocalRegistry(folder)
    return DockerRegistry(local) if runtime_name() == DOCKER else local


# Networks


@contextlib.contextmanager
def up(plan, name=None, folder: Path | None = None):
    """A network that is up, and gone afterwards."""
    name = name or own("test")
    if runtime_name() == DOCKER:
        backend = DockerBackend(name, recipe=ContainerOptions(engine=engine_name()))
    else:
        backend = NetnsBackend(make_engine(engine_name()))
    network = Network.up(name, plan, backend, registry(folder))
    try:
        yield network
    finally:
        network.down()


def run(network, rank, *argv, check=True, timeout=120):
    """A program's standard output, run in a node."""
    process = network.backend.spawn(rank, argv, stdio=Stdio(subprocess.DEVNULL, subprocess.PIPE, subprocess.STDOUT))
    try:
        output = process.communicate(timeout=timeout)[0].decode()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    if check:
        assert process.returncode == 0, output
    return output


def run_as_root(network, rank, *argv):
    """The same, where programs in nodes are no root also past the harness."""
    if runtime_name() == NETNS:
        return run(network, rank, *argv)
    return in_container(network.backend.handle["running"][str(rank)], *argv)


def in_container(container, *argv):
    """The standard output of a program that runs as root in a container, past the harness."""
    command = ["docker", "exec", "--user", "0:0", container, *argv]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=120).stdout


def ping(network, src, dst, count=10, version=4, interval=0.1, patience=5):
    """(lost, smallest RTT in ms, mean RTT in ms); one packet before them resolves the addresses.

    By user-space stamps: the kernel's are too early where a packet is held at its receiver. An answer is waited for for
    ``patience``, in whole seconds, each of the two times.
    """
    addressing = network.plan.addressing
    target = str(addressing.ipv4(dst) if version == 4 else addressing.ipv6(dst))
    words = f"ping -n -q -U -W {patience} {target}"
    both = f"{words} -c 1 >/dev/null 2>&1; exec {words} -c {count} -i {interval}"
    text = run(network, src, "sh", "-c", both, check=False)  # to start a program in a node costs more than the program
    sent, received = (int(re.search(rf"(\d+) {word}", text)[1]) for word in ("packets transmitted", "received"))
    times = re.search(r"= ([\d.]+)/([\d.]+)/", text)
    return sent - received, *(map(float, times.groups()) if times else (float("nan"), float("nan")))


@contextlib.contextmanager
def paced_flow(network, src, dst, count, gap):
    """A UDP flow while the block runs; the list gets (distinct, all) packets received at its end."""

    def spawn(number, argv):
        stdio = Stdio(subprocess.DEVNULL, subprocess.PIPE, None)
        return network.backend.spawn((src, dst)[number], [network.backend.python, *argv[1:]], stdio=stdio)

    with udp_flow.paced_flow(spawn, str(network.plan.addressing.ipv4(dst)), count, gap) as result:
        yield result


@contextlib.contextmanager
def bulk_flow(network, src, dst, seconds, version=4, port=5001):
    """A TCP connection that sends as much as it can; the dict gets what it prints when the block has ended."""
    source, processes = Path(bulk.__file__).read_text(), []

    def spawn(rank, *argv):
        stdio = Stdio(subprocess.DEVNULL, subprocess.PIPE, None)
        made = network.backend.spawn(rank, [network.backend.python, "-c", source, *argv], stdio=stdio)
        processes.append(made)
        return made

    address, found = network.plan.addressing.address(dst, version), {}
    try:
        server = spawn(dst, "serve", str(port))
        assert server.stdout.readline() == b"ready\n"
        sender = spawn(src, "send", str(address), str(port), str(seconds))
        yield found
        found |= json.loads(sender.communicate(timeout=seconds + 20)[0])
        assert server.wait(20) == 0
    finally:
        for process in processes:
            if process.poll() is None:
                process.kill()
                process.wait()
