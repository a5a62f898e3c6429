"""A workload as real processes with real gloo, over loopback only."""

from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from tempfile import TemporaryFile

import pytest

from tests.support import warm_python

RANKS = 4
PATIENCE = 180
"""Seconds: four imports of torch at once take half a minute in a User-Mode Linux guest."""
needs_torch = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None, reason="PyTorch is missing: pip install torch==2.13.0+cpu"
)
ALONE = {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Workload:
    """Every rank of one, with its output in files."""

    def __init__(self, folder):
        self.folder = folder
        self.processes = []

    def start(self, module, *arguments, **environment):
        port = free_port()
        for rank in range(RANKS):
            variables = {
                **os.environ,
                "RANK": str(rank),
                "WORLD_SIZE": str(RANKS),
                "MASTER_ADDR": "127.0.0.1",
                "MASTER_PORT": str(port),
                "GLOO_SOCKET_IFNAME": "lo",
                "OMP_NUM_THREADS": "1",
                "PYTHONPATH": os.pathsep.join([str(self.folder), *filter(None, sys.path)]),
                **environment,
            }
            with self._file("stdout", rank).open("w") as out, self._file("stderr", rank).open("w") as errors:
                self.processes.append(warm_python.start(module, arguments, variables, out, errors))
        return self.processes

    def succeed(self):
        codes = [process.wait(PATIENCE) for process in self.processes]
        assert codes == [0] * RANKS, [self.errors(rank) for rank in range(RANKS)]

    def wait_for_output(self):
        """Until rank 0 has written a line."""
        deadline = time.monotonic() + PATIENCE
        while not self.output(0):
            assert time.monotonic() < deadline, f"waited {PATIENCE} s for rank 0 to write"
            time.sleep(0.05)

    def output(self, rank):
        return self._file("stdout", rank).read_text().splitlines()

    def errors(self, rank):
        return self._file("stderr", rank).read_text().splitlines()

    def _file(self, stream, rank):
        return self.folder / f"{stream}{rank}"


@contextmanager
def workload(folder):
    """Whoever is left is killed in the end."""
    made = Workload(folder)
    try:
        yield made
    finally:
        for process in made.processes:
            process.kill()
            process.wait(PATIENCE)


def alone(module, *arguments, **environment):
    """One rank, to its end."""
    env = {**{k: v for k, v in os.environ.items() if k not in ("RANK", "WORLD_SIZE")}, **environment}
    with TemporaryFile("w+") as out, TemporaryFile("w+") as errors:
        process = warm_python.start(module, arguments, env, out, errors)
        try:
            code = process.wait(PATIENCE)
        finally:
            process.kill()
        for file in (out, errors):
            file.seek(0)
        return subprocess.CompletedProcess([module, *arguments], code, out.read(), errors.read())
