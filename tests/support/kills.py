"""Kills a process of a network at a random moment, removes the network, and looks for what is left.

python -m tests.support.kills [--runtime docker] [--image IMAGE] [--seed N] COUNT
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from harness.backends.netns.namespaces import start_time
from tests.support.cli import HARNESS

NODES = 3
LONGEST_SECONDS = {"netns": 3.0, "docker": 9.0}
"""How long after the command began a process is killed at most: networks are up after half of that."""
GONE_SECONDS = 20.0

_OF_DOCKER = re.compile(r"br-[0-9a-f]{12}|veth[0-9a-f]{7}|docker\d")
"""Interfaces that a Docker daemon makes, for tests of containers beside this one."""


class Trial:
    """One network, one kill.

    Args:
        runtime: netns or docker.
        folder: for its state.
        chance: decides what is done when.
        image: of containers.
    """

    def __init__(self, runtime: str, folder: Path, chance: random.Random, image: str = "harness-node"):
        self.runtime, self.folder, self.chance = runtime, folder, chance
        self.name = f"kills-{os.getpid()}-{chance.randrange(1 << 32):x}"
        self.mark = f"HARNESS_KILLS={self.name}"
        self.env = {**os.environ, "HARNESS_STATE_DIR": str(folder / "state"), "HARNESS_KILLS": self.name}
        if runtime == "netns":
            self.env["DOCKER_HOST"] = f"unix://{folder}/no-docker.sock"
        number = chance.randrange(256)
        subnets = ["--subnet", f"198.18.{number}.0/24", "--subnet6", f"fd12:{number:x}::/64"]
        self.words = ["-n", str(NODES), "-p", "wan", "--name", self.name, "--runtime", runtime, *subnets]
        self.words += ["--image", image] if runtime == "docker" else []
        self.told = ""

    def go(self) -> list[str]:
        """Do it; what is left of the network."""
        interfaces = set(os.listdir("/sys/class/net"))
        verb = ["run", *self.words, "--", "sleep", "1000"] if self.chance.random() < 0.6 else ["up", *self.words]
        with open(self.folder / "said", "w+") as said:
            command = subprocess.Popen([*HARNESS, *verb], env=self.env, stdout=said, stderr=said)
            time.sleep(self.chance.uniform(0.05, LONGEST_SECONDS[self.runtime]))
            victims = self.processes()
            namespaces = {space for pid in victims for space in held(pid)} - held(os.getpid())
            victim = self.chance.choice(victims or [command.pid])
            now = time.clock_gettime(time.CLOCK_BOOTTIME) * os.sysconf("SC_CLK_TCK")
            self.told = f"{verb[0]}: {called(victim)} of {len(victims)} processes"
            try:
                os.kill(victim, signal.SIGKILL)
            except ProcessLookupError:
                self.told += " (it had ended)"
            time.sleep(self.chance.uniform(0, 0.5))
            if command.poll() is None and verb[0] == "up":
                command.wait(120)
            down = subprocess.run(
                [*HARNESS, "down", "--name", self.name], env=self.env, capture_output=True, text=True, timeout=120
            )
            deadline = time.monotonic() + GONE_SECONDS
            while (left := self.left(namespaces, interfaces, now)) and time.monotonic() < deadline:
                time.sleep(0.1)
            if command.poll() is None:
                left.append(f"{verb[0]} still runs")
                command.kill()
            command.wait(30)
            said.seek(0)
            text = said.read() + down.stderr
        if down.returncode:
            left.append(f"down ended with {down.returncode}")
        if "Traceback" in text:
            left.append("a traceback")
        return [*left, text] if left else []

    def processes(self) -> list[int]:
        """Those of the command and its network."""
        found = set()
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and self.mark.encode() in (entry / "environ").read_bytes().split(b"\0"):
                    found.add(int(entry.name))
            except OSError:
                continue
        for container in self.docker("ps", "--quiet", "--filter", self.label):
            rows = self.docker("top", container, "-eo", "pid")
            found |= {int(row) for row in rows if row.strip().isdigit()}
        return sorted(found)

    @property
    def label(self) -> str:
        return f"label=tc-harness.network={self.name}"

    def docker(self, *words: str) -> list[str]:
        if self.runtime != "docker":
            return []
        return subprocess.run(["docker", *words], capture_output=True, text=True, timeout=60).stdout.splitlines()

    def left(self, namespaces: set[str], interfaces: set[str], killed: float) -> list[str]:
        """What there is of it. A process that began after the kill has other namespaces, whose numbers are used again.

        Args:
            namespaces: the network's.
            interfaces: those that the machine had before.
            killed: when a process was, in clock ticks since boot.
        """
        found = [f"process {called(pid)}" for pid in self.processes()]
        pids = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())
        older = [pid for pid in pids if (start_time(pid) or killed) < killed]
        found += [f"namespace {space} of {called(pid)}" for pid in older for space in namespaces & held(pid)]
        new = set(os.listdir("/sys/class/net")) - interfaces
        found += [f"interface {one}" for one in new if self.runtime == "docker" or not _OF_DOCKER.fullmatch(one)]
        found += [f"container {one}" for one in self.docker("ps", "--all", "--quiet", "--filter", self.label)]
        found += [f"bridge {one}" for one in self.docker("network", "ls", "--quiet", "--filter", self.label)]
        state = self.folder / "state"
        found += [f"file {path.name}" for path in (state.iterdir() if state.exists() else ()) if path.name != "locks"]
        return found


def held(pid: int) -> set[str]:
    """The network namespaces that a process is in, or has open."""
    found = set()
    try:
        for link in [f"/proc/{pid}/ns/net", *(f"/proc/{pid}/fd/{fd}" for fd in os.listdir(f"/proc/{pid}/fd"))]:
            try:
                found.add(os.readlink(link))
            except OSError:
                continue
    except OSError:
        pass
    return {target for target in found if target.startswith("net:")}


def called(pid: int) -> str:
    """What a process is, in a few words."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return f"{pid}"
    return f"{pid} {' '.join(word.rpartition('/')[2][:40] for word in words if word)[:100]}"


def main() -> None:
    """Print every trial, and how many left something."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runtime", default="netns")
    parser.add_argument("--image", default="harness-node")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("count", type=int)
    options = parser.parse_args()
    failed = 0
    for number in range(options.count):
        chance = random.Random(options.seed * 1000 + number)
        with tempfile.TemporaryDirectory() as folder:
            trial = Trial(options.runtime, Path(folder), chance, options.image)
            left = trial.go()
        failed += bool(left)
        print(json.dumps({"trial": number, "killed": trial.told, "left": left}), flush=True)
    print(f"{options.count} kills, {failed} left something")
    raise SystemExit(failed > 0)


if __name__ == "__main__":
    main()
