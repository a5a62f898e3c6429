"""The task that Ray starts on a machine. It is pickled by value: harness may be missing or another version there."""

from __future__ import annotations

from typing import Any


def perform(job: dict[str, Any], files: bytes, before: bytes | None, board: Any) -> tuple[str, tuple[Any, ...]]:
    """Perform a run; returns the machine's id and the outcome.

    That is ``("done", folder)``, ``("refused", why)``, ``("error", text, code)`` or ``("stopped",)``.

    Args:
        job: plain values: identity, version, slug and those of task.perform.
        files: the experiment's folder, packed.
        before: the run's folder, packed, where there is one.
        board: the actor.
    """
    import ray

    machine = ray.get_runtime_context().get_node_id()
    board.say.remote(job["slug"], "begin", machine)
    return machine, _perform(job, files, before, board)


def _perform(job: dict[str, Any], files: bytes, before: bytes | None, board: Any) -> tuple[Any, ...]:
    fix = f"install the same there: pip install 'tc-harness[ray]=={job['version']}', or the same checkout"
    try:
        from harness.experiment.campaign.task import perform as perform_here
        from harness.installed import identity, version
    except ImportError as missing:
        import sys

        found = sys.modules.get("harness")
        what = f"has tc-harness {found.__version__}" if found else "has no tc-harness"
        return ("refused", f"{what} ({missing}), we have {job['version']}: {fix}")
    if identity() != job["identity"]:
        same = version() == job["version"]
        what = f"other code under the same version {version()}" if same else f"tc-harness {version()}"
        return ("refused", f"has {what}, we have {job['version']}: {fix}")
    return perform_here(job, files, before, board)
