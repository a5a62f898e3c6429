"""Finds ExoGym, and imports what the Trainer needs of it."""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from harness.errors import UnavailableError

_PACKAGE: Final = "exogym"
_REMEDY: Final = "pip install --no-deps git+https://github.com/exo-explore/gym tqdm einops psutil"
"""What its core imports beside torch and numpy; its own list of dependencies is for its examples."""


@dataclass(frozen=True)
class ExoGym:
    """Its classes TrainConfig and TrainNode."""

    config: Any
    node: Any


def check_installed() -> None:
    """Raise UnavailableError if there is no ExoGym, or another package of that name; imports nothing."""
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None:
        raise UnavailableError(f"ExoGym is missing: {_REMEDY}")
    folders = spec.submodule_search_locations or []
    if not any((Path(folder) / "train_node.py").exists() for folder in folders):
        place = spec.origin or next(iter(folders), "somewhere")
        raise UnavailableError(f"{place} is only called {_PACKAGE} (the package index has an empty one): {_REMEDY}")


def load() -> ExoGym:
    """Import these classes. Raises UnavailableError."""
    check_installed()
    try:
        common = importlib.import_module(f"{_PACKAGE}.common")
        train_node = importlib.import_module(f"{_PACKAGE}.train_node")
        return ExoGym(common.TrainConfig, train_node.TrainNode)
    except (ImportError, AttributeError) as error:
        raise UnavailableError(f"ExoGym cannot be imported ({error}): {_REMEDY}") from None
