"""Python runs this at its start where PYTHONPATH names this folder: `harness run --collectives` (docs/runs.md).

If the environment asks for it, a thread waits until the script has made a process group, then starts the recorder of
collectives. Until then, it neither imports nor changes torch. The sitecustomize.py that Python would run without this
one runs too.
"""

import importlib.util
import os
import sys
import threading
import time
from importlib.machinery import PathFinder
from pathlib import Path

_HERE = Path(__file__).resolve().parent
_LOOK_SECONDS = 0.02
"""How often to look for the process group; collectives before are counted, but not timed."""


def _run_the_next() -> None:
    others = [place for place in sys.path if Path(place or ".").resolve() != _HERE]
    spec = PathFinder.find_spec("sitecustomize", others)
    if spec and spec.loader:
        module = importlib.util.module_from_spec(spec)
        sys.modules["sitecustomize"] = module
        spec.loader.exec_module(module)


def _watch() -> None:
    while True:
        time.sleep(_LOOK_SECONDS)
        ready = getattr(sys.modules.get("torch.distributed"), "is_initialized", None)
        if ready and ready():
            break
    if os.environ.get("HARNESS_COLLECTIVES") != "1":  # the trainer removes it, because it records them itself
        return
    try:
        _import_harness()
        from harness.training.collectives.watch import watch

        watch(os.environ)
    except Exception as error:  # the job goes on, whatever happens to its record
        print(f"harness: collectives are not recorded: {error}", file=sys.stderr, flush=True)


def _import_harness() -> None:
    """Import this file's package without changing sys.path: the job may have another environment."""
    spec = PathFinder.find_spec("harness", [str(_HERE.parent.parent)])
    if "harness" in sys.modules or spec is None or spec.loader is None:
        return
    module = importlib.util.module_from_spec(spec)
    sys.modules["harness"] = module
    spec.loader.exec_module(module)


if os.environ.get("HARNESS_COLLECTIVES") == "1" and os.environ.get("HARNESS_RUN_DIR"):
    threading.Thread(target=_watch, name="harness-collectives", daemon=True).start()
_run_the_next()
