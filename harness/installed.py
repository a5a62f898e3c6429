"""Where this package runs from: a checkout of the project, or what pip installed."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import Final

PACKAGE: Final = Path(__file__).resolve().parent
"""The folder of this package."""
CHECKOUT: Final = PACKAGE.parent if (PACKAGE.parent / "compose.yaml").exists() else None
"""The project's folder, or None where pip installed the package."""


def remedy(in_checkout: str, installed: str) -> str:
    """The one of two remedies that this user can follow."""
    return in_checkout if CHECKOUT else installed


def version() -> str:
    """This package's."""
    return str(sys.modules[__package__].__version__)


def identity() -> str:
    """A digest of this package's code, the same wherever it is the same."""
    found = hashlib.sha256()
    for path in sorted(PACKAGE.rglob("*.py")):
        found.update(f"{path.relative_to(PACKAGE)}\0".encode() + path.read_bytes() + b"\0")
    return found.hexdigest()


def install_extra(extra: str) -> str:
    """What to do where this Python lacks the packages of an extra, e.g. ``report``, which a checkout has anyway."""
    checkout = "'make setup'" if extra == "report" else f".venv/bin/pip install '.[{extra}]'"
    return remedy(f"run {checkout}", f"pip install 'tc-harness[{extra}]'")


def shipped(name: str) -> Path:
    """A file of the project that the package needs, e.g. ``compose.yaml``; a wheel has it inside (pyproject.toml)."""
    return (CHECKOUT or PACKAGE / "project") / name


INSTALL_TORCH: Final = remedy(
    "make setup (installs the CPU build into .venv)",
    "pip install torch (for its CPU build, see PyTorch's install page)",
)
"""What to do where this Python has no PyTorch."""

INSTALL_DOCKER: Final = remedy(
    "scripts/with-docker CMD brings one (Debian, as root)", "install Docker (Debian: docker.io), or set DOCKER_HOST"
)
"""What to do where no Docker daemon answers."""

INSTALL_TRAINING: Final = remedy(
    "make setup (installs the CPU build of PyTorch into .venv)",
    "pip install 'tc-harness[torch]' (for PyTorch's CPU build, install that first: see its install page)",
)
"""What to do where this Python lacks something that the training workload needs."""
