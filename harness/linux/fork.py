"""Work in a forked child, which may enter namespaces that the parent must not."""

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
    """Run this in a forked child and return its result; what it raises as HarnessError is raised here."""
    return forked_all([work])[0]


def forked_all(works: Sequence[Callable[[], T]]) -> list[T]:
    """Run each in a forked child of its own, at the same time; their results, or the first that is an error, once all
    have ended."""
    children = [_start(work) for work in works]
    answers = [_answer(*child) for child in children]
    for ok, value in answers:
        if not ok:
            raise value
    return [value for _, value in answers]


def _start(work: Callable[[], Any]) -> tuple[int, int]:
    """The child's process id, and where it answers."""
    reader, writer = os.pipe()
    with signals.held():
        child = os.fork()
    if child == 0:
        _serve(work, writer)
    os.close(writer)
    return child, reader


def _answer(child: int, reader: int) -> tuple[bool, Any]:
    """Whether it did its work, and the result or the error."""
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
