"""A cluster of Ray on loopback, machines of which can be added and killed; each is a raylet of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

LOOPBACK = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
"""Ray tells nobody of itself, and takes 127.0.0.1 for what it is, instead of the address of a network card."""
PROGRAM = """
import os, sys
from ray.cluster_utils import Cluster

common = {"object_store_memory": 80 << 20, "include_log_monitor": False}
head = {"include_dashboard": False, "no_monitor": True}
cluster, machines = Cluster(), {}
for line in sys.stdin:
    verb, name, *rest = line.split()
    if verb == "add":
        cores, path = rest
        os.environ["PYTHONPATH"] = path
        about = {"num_cpus": int(cores), "node_name": name, "node_ip_address": f"127.0.0.{len(machines) + 1}"}
        machines[name] = cluster.add_node(**about, **common, **({} if machines else head))
    else:
        cluster.remove_node(machines[name], allow_graceful=False)
    print("done", cluster.address, flush=True)
cluster.shutdown()
"""


class RayCluster:
    """Its first machine is its head. What its machines need of the environment is in ``env``, also for drivers."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="ray-"))  # a socket's path has at most 107 bytes
        self.machines = self.folder / "tmp"
        self.machines.mkdir()
        self.env = {**os.environ, **LOOPBACK, "RAY_TMPDIR": str(self.folder)}
        argv = [sys.executable, "-c", PROGRAM]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        env = {**self.env, "TMPDIR": str(self.machines)}
        self._process = subprocess.Popen(argv, env=env, text=True, **pipes)
        self.address = ""

    def add(self, name, cores, path=None):
        """Add a machine.

        Args:
            name: of it.
            cores: that it has.
            path: where its Python looks for packages first.
        """
        self._say(f"add {name} {cores} {path or os.environ.get('PYTHONPATH') or Path.cwd()}")

    def kill(self, name):
        """End a machine as a power cut does."""
        self._say(f"kill {name}")

    def _say(self, line):
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()
        self.address = self._answer("done")

    def _answer(self, word):
        while not (line := self._process.stdout.readline()).startswith(word):
            assert line, "the cluster's program has ended"
        return line.removeprefix(word).strip()

    def close(self):
        self._process.stdin.close()
        self._process.wait(60)
        shutil.rmtree(self.folder, ignore_errors=True)
