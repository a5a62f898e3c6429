"""Peers' packages, in a virtual environment of their own, never the project's; and what Mininet's own code runs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Final

from benchmarks.peer_commands import DEVICE, Link, Step, words

PACKAGES: Final = ("tcconfig==0.30.1", "mininet==2.3.0.dev6")
FOLDER: Final = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tc-harness" / "peers-1"
"""Count up when PACKAGES change."""
_INSTALL_SECONDS: Final = 300
_RECORDER: Final = """
import json, sys
from mininet.link import TCIntf

class Node:
    name, said = "node", []
    def addIntf(self, *_, **__):
        pass
    def cmd(self, *words, **_):
        line = " ".join(map(str, words))
        self.said.append(line)
        return told["shown"] if " qdisc show " in line else ""

told = json.load(sys.stdin)
TCIntf(told["device"], node=Node(), **told["options"])
print(json.dumps([line for line in Node.said if line.startswith("tc ")]))
"""
"""A node that writes down what it is asked to run. ``ifconfig up`` and ``ethtool`` are left out: no shaping."""


def install() -> str | None:
    """Make the environment where it is not there; why that failed."""
    if (FOLDER / "whole").exists():
        return None
    shutil.rmtree(FOLDER, ignore_errors=True)
    for argv in ([sys.executable, "-m", "venv", FOLDER], [FOLDER / "bin" / "pip", "install", "-q", *PACKAGES]):
        command = [str(word) for word in argv]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_INSTALL_SECONDS)
        except subprocess.TimeoutExpired:
            return f"{' '.join(command)} did not end within {_INSTALL_SECONDS} s"
        if done.returncode:
            return (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
    (FOLDER / "whole").touch()
    return None


class Containernet:
    """See peer_commands. Of a link it knows the interface, not the destination."""

    name = "Containernet's TCIntf"

    def shape(self, link: Link, addresses: Sequence[str]) -> list[Step]:
        """See Peer."""
        return _recorded(link, f"qdisc noqueue 0: dev {DEVICE} root")

    def change(self, link: Link, addresses: Sequence[str]) -> list[Step]:
        """See Peer."""
        return _recorded(link, f"qdisc htb 5: dev {DEVICE} root")

    def again(self, link: Link, addresses: Sequence[str]) -> list[Step]:
        """See Peer: it looks what is there."""
        return self.change(link, addresses)

    def clean(self) -> list[Step]:
        """See Peer: ``mn -c`` deletes whole interfaces, by Mininet's names of them."""
        return []


@lru_cache
def _recorded(link: Link, shown: str) -> list[Step]:
    options = {"bw": link.rate_mbit, "delay": f"{link.delay_ms}ms", "loss": link.loss_percent}
    told = json.dumps({"device": DEVICE, "options": options, "shown": shown})
    argv = [str(FOLDER / "bin" / "python"), "-c", _RECORDER]
    done = subprocess.run(argv, input=told, capture_output=True, text=True, check=True, timeout=120)
    return [words(line) for line in json.loads(done.stdout)]
