#!/usr/bin/env python3
"""Write requirements/*.lock: what set-up, CI and the image install, pinned, with the hashes of all files of a version.

    pip install uv; .venv/bin/python scripts/lock.py [--upgrade]

build.lock has what builds the package, run.lock what it needs, node.lock what a node's image has beside these,
torch.lock what the training workload and PyTorch need more, dev.lock the rest. PyTorch itself is in none: its CPU
build has another index than its hashes, so set-up and image pin its version (tool.tc-harness.torch). Versions stay
what they are unless --upgrade is given.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from importlib.metadata import requires
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
FOLDER: Final = ROOT / "requirements"
NOTE: Final = "# Written by scripts/lock.py.\n"
_NOT_CPU: Final = ("nvidia", "cuda", "triton")
Lock = dict[tuple[str, str], str]
"""By name and marker: what is pinned, with its hashes."""


def wanted() -> dict[str, list[str]]:
    """What each file is about, each with what those before it have; `build` stands alone."""
    with open(ROOT / "pyproject.toml", "rb") as file:
        data = tomllib.load(file)
    extras = data["project"]["optional-dependencies"]
    of_torch = [line for line in requires("torch") or [] if "extra ==" not in line and not line.startswith(_NOT_CPU)]
    run = data["project"]["dependencies"]
    # Pytest rewrites assertions in its modules: a function that comes from one needs it in the node too.
    node = [*run, *(line for line in extras["dev"] if re.match(r"pytest\b(?!-)", line))]
    torch = [*node, *(line for line in extras["torch"] if not line.startswith("torch")), *of_torch]
    dev = [*torch, *(line for name in ("dev", "report", "perfetto", "docker", "ray") for line in extras[name])]
    return {
        "build": [*data["build-system"]["requires"], "editables"],
        "run": run,
        "node": node,
        "torch": torch,
        "dev": dev,
    }


def resolve(requirements: Sequence[str], constraints: str) -> Lock:
    """Every package that these need, on any platform and Python that we support."""
    uv = shutil.which("uv") or sys.exit("lock: there is no uv here: pip install uv")
    held = FOLDER / ".constraints"
    held.write_text(constraints)
    words = ["pip", "compile", "-q", "--universal", "--python-version", "3.11", "--generate-hashes"]
    words += ["--fork-strategy", "fewest", "--no-header", "--no-annotate", "--constraints", str(held), "-"]
    try:
        text = "\n".join(requirements)
        done = subprocess.run([uv, *words], input=text, stdout=subprocess.PIPE, text=True, check=True)
    finally:
        held.unlink()
    return parse(done.stdout)


def parse(text: str) -> Lock:
    """A lock file's entries."""
    found = {}
    for entry in re.findall(r"^[A-Za-z0-9].*(?:\n +--hash.*)*", text, re.MULTILINE):
        name, _, marker = entry.partition("\n")[0].rstrip(" \\").partition(" ; ")
        found[name.partition("==")[0], marker] = entry
    return found


def pins(lock: Lock) -> str:
    """The same as constraints: names and versions."""
    return "\n".join(entry.partition("\n")[0].rstrip(" \\") for entry in lock.values())


def main() -> None:
    """Write the files."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions")
    upgrade = parser.parse_args().upgrade
    names = wanted()
    old = "" if upgrade else "\n".join(pins(parse(path.read_text())) for path in sorted(FOLDER.glob("*.lock")))
    everything = resolve(names["dev"], old)
    before: Lock = {}
    for name, requirements in names.items():
        lock = resolve(requirements, old if name == "build" else pins(everything))
        own = lock if name == "build" else {key: entry for key, entry in lock.items() if key not in before}
        (FOLDER / f"{name}.lock").write_text(NOTE + "\n".join(own.values()) + "\n")
        if name != "build":
            before = lock


if __name__ == "__main__":
    main()
