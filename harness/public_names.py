"""Public names of modules, e.g. in ``from harness.exogym import Trainer`` and ``python -m harness.workloads.train``."""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # without the import of typing: every command imports this file
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import CodeType, ModuleType

PUBLIC_NAMES = {
    "harness.exogym": "harness.training.exogym",
    "harness.strategies": "harness.training.strategies",
    "harness.strategies.base": "harness.training.strategies.base",
    "harness.strategies.wire": "harness.training.strategies.sent_bytes",
    "harness.workloads": "harness.training",
    "harness.workloads.bench": "harness.training.bench",
    "harness.workloads.loop": "harness.training.train",
    "harness.workloads.train": "harness.training.train",
}


class _Alias:
    """Loads the module behind a public name; both names get the same module object."""

    def __init__(self, target: str) -> None:
        self._target = target

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """The module behind the name."""
        from importlib import import_module

        module = import_module(self._target)
        self._true_spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Restore the module's own spec, which the import system has replaced by the alias's; the module has run."""
        module.__spec__ = self._true_spec

    def get_code(self, _: str) -> CodeType | None:
        """The code for ``python -m``."""
        spec = _spec(self._target)
        return spec.loader.get_code(self._target)  # type: ignore[union-attr, no-any-return]


class _Finder:
    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """See importlib.abc.MetaPathFinder."""
        if name not in PUBLIC_NAMES:
            return None
        from importlib.machinery import ModuleSpec

        real = _spec(PUBLIC_NAMES[name])
        alias = _Alias(PUBLIC_NAMES[name])
        is_package = real.submodule_search_locations is not None
        return ModuleSpec(name, alias, origin=real.origin, is_package=is_package)  # type: ignore[arg-type]


def _spec(name: str) -> ModuleSpec:
    from importlib.util import find_spec

    spec = find_spec(name)
    assert spec is not None, name
    return spec


def install() -> None:
    """Make Python find modules by their public names."""
    sys.meta_path.insert(0, _Finder())
