"""Connects to the Ray cluster that ``--on`` names, or fails within seconds."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
from collections.abc import Iterator, Mapping
from typing import Any, Final

from harness.errors import HarnessError, InputError, UnavailableError, quoted
from harness.installed import install_extra

_AUTO: Final = "auto"
_CLIENT: Final = "ray://"
_ADDRESS: Final = re.compile(r"[^\s/:]+:\d{1,5}|\[[0-9A-Fa-f:]+\]:\d{1,5}")
_ANSWER_SECONDS: Final = 6.0
"""Ray itself waits 32 s for a client server that is not there, and two minutes for a cluster's (2.60)."""


def read_on(text: str, environ: Mapping[str, str]) -> str:
    """The address for ray.init. Raises InputError.

    ``text``: ray, auto, ray://HOST:PORT or HOST:PORT; the first two stand for RAY_ADDRESS, or this machine's cluster.
    """
    address = (environ.get("RAY_ADDRESS") or _AUTO) if text in ("ray", _AUTO) else text
    if address != _AUTO and not _ADDRESS.fullmatch(address.removeprefix(_CLIENT)):
        raise InputError(
            f"--on {quoted(address)}: write ray (the cluster that RAY_ADDRESS names, or else this machine's), "
            "ray://HOST:10001 or HOST:6379"
        )
    return address


@contextlib.contextmanager
def connected(on: str) -> Iterator[Any]:
    """Connect to the cluster as a driver; yields the module ``ray``. At the end, Ray ends all tasks.

    Raises:
        InputError: ``on``, as the user wrote it, is no address.
        UnavailableError: Ray is not installed, or there is no cluster.
        HarnessError: the connection was lost.
    """
    address = read_on(on, os.environ)
    try:
        import grpc
        import ray
    except ImportError as missing:
        raise UnavailableError(f"--on needs Ray ({missing.name} is missing here): {install_extra('ray')}") from None
    if address != _AUTO and os.environ.get("RAY_USE_TLS", "0") == "0":
        channel = grpc.insecure_channel(address.removeprefix(_CLIENT))
        try:
            grpc.channel_ready_future(channel).result(timeout=_ANSWER_SECONDS)
        except grpc.FutureTimeoutError:
            raise UnavailableError(
                f"--on {address}: no Ray cluster answers there within {_ANSWER_SECONDS:.0f} s; "
                "is it up ('ray start --head' there), and does its port let you in?"
            ) from None
        finally:
            channel.close()
    ended = "Ray ended this command, as it does 60 s after the cluster's head is lost; --resume it on another cluster"
    with last_word(f"--on {address}: {ended}"):
        yield from _joined(address, ray)


def _joined(address: str, ray: Any) -> Iterator[Any]:
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        ray.init(address=address, logging_level="ERROR", log_to_driver=False)
    except Exception as problem:  # Ray raises these, too: "The current node timed out during startup"
        raise UnavailableError(
            f"--on {address}: {_in_one_line(problem)}; 'ray start --head' starts a cluster"
        ) from None
    if hasattr(ray._private.worker, "print_to_stdstream"):  # prints a page of a lost machine's log
        ray._private.worker.print_to_stdstream = lambda *_, **__: None
    for number, handler in handlers.items():  # Ray has put its own there
        signal.signal(number, handler)
    try:
        yield ray
    except ray.exceptions.RayError as problem:
        raise HarnessError(f"--on {address}: the cluster is gone: {_in_one_line(problem)}") from None
    finally:
        ray.shutdown()


@contextlib.contextmanager
def last_word(text: str) -> Iterator[None]:
    """Start a shell that prints an error if this process is killed meanwhile and cannot print it itself."""
    argv = ["sh", "-c", 'read -r well || echo "harness: error: $1" >&2', "sh", text]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, start_new_session=True) as shell:
        try:
            yield
        finally:
            shell.communicate(b"\n")


def _in_one_line(problem: BaseException) -> str:
    lines = [line.strip() for line in str(problem).splitlines() if line.strip()]
    return (lines[-1] if lines[0].endswith(":") else lines[0]) if lines else type(problem).__name__
