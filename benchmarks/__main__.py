"""Run the benchmarks by name, or all."""

from __future__ import annotations

import importlib
import os
import sys

NAMES = (
    "mesh",
    "fidelity",
    "no_shape",
    "engines",
    "containers",
    "recording",
    "collectives",
    "startup",
    "profiles",
    "one_connection",
    "page",
    "sharing",
    "scenario",
    "scenario_containers",
    "delivery",
    "steps",
    "gpu",
    "predict",
    "scale",
    "peers",
)

os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # commands start as a user's do, from the second one on
for name in sys.argv[1:] or NAMES:
    if name not in NAMES:
        sys.exit(f"benchmarks: {name!r} is unknown; there are: {', '.join(NAMES)}")
    importlib.import_module(f"benchmarks.{name}").main()
