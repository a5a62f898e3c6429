"""Whether this package runs from a checkout or was installed by pip, and remedies for each."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import Final

PACKAGE: Final = Path(__file__).resolve().parent
"""The folder of this package."""
CHECKOUT: Final = PACKAGE.parent if (PACKAGE.parent / "compose.yaml").exists() else None
"""The project's folder; None where pip installed the package."""


def remedy(in_checkout: str, installed: str) -> str:
    """The remedy for this kind of installation."""
    return in_checkout if CHECKOUT else installed


def version() -> str:
    """The version of this package."""
    return str(sys.modules[__package__].__version__)


def identity() -> str:
    """A digest of this package's code."""
    found = hashlib.sha256()
    for path in sorted(PACKAGE.rglob("*.py")):
        found.update(f"{path.relative_to(PACKAGE)}\0".encode() + path.read_bytes() + b"\0")
    return found.hexdigest()


def install_extra(extra: str) -> str:
    """How to install the packages of an extra. A checkout's ``make setup`` installs ``report``."""
    checkout = "'make setup'" if extra == "report" else f".venv/bin/pip install '.[{extra}]'"
    return remedy(f"run {checkout}", f"pip install 'tc-harness[{extra}]'")


def shipped(name: str) -> Path:
    """A file of the project, e.g. ``compose.yaml``; a wheel has a copy of it (pyproject.toml)."""
    return (CHECKOUT or PACKAGE / "project") / name


INSTALL: Final = remedy("run 'make setup', then .venv/bin/harness", "run 'pip install tc-harness' with this Python")
"""How to install this package with what it needs."""

INSTALL_TORCH: Final = remedy(
    "make setup (installs the CPU build into .venv)",
    "pip install torch (for its CPU build, see PyTorch's install page)",
)
"""How to install PyTorch."""

INSTALL_DOCKER: Final = remedy(
    "scripts/with-docker CMD brings one (Debian, as root)", "install Docker (Debian: docker.io), or set DOCKER_HOST"
)
"""What to do where no Docker daemon answers."""

INSTALL_TRAINING: Final = remedy(
    "make setup (installs the CPU build of PyTorch into .venv)",
    "pip install 'tc-harness[torch]' (for PyTorch's CPU build, install that first: see its install page)",
)
"""How to install what the training workload needs."""
