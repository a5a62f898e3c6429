"""The folder from which the nodes' image is built: a checkout, or the same files from an installed package."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Final

from harness.installed import CHECKOUT, PACKAGE, shipped

_LEFT_OUT: Final = shutil.ignore_patterns("__pycache__", "project", "tc_profiles")
"""What a wheel adds to the package."""


def build_context() -> Path:
    """The checkout, or a folder in the user's cache with the same layout, which keeps wheels for the next build.

    Raises OSError where the cache cannot be written.
    """
    if CHECKOUT:
        return CHECKOUT
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "tc-harness" / "image"
    for part in ("harness", "tc_profiles"):
        shutil.rmtree(folder / part, ignore_errors=True)
    shutil.copytree(shipped("."), folder, dirs_exist_ok=True)
    shutil.copytree(PACKAGE, folder / "harness", ignore=_LEFT_OUT)
    shutil.copytree(PACKAGE / "tc_profiles", folder / "tc_profiles")
    (folder / "docker" / "wheels").mkdir(parents=True, exist_ok=True)
    return folder
