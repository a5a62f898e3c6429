"""Which networks are up: what is known of each, and what a registry of them can do."""

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
    """What is known of one network.

    Args:
        name: the user's.
        runtime: the backend's name, e.g. ``netns``.
        engine: the engine's name, e.g. ``netem``.
        handle: from which the backend finds the nodes again.
        plan: as it was last applied, in JSON.
        created: seconds since the epoch.
        transient: whether it belongs to a running ``harness run`` and ends with it.
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
            raise RecordError(
                f"the record of network {self.name!r} is damaged ({problem!r}); run 'harness down --name {self.name}'"
            ) from None

    def amended(self, change: Mapping[str, Any]) -> Registration:
        """With a change of its plan, in JSON: the edges that it has, and whole what else it has."""
        changed = {(edge["src"], edge["dst"]): edge for edge in change["edges"]}
        edges = [changed.get((edge["src"], edge["dst"]), edge) for edge in self.plan["edges"]]
        return replace(self, plan={**self.plan, **change, "edges": edges})

    @property
    def summary(self) -> dict[str, Any]:
        """What a list of networks says of it, as JSON. Raises RecordError where it is damaged."""
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
            raise RecordError(
                f"the record of network {self.name!r} is damaged ({problem!r}); run 'harness down --name {self.name}'"
            ) from None


class Registry(Protocol):
    """Where it is written which networks are up; see LocalRegistry."""

    unread: str
    """Printed for a user whose network is removed though its record cannot be read; with ``{name}``."""

    def lock(self, name: str) -> AbstractContextManager[None]: ...

    def names(self) -> list[str]: ...

    def load(self, name: str, known: Registration | None = None) -> Registration | None:
        """The registration, or None; what it has in common with a known one need not be fetched again."""
        ...

    def save(self, record: Registration) -> None: ...

    def amend(self, record: Registration, change: Mapping[str, Any]) -> None:
        """Save what has changed; the record is ``amended`` by it already. To be called while the network is locked."""
        ...

    def remove(self, name: str) -> None: ...

    def record_in(self, name: str, folder: Path | None, created: float = 0.0) -> None: ...

    def recording(self, name: str, created: float = 0.0) -> Path | None: ...

    def probe_counts(self, name: str) -> Path: ...

    def away(self, name: str) -> Path: ...

    def load_folder(self) -> Path: ...
