"""Times gloo's collectives by torch's profiler, limited to user annotations.

gloo opens a RecordFunction when one of its threads begins with a collective, and closes it when that is complete
(ProcessGroupGloo.cpp: recordAsyncWorkProfilingInfo); for a send or recv, when it was waited for. Its scope is
USER_SCOPE. A profiler of only that scope sees no operators (torch.add costs the same), and takes 6 us per collective.
torch.profiler.profile has no argument for scopes, so this calls private functions below it, which are used only here.

All calls must come from the main thread: while they run, the script does not, and waits for no collective.
"""

from __future__ import annotations

import atexit
import math
import sys
import time
from collections.abc import MutableMapping
from typing import Any, Final

from harness.training.collectives.times import Span

_PREFIX: Final = "gloo:"
_LOG_LEVEL: Final = "KINETO_LOG_LEVEL"
_WIDTHS: Final = {"double": 8, "long int": 8, "float": 4, "int": 4, "c10::Half": 2, "c10::BFloat16": 2, "short int": 2}
"""Bytes of an element, by the type's C++ name; 1 for all others."""
_PREPARED: Final = "ProfilerStep"
"""The entry that torch.profiler adds when it is made, and removes at the end of its `with`."""
_NANO: Final = 1e-9


def quiet(environment: MutableMapping[str, str]) -> None:
    """Keep the profiler from printing a line at each start and stop; call it before torch is imported."""
    environment.setdefault(_LOG_LEVEL, "99")


class GlooProfiler:
    """Times gloo's collectives in all threads.

    A profiler of the script has precedence: while it exists, this one is off. torch crashes if this one starts after
    the other was prepared, stops while the other records, or still records when the process ends.

    Raises:
        ImportError, AttributeError, TypeError: this torch has no such profiler.
    """

    def __init__(self) -> None:
        from torch import autograd
        from torch._C import _profiler as kinds
        from torch.autograd import profiler

        self._torch: Any = autograd
        self._others: Any = profiler
        experimental = kinds._ExperimentalConfig(profile_all_threads=True)  # torch.profiler may start beside it then
        self._config = kinds.ProfilerConfig(
            kinds.ProfilerState.KINETO, True, False, False, False, False, experimental, ""
        )
        self._activities, self._scopes = {kinds.ProfilerActivity.CPU}, {kinds.RecordScope.USER_SCOPE}
        self._on = False
        self.yielded = False
        """Whether the script used a profiler of its own at the last start or stop."""
        self.since = math.inf
        """When it started, seconds since the epoch."""
        atexit.register(self.stop)

    def start(self) -> None:
        """Time collectives that are called from now on."""
        if self._on:
            return
        self.yielded = self._others._is_profiler_enabled or _PREPARED in self._others.KinetoStepTracker._step_dict
        if self.yielded or self._is_interrupted():
            return
        self._torch._prepare_profiler(self._config, self._activities)
        self._torch._enable_profiler(self._config, self._activities, self._scopes)
        self._on, self.since = True, time.time()

    def stop(self) -> list[Span]:
        """Stop; the collectives that were completed since the start."""
        self.yielded = self._others._is_profiler_enabled
        if not self._on or self.yielded or self._is_interrupted():
            return []
        self._on, self.since = False, math.inf
        return [_span(event) for event in self._torch._disable_profiler().events() if event.name().startswith(_PREFIX)]

    def _is_interrupted(self) -> bool:
        """Whether this call interrupts a function of torch's profiler."""
        frame = sys._getframe()
        while frame := frame.f_back:  # type: ignore[assignment]
            if frame.f_code.co_filename == self._others.__file__:
                return True
        return False


def _span(event: Any) -> Span:
    counts = [math.prod(shape) for shape in event.shapes()]
    sizes = (count * _WIDTHS.get(dtype, 1) for count, dtype in zip(counts, event.dtypes(), strict=False))
    start = event.start_ns() * _NANO
    return Span(event.name().removeprefix(_PREFIX), start, event.end_ns() * _NANO, sum(counts), sum(sizes))
