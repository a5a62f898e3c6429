"""Runs functions in forked children, which may enter namespaces that the parent must not enter."""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
from collections.abc import Callable, Sequence
from typing import Any, Never, TypeVar

from harness.errors import HarnessError
from harness.linux import host, signals, syscalls

T = TypeVar("T")


def forked(work: Callable[[], T]) -> T:
    """Run a function in a forked child; returns its result. Raises its error as HarnessError."""
    return forked_all([work])[0]


def forked_all(works: Sequence[Callable[[], T]]) -> list[T]:
    """Run functions in forked children at the same time; returns their results once all have ended. Raises the first
    error as HarnessError."""
    children = [_start(work) for work in works]
    answers = [_answer(*child) for child in children]
    for ok, value in answers:
        if not ok:
            raise value
    return [value for _, value in answers]


def _start(work: Callable[[], Any]) -> tuple[int, int]:
    """The child's process id, and the pipe for its answer."""
    reader, writer = os.pipe()
    with signals.held():
        child = os.fork()
    if child == 0:
        _serve(work, writer)
    os.close(writer)
    return child, reader


def _answer(child: int, reader: int) -> tuple[bool, Any]:
    """(True, result) or (False, error)."""
    status = 0
    try:
        with os.fdopen(reader, "rb") as pipe:
            answer = pipe.read()
    finally:
        with contextlib.suppress(ProcessLookupError):
            status = os.waitpid(child, 0)[1]
    if not answer:
        return False, HarnessError(f"a worker process ended with status {status} before it answered")
    found: tuple[bool, Any] = pickle.loads(answer)
    return found


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
