"""The harness command as a process, out of reach of the user's networks."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import typer
from typer.testing import CliRunner

from tests.support import warm_harness

HARNESS = [sys.executable, "-m", "harness.cli.main"]


class Command:
    """Call it with words; the exit code must be ``code``. Without a wrapper it is forked: see warm_harness.py.

    Args:
        folder: for its state.
        docker: whether it may look for a Docker daemon, which may have the user's networks.
    """

    def __init__(self, folder: Path, docker: bool = True):
        self.wrapper: list[str] = []
        self.env = {**os.environ, "HARNESS_STATE_DIR": str(folder), "COLUMNS": "200"}
        if not docker:
            self.env["DOCKER_HOST"] = f"unix://{folder}/no-docker.sock"

    def __call__(self, *words, code=0):
        if self.wrapper:
            argv = [*self.wrapper, *HARNESS, *words]
            done = subprocess.run(argv, env=self.env, capture_output=True, text=True, timeout=180)
        else:
            done = warm_harness.run(words, self.env)
        assert done.returncode == code, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done


def error_line(stderr):
    """The one line of an error, the last one; lines before it say what was being done, where that took two seconds."""
    *before, last = stderr.strip().splitlines()
    assert all(line.startswith("harness: ") and not line.startswith("harness: error") for line in before), stderr
    return last


def typer_runner(verb):
    """Calls the verb of a module of harness.cli with words, in this process; what it raises is raised."""
    app = typer.Typer()
    verb.register(app)

    def runner(*words):
        outcome = CliRunner().invoke(app, [str(word) for word in words])
        if outcome.exception and not isinstance(outcome.exception, SystemExit):
            raise outcome.exception
        return outcome

    return runner


def processes(word):
    """Process ids whose command line has this word."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if word.encode() in line:
                found.append(int(entry.name))
    return found


def own_processes(word, text=""):
    """The same, of those that this test run (or worker of it) has started, with that text in their environment."""
    ours = f"HARNESS_TEST_RUN={os.environ['HARNESS_TEST_RUN']}".encode()
    found = []
    for pid in processes(word):
        try:
            environ = Path(f"/proc/{pid}/environ").read_bytes()
            if ours in environ and text.encode() in environ:
                found.append(pid)
        except OSError:
            continue
    return found


def wait_for(condition, seconds=30):
    """What the condition returns, once it is true. Asking takes a third of the time at most: it may start programs."""
    deadline = time.monotonic() + seconds
    began = time.monotonic()
    while not (found := condition()):
        assert time.monotonic() < deadline, "did not come true in time"
        time.sleep(max(0.05, 2 * (time.monotonic() - began)))
        began = time.monotonic()
    return found


def on_terminal(words, columns=80, env=None):
    """What the command shows on a terminal of that width, without colours."""
    ours, theirs = os.openpty()
    env = {**(env or os.environ), "COLUMNS": str(columns), "NO_COLOR": "1"}
    ended, status = os.pipe()
    with open(os.devnull, "wb") as nowhere:
        warm_harness.fork(words, env, theirs, nowhere.fileno(), status)
    os.close(theirs)
    os.close(status)
    shown = b""
    try:
        while data := os.read(ours, 1 << 16):
            shown += data
    except OSError:  # nobody has the other end open: it has ended
        pass
    finally:
        os.close(ours)
        os.close(ended)
    return shown.decode().replace("\r\n", "\n")
