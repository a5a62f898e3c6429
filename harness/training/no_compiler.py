"""Training without torch's compiler: nothing here compiles, and its import takes 2 s of CPU and 900 modules.

torch's optimizers and DistributedDataParallel import it when they first work, only to keep it away from themselves; so
does ``torch.use_deterministic_algorithms``, which ``torch.set_deterministic_debug_mode`` can do without.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType, SimpleNamespace
from typing import Any, Final

_NAME: Final = "torch._dynamo"


class _Absent(ModuleType):
    """In place of ``torch._dynamo`` until somebody asks it for more than these."""

    utils = SimpleNamespace(get_optimize_ddp_mode=lambda: "no_optimization")
    trace_rules = SimpleNamespace(clear_lru_cache=lambda: None)

    @staticmethod
    def graph_break() -> None:
        """There is no graph."""

    @staticmethod
    def disable(function: Any, *_: Any, **__: Any) -> Any:
        """It is not compiled anyway."""
        return function

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name != "__path__":
            raise AttributeError(name)
        import torch

        del sys.modules[_NAME]
        vars(torch).pop("_dynamo", None)
        return getattr(importlib.import_module(_NAME), name)


def leave_out_compiler() -> None:
    """Call it where no code of a user's runs, before the first optimizer is made."""
    import torch

    if _NAME not in sys.modules:
        sys.modules[_NAME] = torch._dynamo = _Absent(_NAME)
