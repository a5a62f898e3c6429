"""Networks that `docker compose` starts, each a project with a name, subnets and folders of its own."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

from tests.support.cli import Command, wait_for

ROOT = Path(__file__).parents[2]
IMAGE = "harness-node"
PATIENCE = 300
"""Seconds for a network to start: a User-Mode Linux guest takes ten times as long as its host."""
JOB = "1000:1000"
NETWORK = "tc-harness.network"
READY = "nodes ready"


def subnets():
    """IPv4 and IPv6 subnets that nobody else has, most likely."""
    draw = random.SystemRandom().randrange
    return f"10.{draw(180, 250)}.{draw(256)}.0/24", f"fd77:{draw(1, 65536):x}:{draw(1, 65536):x}::/64"


def docker(*words, code=0, timeout=120):
    """What `docker WORDS` prints; the exit code must be ``code`` unless that is None."""
    done = subprocess.run(["docker", *words], capture_output=True, text=True, timeout=timeout, check=False)
    assert code in (None, done.returncode), f"docker {' '.join(words)}: {done.stdout}{done.stderr}"
    return done.stdout.strip()


def left(project):
    """Names of all containers and networks of a project, whether Compose made them or the harness."""
    found = []
    for label in (f"com.docker.compose.project={project}", f"{NETWORK}={project}"):
        found += docker("ps", "-aq", "--filter", f"label={label}").split()
        found += docker("network", "ls", "-q", "--filter", f"label={label}").split()
    return found


def remove(project):
    """Remove all that is left of a project, whatever state it is in."""
    for label in (f"com.docker.compose.project={project}", f"{NETWORK}={project}"):
        if containers := docker("ps", "-aq", "--filter", f"label={label}").split():
            docker("rm", "-f", *containers, code=None)
        if networks := docker("network", "ls", "-q", "--filter", f"label={label}").split():
            docker("network", "rm", *networks, code=None)


@cache
def ends_at_failure():
    """The option of `docker compose up` that ends it at a failure: Compose 2.28 has a better one than those before."""
    options = docker("compose", "up", "--help")
    return [word for word in ("--abort-on-container-failure",) if word in options] or ["--abort-on-container-exit"]


class Project:
    """One network. ``work`` is the folder that its nodes see as /work, ``runs`` the one for results.

    Args:
        folder: to keep them in.
        variables: of compose.yaml.
    """

    def __init__(self, folder, **variables):
        self.name = f"htest-{random.SystemRandom().randrange(1 << 32):08x}"
        self.work, self.runs = folder / "work", folder / "runs"
        for made in (self.work, self.runs):
            made.mkdir(exist_ok=True)
            made.chmod(0o755)
        self.subnet, self.subnet6 = subnets()
        self.variables = {
            "ENGINE": os.environ.get("HARNESS_ENGINE", "auto"),
            "SUBNET": self.subnet,
            "SUBNET6": self.subnet6,
            "WORK": str(self.work),
            "RUNS": str(self.runs),
            **{name: str(value) for name, value in variables.items()},
        }
        self.harness = Command(folder / "state")
        self.harness.env["HARNESS_NAME"] = self.name

    def works(self, *words):
        """Whether the harness command ends well."""
        try:
            return bool(self.harness(*words))
        except AssertionError:
            return False

    # Compose

    @property
    def _env(self):
        return {**os.environ, **self.variables}

    def compose(self, *words, code=0, timeout=PATIENCE):
        """`docker compose WORDS`; the exit code must be ``code`` unless that is None."""
        command = ["docker", "compose", "-p", self.name, *words]
        done = subprocess.run(
            command, cwd=ROOT, env=self._env, capture_output=True, text=True, timeout=timeout, check=False
        )
        assert code in (None, done.returncode), f"exit {done.returncode}\n{done.stdout}\n{done.stderr}\n{self.logs()}"
        return done

    def run(self, code=0, timeout=PATIENCE):
        """`docker compose up` to its end."""
        return self.compose("up", *ends_at_failure(), "--exit-code-from", "node", code=code, timeout=timeout)

    def start(self):
        """`docker compose up -d`, until all nodes are ready."""
        self.compose("up", "-d")
        self.wait_until_logged(READY)

    @contextlib.contextmanager
    def attached(self, *options):
        """`docker compose up` while the block runs, its output in a file."""
        with (
            (self.runs.parent / "up.log").open("wb") as log,
            subprocess.Popen(
                ["docker", "compose", "-p", self.name, "up", *options],
                cwd=ROOT,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            ) as process,
        ):
            try:
                yield process
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)

    def attached_log(self):
        return (self.runs.parent / "up.log").read_text()

    def logs(self):
        """What all nodes have said, in no certain order between them."""
        found = docker("ps", "-aq", "--filter", f"label=com.docker.compose.project={self.name}").split()
        text = ""
        for container in found:
            done = subprocess.run(["docker", "logs", container], capture_output=True, text=True, check=False)
            text += done.stdout + done.stderr
        return text

    def wait_until_logged(self, text):
        try:
            wait_for(lambda: text in self.logs(), PATIENCE)
        except AssertionError:
            raise AssertionError(f"{text!r} was not said in {PATIENCE} s:\n{self.logs()}") from None

    # Nodes

    def container(self, rank):
        """The name of a node's container, which is its host name for the others."""
        return f"{self.name}-node-{rank + 1}"

    def inspect(self, rank):
        return json.loads(docker("inspect", self.container(rank)))[0]

    def state(self, rank):
        return self.inspect(rank)["State"]

    def address(self, rank, version=4):
        networks = self.inspect(rank)["NetworkSettings"]["Networks"]
        return networks[f"{self.name}_default"]["IPAddress" if version == 4 else "GlobalIPv6Address"]

    def exec(self, rank, *argv, user=JOB, code=0, timeout=120):
        """A program's output, run in a node."""
        return docker("exec", "--user", user, self.container(rank), *argv, code=code, timeout=timeout)

    def ping(self, src, dst, version=4, lost=0):
        """The smallest of six round trips in ms, by the name of the other one; so many may be lost.

        One packet before them resolves the addresses. By user-space stamps: the kernel's are too early where a packet
        is held at its receiver.
        """
        return self.pings([(src, dst)], version, lost)[src, dst]

    def pings(self, pairs, version=4, lost=0):
        """The same for several pairs of ranks, all at once: one `docker exec` a rank."""
        sources = sorted({src for src, _ in pairs})
        with ThreadPoolExecutor(6) as pool:
            targets = {src: [dst for one, dst in pairs if one == src] for src in sources}
            texts = [*pool.map(lambda src: self._pings(src, targets[src], version), sources)]
        found = {}
        for src, text in zip(sources, texts, strict=True):
            for dst, told in re.findall(r"^to (\d+): (.*?)^end$", text, re.MULTILINE | re.DOTALL):
                assert 6 - int(re.search(r"(\d+) received", told)[1]) <= lost, told
                found[src, int(dst)] = float(re.search(r"= ([\d.]+)/", told)[1])
        assert found.keys() == {*pairs}, texts
        return found

    def _pings(self, src, targets, version):
        """What pings of these ranks print."""
        ping = f"ping -{version} -U -W 10"
        told = f"$({ping} -q -c 6 -i 0.2 $name)"
        lines = [
            f'(name={self.container(dst)}; {ping} -c 1 $name >&2; echo "to {dst}: {told}\nend") &' for dst in targets
        ]
        return self.exec(src, "sh", "-c", " ".join([*lines, "wait"]))

    def is_ready(self, rank):
        """What the health check asks."""
        command = ["docker", "exec", self.container(rank), "test", "-e", "/run/harness/ready"]
        return not subprocess.run(command, capture_output=True, check=False).returncode

    def records(self, rank=0):
        """The steps that a rank of the default job has recorded so far."""
        found = sorted(self.runs.glob(f"*/rank-{rank}.jsonl"))
        lines = found[-1].read_text().split("\n")[:-1] if found else []
        return [step for step in map(json.loads, lines) if step["kind"] == "step"]

    def wait_for_records(self, count, seconds=PATIENCE):
        """Until rank 0 has written so many lines more; these."""
        before = len(self.records())
        wait_for(lambda: len(self.records()) >= before + count, seconds)
        return self.records()[before:]


@contextlib.contextmanager
def project(folder, **variables):
    """A project, nothing of which is left afterwards."""
    made = Project(folder, **variables)
    try:
        yield made
    finally:
        remove(made.name)


def pause(container):
    """`docker pause`: the kernel does not manage to freeze a busy container every time (cgroup v1)."""
    wait_for(lambda: docker("pause", container, code=None) == container)


def took(began):
    """Seconds since then, by time.monotonic."""
    return time.monotonic() - began
