"""Two ranks of a benchmark over loopback, where hardly anything but its own work is there to hide a cost."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

RANKS = 2


def both_ranks(module: str, *arguments: str) -> Sequence[Any]:
    """Run a module on both ranks; the JSON that each has printed."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    processes = []
    try:
        for rank in range(RANKS):
            place = {"RANK": str(rank), "WORLD_SIZE": str(RANKS), "MASTER_ADDR": "127.0.0.1"}
            env = {**os.environ, **place, "MASTER_PORT": str(port), "GLOO_SOCKET_IFNAME": "lo"}
            argv = [sys.executable, "-m", module, *arguments]
            processes.append(subprocess.Popen(argv, env=env, stdout=subprocess.PIPE))
        return [json.loads(process.communicate(timeout=600)[0]) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
