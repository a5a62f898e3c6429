"""Keeps torch's compiler from being imported: nothing here is compiled, and the import takes 2 s of CPU.

torch's optimizers and DistributedDataParallel import it at their first use, only to exclude themselves from it; so does
``torch.use_deterministic_algorithms``, in whose place ``torch.set_deterministic_debug_mode`` can be used.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType, SimpleNamespace
from typing import Any, Final

_NAME: Final = "torch._dynamo"


class _Absent(ModuleType):
    """Replaces ``torch._dynamo`` until another attribute than these is used."""

    utils = SimpleNamespace(get_optimize_ddp_mode=lambda: "no_optimization")
    trace_rules = SimpleNamespace(clear_lru_cache=lambda: None)

    @staticmethod
    def graph_break() -> None:
        """Do nothing: there is no graph."""

    @staticmethod
    def disable(function: Any, *_: Any, **__: Any) -> Any:
        """The function itself, which is not compiled anyway."""
        return function

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name != "__path__":
            raise AttributeError(name)
        import torch

        del sys.modules[_NAME]
        vars(torch).pop("_dynamo", None)
        return getattr(importlib.import_module(_NAME), name)


def leave_out_compiler() -> None:
    """Call this before the first optimizer is made, in programs that run no code of users."""
    import torch

    if _NAME not in sys.modules:
        sys.modules[_NAME] = torch._dynamo = _Absent(_NAME)
