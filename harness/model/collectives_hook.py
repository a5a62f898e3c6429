"""The environment variables that make a job record its collectives without a change to its script. Pure."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

from harness.installed import PACKAGE

COLLECTIVES: Final = "HARNESS_COLLECTIVES"
"""1: processes of a job record their collectives in the folder that RUN_DIR names."""
RUN_DIR: Final = "HARNESS_RUN_DIR"
HOOK: Final = PACKAGE / "job_hook"
"""The folder of a sitecustomize.py, which Python runs at its start."""
_PATH: Final = "PYTHONPATH"


def collectives_environment(base: Mapping[str, str], hook: str = str(HOOK)) -> dict[str, str]:
    """Variables for a job that records its collectives.

    torch's flight recorder and profiler read theirs when torch is imported, before there is a process group.

    Args:
        base: the job's environment without them, which they do not override.
        hook: the hook's folder, as the job sees it.
    """
    return {
        COLLECTIVES: "1",
        "TORCH_FR_BUFFER_SIZE": base.get("TORCH_FR_BUFFER_SIZE", "256"),
        "KINETO_LOG_LEVEL": base.get("KINETO_LOG_LEVEL", "99"),
        _PATH: os.pathsep.join([hook, *([base[_PATH]] if base.get(_PATH) else [])]),
    }
