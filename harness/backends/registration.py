"""The registration of a network that is up, and the protocol of registries."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from harness.errors import HarnessError, RecordError
from harness.model.plan import NetworkPlan


@dataclass(frozen=True)
class Registration:
    """What other commands need to find and change a network.

    Args:
        name: the user's.
        runtime: the backend's name, e.g. ``netns``.
        engine: the engine's name, e.g. ``netem``.
        handle: by which the backend finds the nodes again.
        plan: the plan last applied, in JSON.
        created: seconds since the epoch.
        transient: whether it ends with the ``harness run`` that made it.
    """

    name: str
    runtime: str
    engine: str
    handle: Mapping[str, Any]
    plan: Mapping[str, Any]
    created: float
    transient: bool

    @property
    def network_plan(self) -> NetworkPlan:
        """The plan as a value. Raises RecordError where it is damaged, or of another version."""
        try:
            return NetworkPlan.from_json(self.plan)
        except (LookupError, ValueError, TypeError, AttributeError, HarnessError) as problem:
            raise self._damaged(problem) from None

    def _damaged(self, problem: Exception) -> RecordError:
        return RecordError(
            f"the registration of network {self.name!r} is damaged, or of another version of harness ({problem!r});"
            f" run 'harness down --name {self.name}'"
        )

    def amended(self, change: Mapping[str, Any]) -> Registration:
        """This registration with a change of its plan, in JSON: changed edges one by one, other keys as a whole."""
        changed = {(edge["src"], edge["dst"]): edge for edge in change["edges"]}
        edges = [changed.get((edge["src"], edge["dst"]), edge) for edge in self.plan["edges"]]
        return replace(self, plan={**self.plan, **change, "edges": edges})

    @property
    def summary(self) -> dict[str, Any]:
        """Its entry in a list of networks, as JSON. Raises RecordError where it is damaged."""
        try:
            plan = self.plan
            return {
                "name": str(self.name),
                "runtime": str(self.runtime),
                "engine": str(self.engine),
                "created": float(self.created),
                "transient": bool(self.transient),
                "topology": str(plan["topology"]),
                "profile": str(plan["profile"]),
                "seed": int(plan["seed"]),
                "nodes": len(plan["nodes"]),
            }
        except (LookupError, ValueError, TypeError) as problem:
            raise self._damaged(problem) from None


class Registry(Protocol):
    """Stores the registrations of networks that are up; see LocalRegistry."""

    unread: str
    """Message for a network that is removed although its registration cannot be read; with ``{name}``."""

    def lock(self, name: str) -> AbstractContextManager[None]: ...

    def names(self) -> list[str]: ...

    def load(self, name: str, known: Registration | None = None) -> Registration | None:
        """The registration, or None; ``known`` saves fetching what has not changed since."""
        ...

    def save(self, record: Registration) -> None: ...

    def amend(self, record: Registration, change: Mapping[str, Any]) -> None:
        """Save a change; the record already has it (``amended``). To be called while the network is locked."""
        ...

    def remove(self, name: str) -> None: ...

    def record_in(self, name: str, folder: Path | None, created: float = 0.0) -> None: ...

    def recording(self, name: str, created: float = 0.0) -> Path | None: ...

    def probe_counts(self, name: str) -> Path: ...

    def away(self, name: str) -> Path: ...

    def load_folder(self) -> Path: ...
