"""When gloo's collectives began and were complete, by torch's profiler with nothing but user annotations.

gloo keeps a RecordFunction open from when one of its threads begins with a collective until that is complete
(ProcessGroupGloo.cpp: recordAsyncWorkProfilingInfo), and a send or recv until it was waited for. Its scope is
USER_SCOPE; a profiler of that scope alone sees no operators (torch.add costs the same), and a collective costs it 6 us.
torch.profiler.profile has no argument for scopes, so this calls what is below it: private names, each used only here.

All calls must come from the main thread. There, nothing of the script runs meanwhile, and no collective that it waits
for is under way.
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
"""Bytes of an element by C++'s names; of all others, 1."""
_PREPARED: Final = "ProfilerStep"
"""What torch.profiler enters when it is made, and removes at the end of its `with`."""
_NANO: Final = 1e-9


def quiet(environment: MutableMapping[str, str]) -> None:
    """Keep the profiler from printing a line at each start and stop; call it before torch is imported."""
    environment.setdefault(_LOG_LEVEL, "99")


class GlooProfiler:
    """Sees gloo's collectives of all threads.

    A profiler of the script's own has precedence: while there is one, this one sees nothing. It must not start after
    the other one was prepared, nor stop while that records: torch would crash, as it does where one still records when
    the process ends.

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
        """When it began to see, seconds since the epoch."""
        atexit.register(self.stop)

    def start(self) -> None:
        """Begin to see collectives that are called from now on."""
        if self._on:
            return
        self.yielded = self._others._is_profiler_enabled or _PREPARED in self._others.KinetoStepTracker._step_dict
        if self.yielded or self._is_interrupted():
            return
        self._torch._prepare_profiler(self._config, self._activities)
        self._torch._enable_profiler(self._config, self._activities, self._scopes)
        self._on, self.since = True, time.time()

    def stop(self) -> list[Span]:
        """What was complete since the start; see no more."""
        self.yielded = self._others._is_profiler_enabled
        if not self._on or self.yielded or self._is_interrupted():
            return []
        self._on, self.since = False, math.inf
        return [_span(event) for event in self._torch._disable_profiler().events() if event.name().startswith(_PREFIX)]

    def _is_interrupted(self) -> bool:
        """Whether the script is just within torch's profiler, neither before nor behind it."""
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
