"""The harness command forked from a process that has imported it: most calls then cost 0.05 s of CPU, not 0.2 s.

It differs from ``python -m harness`` in two ways only: all of it is imported already, so that an import which a verb
forgets goes unnoticed, and /proc shows another command line. Tests that are about either, or that send signals, start
new interpreters instead: see ``HARNESS`` in tests/support/cli.py and the tests that use it.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import pkgutil
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import time
from functools import cache

IMPORTED = ("cli", "networks", "shaping", "model", "backends", "linux", "scenario", "verify")
"""Packages of harness that verbs import; none of them needs PyTorch."""


def run(words, env, *, timeout=180) -> subprocess.CompletedProcess:
    """``harness WORDS`` in that environment, and what it and all that it started wrote.

    Raises:
        subprocess.TimeoutExpired: it was stopped after so many seconds.
    """
    (out, its_out), (err, its_err), (status, its_status) = (os.pipe() for _ in range(3))
    fork(words, env, its_out, its_err, its_status)
    for file in (its_out, its_err, its_status):
        os.close(file)
    read = {out: b"", err: b"", status: b""}
    deadline = time.monotonic() + timeout
    with selectors.DefaultSelector() as selector:
        for file in read:
            selector.register(file, selectors.EVENT_READ)
        while selector.get_map():
            ready = selector.select(max(0, deadline - time.monotonic()))
            if not ready:
                os.kill(int(read[status].split()[0]), signal.SIGKILL)
                raise subprocess.TimeoutExpired(words, timeout, read[out], read[err])
            for key, _ in ready:
                data = os.read(key.fd, 1 << 16)
                read[key.fd] += data
                if not data:
                    selector.unregister(key.fd)
                    os.close(key.fd)
    texts = [read[file].decode().replace("\r\n", "\n") for file in (out, err)]
    return subprocess.CompletedProcess(words, int(read[status].split()[1]), *texts)


def fork(words, env, stdout, stderr, status) -> None:
    """Start it with those files; its process id, and when it has ended its exit code, are written to ``status``."""
    request = {"words": [str(word) for word in words], "env": env, "folder": os.getcwd()}
    text = json.dumps(request).encode()
    socket.send_fds(_server(), [len(text).to_bytes(4, "big") + text], [stdout, stderr, status])


@cache
def _server():
    """The socket of the process that forks."""
    here, there = socket.socketpair()
    argv, nothing = [sys.executable, "-m", __name__, str(there.fileno())], subprocess.DEVNULL
    process = subprocess.Popen(argv, pass_fds=[there.fileno()], stdin=nothing, stdout=nothing)
    there.close()

    def end():
        here.close()
        process.wait()

    atexit.register(end)
    return here


def _import_all():
    for package in IMPORTED:
        found = importlib.import_module(f"harness.{package}")
        for module in pkgutil.walk_packages(found.__path__, f"{found.__name__}."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    assert "torch" not in sys.modules


def _serve(connection):
    """Fork for every request until the socket closes; in the forked process, return what was asked of it.

    Forked once, and waited for here: in the kernel of scripts/with-netem a fork of this process costs 0.3 s of CPU.
    """
    _import_all()
    gc.freeze()
    running = {}  # process id, and where to write its exit code, by pidfd
    with selectors.DefaultSelector() as selector:
        selector.register(connection, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fd in running:
                    selector.unregister(key.fd)
                    _has_ended(key.fd, *running.pop(key.fd))
                    continue
                head, files, _, _ = socket.recv_fds(connection, 1 << 20, 3)
                if not head:
                    return None
                while len(head) < 4 + int.from_bytes(head[:4], "big"):
                    head += connection.recv(4 + int.from_bytes(head[:4], "big") - len(head))
                out, err, status = files
                pid = os.fork()
                if pid == 0:
                    connection.close()
                    _take_over(files, running)
                    return json.loads(head[4:])
                os.write(status, b"%d " % pid)
                for file in (out, err):
                    os.close(file)
                pidfd = os.pidfd_open(pid)
                running[pidfd] = pid, status
                selector.register(pidfd, selectors.EVENT_READ)


def _take_over(files, running):
    """Be the command: with its own output, and nothing of the others'."""
    for number, file in enumerate(files[:2], start=1):
        os.dup2(file, number)
    for file in (*files, *running, *(status for _, status in running.values())):
        os.close(file)


def _has_ended(pidfd, pid, status):
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    with contextlib.suppress(BrokenPipeError):  # nobody waits for it any more
        os.write(status, b"%d" % code)
    for file in (pidfd, status):
        os.close(file)


def _become(request):
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["folder"])
    sys.argv = ["harness", *request["words"]]
    if "_HARNESS_COMPLETE" in os.environ:  # which is of the installed script: run as a module, it has another name
        from harness.__main__ import main

        sys.modules["__main__"].__package__ = None
        main()
    else:
        runpy.run_module("harness", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    asked = _serve(socket.socket(fileno=int(sys.argv[1])))
    if asked:
        _become(asked)
