"""Work in a forked child, which may enter namespaces that the parent must not."""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
from collections.abc import Callable
from typing import Any, Never, TypeVar

from harness.errors import HarnessError
from harness.linux import host, signals, syscalls

T = TypeVar("T")


def forked(work: Callable[[], T]) -> T:
    """Run this in a forked child and return its result; what it raises as HarnessError is raised here."""
    reader, writer = os.pipe()
    with signals.held():
        child = os.fork()
    if child == 0:
        _serve(work, writer)
    os.close(writer)
    try:
        with os.fdopen(reader, "rb") as pipe:
            answer = pipe.read()
    finally:
        with contextlib.suppress(ProcessLookupError):
            status = os.waitpid(child, 0)[1]
    if not answer:
        raise HarnessError(f"a worker process ended with status {status} before it answered")
    ok, value = pickle.loads(answer)
    if ok:
        result: T = value
        return result
    raise value


def _serve(work: Callable[[], Any], writer: int) -> Never:
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        syscalls.die_with_parent()
        try:
            answer = True, work()
        except HarnessError as error:
            answer = False, error
        except OSError as error:
            answer = False, HarnessError(host.explain(error))
        except Exception as error:
            answer = False, HarnessError(f"{type(error).__name__}: {error}")
        with os.fdopen(writer, "wb") as pipe:
            pipe.write(pickle.dumps(answer))
    finally:
        os._exit(0)
