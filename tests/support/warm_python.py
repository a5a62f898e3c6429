"""Python processes that have imported PyTorch already, forked from one that did: a rank costs 0.3 s of CPU, not 2.5 s.

They differ from ``python -m MODULE`` in two ways only: PyTorch was imported under this test run's environment, with one
thread and a quiet profiler, and all share one hash seed. Tests that compare runs bit for bit therefore start new
interpreters instead.
"""

from __future__ import annotations

import atexit
import ctypes
import json
import os
import resource
import runpy
import signal
import site
import socket
import subprocess
import sys
import time
from functools import cache
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36


class WarmProcess:
    """One of them, with the part of subprocess.Popen that tests use."""

    def __init__(self, pid):
        self.pid, self.returncode = pid, None

    def poll(self):
        if self.returncode is None:
            try:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:  # not yet ours: what forked it has not ended
                return None
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, timeout):
        deadline = time.monotonic() + timeout
        while self.poll() is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(str(self.pid), timeout)
            time.sleep(0.01)
        return self.returncode

    def send_signal(self, number):
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self):
        self.send_signal(signal.SIGKILL)


def start(program, arguments, env, stdout, stderr, *, folder=None, largest_file=None) -> WarmProcess:
    """``python -m MODULE ARGUMENTS``, or ``python FILE ARGUMENTS``, here.

    Args:
        program: a module, as after ``-m``, or the path of a file.
        arguments: of the program.
        env: all of its environment.
        stdout, stderr: files.
        folder: to work in.
        largest_file: in bytes, that it may write.
    """
    request = {"program": str(program), "arguments": arguments, "env": env, "largest_file": largest_file}
    request["is_file"] = isinstance(program, Path)
    request["cwd"] = str(folder or os.getcwd())
    text = json.dumps(request).encode()
    server = _server()
    socket.send_fds(server, [len(text).to_bytes(4, "big") + text], [stdout.fileno(), stderr.fileno()])
    return WarmProcess(int.from_bytes(_read(server, 4), "big"))


@cache
def _server():
    """The socket of the process that forks; what it forks becomes a child of this process when its own parent ends."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    here, there = socket.socketpair()
    env = {**os.environ, "OMP_NUM_THREADS": "1", "KINETO_LOG_LEVEL": "99"}
    process = subprocess.Popen(
        [sys.executable, "-m", __name__, str(there.fileno())], pass_fds=[there.fileno()], env=env
    )
    there.close()

    def end():
        here.close()
        process.wait()

    atexit.register(end)
    return here


def _read(connection, size, rest=b""):
    while len(rest) < size:
        more = connection.recv(size - len(rest))
        if not more:
            raise EOFError("the process that forks has ended")
        rest += more
    return rest


def _serve(connection):
    """Fork for every request until the socket closes; in the forked process, return what was asked of it."""
    import torch._dynamo  # which the first optimizer imports
    import torch.nn.parallel  # noqa: F401

    while True:
        head, files, _, _ = socket.recv_fds(connection, 1 << 20, 2)
        if not head:
            return None
        size = int.from_bytes(head[:4], "big")
        request = json.loads(_read(connection, size, head[4:]))
        between = os.fork()
        if between == 0:
            pid = os.fork()
            if pid == 0:
                connection.close()
                return request, files
            connection.sendall(pid.to_bytes(4, "big"))
            os._exit(0)
        os.waitpid(between, 0)
        for file in files:
            os.close(file)


def _become(request, files):
    for number, file in enumerate(files, start=1):
        os.dup2(file, number)
        os.close(file)
    if request["largest_file"] is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (request["largest_file"],) * 2)
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["cwd"])
    path = filter(None, request["env"].get("PYTHONPATH", "").split(os.pathsep))
    sys.path[:] = [request["cwd"], *path, *sys.path]
    sys.argv = [request["program"], *request["arguments"]]
    site.execsitecustomize()  # of this PYTHONPATH, as at Python's start
    if request["is_file"]:
        runpy.run_path(request["program"], run_name="__main__")
    else:
        runpy.run_module(request["program"], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    asked = _serve(socket.socket(fileno=int(sys.argv[1])))
    if asked:
        _become(*asked)
