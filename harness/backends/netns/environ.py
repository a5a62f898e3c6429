"""The environment of programs in namespaces."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping


def program_environment() -> Mapping[str, str]:
    """Ours, but with our virtual environment first in PATH, as with `uv run`, unless the user has activated another."""
    ours = os.path.join(sys.prefix, "bin")
    active = os.environ.get("VIRTUAL_ENV") or os.environ.get("CONDA_PREFIX") or sys.prefix
    if sys.prefix == sys.base_prefix or os.path.realpath(active) != os.path.realpath(sys.prefix):
        return os.environ
    return {**os.environ, "PATH": os.pathsep.join([ours, os.environ.get("PATH", os.defpath)])}
