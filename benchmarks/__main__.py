"""Run the benchmarks by name, or all."""

from __future__ import annotations

import importlib
import sys

NAMES = ("mesh", "fidelity", "no_shape", "engines", "containers", "recording", "startup")

for name in sys.argv[1:] or NAMES:
    if name not in NAMES:
        sys.exit(f"benchmarks: {name!r} is unknown; there are: {', '.join(NAMES)}")
    importlib.import_module(f"benchmarks.{name}").main()
