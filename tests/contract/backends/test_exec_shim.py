"""The wrapper that runs a program in a container, here as an ordinary process: its client is this test."""

import contextlib
import json
import os
import select
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.backends.docker.exec import shim
from harness.backends.docker.exec.shim import Frames, frame
from tests.support.cli import wait_for

PATIENCE_S = 20


class Client:
    """Starts a program through the wrapper and collects what it says."""

    def __init__(self, *argv, env=None, cwd=None, tty=None):
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-S", shim.__file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
        )
        self._frames, self.code = Frames(), None
        self.said = {kind: bytearray() for kind in (shim.STDOUT, shim.STDERR, shim.READY)}
        self.taken, self.input_closed = 0, False
        start = {"argv": argv, "env": env or {}, "cwd": cwd, "tty": tty}
        self.send(shim.START, json.dumps(start).encode())

    def send(self, kind, payload=b""):
        self.process.stdin.write(frame(kind, payload))

    def until(self, done, rest=0.0):
        """Read frames until something holds; after each reading, rest for so many seconds."""
        deadline = time.monotonic() + PATIENCE_S
        while not done(self):
            left = deadline - time.monotonic()
            assert left > 0, f"only this came: {self.said}"
            if select.select([self.process.stdout], [], [], left)[0]:
                data = os.read(self.process.stdout.fileno(), 1 << 16)
                assert data, f"the wrapper ended: {self.said}"
                for kind, payload in self._frames.feed(data):
                    self._note(kind, payload)
                time.sleep(rest)

    def _note(self, kind, payload):
        assert self.code is None, f"{kind!r} after the exit code"
        if kind == shim.EXIT:
            self.code = payload[0]
        elif kind == shim.TAKEN:
            self.taken += struct.unpack("!I", payload)[0]
        elif kind == shim.CLOSED:
            self.input_closed = True
        else:
            self.said[kind] += payload

    def end(self):
        """The exit code, which is the wrapper's too, once we are gone."""
        self.until(lambda client: client.code is not None)
        self.process.stdin.close()
        assert self.process.wait(PATIENCE_S) == self.code
        return self.code

    @property
    def out(self):
        return self.said[shim.STDOUT]


@pytest.fixture
def client():
    with contextlib.ExitStack() as stack:

        def make(*argv, **options):
            made = Client(*argv, **options)
            stack.callback(made.process.stdout.close)
            stack.callback(made.process.wait, PATIENCE_S)
            stack.callback(made.process.stdin.close)
            return made

        yield make


def python(text, *arguments):
    return (sys.executable, "-u", "-c", text, *arguments)


def gone(pid):
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        try:
            with open(f"/proc/{pid}/stat") as stat:
                if stat.read().rpartition(")")[2].split()[0] == "Z":
                    return True
        except OSError:
            return True
        time.sleep(0.02)
    return False


def test_output_errors_and_exit_code(client):
    it = client("sh", "-c", "echo out; echo err >&2; exit 7")
    assert it.end() == 7
    assert it.said == {shim.STDOUT: b"out\n", shim.STDERR: b"err\n", shim.READY: b""}


def test_death_by_a_signal_is_128_and_its_number(client):
    assert client("sh", "-c", "kill -9 $$").end() == 137


@pytest.mark.parametrize(
    ("argv", "cwd", "code", "said"),
    [
        (["no-such-program"], None, 127, b"cannot start 'no-such-program': No such file or directory\n"),
        (["/etc"], None, 126, b"cannot start '/etc': Permission denied\n"),
        (["true"], "/no/such", 126, b"cannot enter '/no/such': No such file or directory\n"),
    ],
)
def test_what_cannot_start_says_why(client, argv, cwd, code, said):
    it = client(*argv, cwd=cwd)
    assert it.end() == code
    assert it.said[shim.STDERR] == said


def test_environment_directory_and_bytes_that_are_no_text(client):
    text = "import os,sys; print(os.environ['A'], 'PATH' in os.environ, os.getcwd(), os.environb[b'B'], sys.argv[1:])"
    it = client(*python(text, "a b", "\udcff"), env={"A": "é", "B": "\udcfe"}, cwd="/usr")
    assert it.end() == 0
    assert it.out == "é True /usr b'\\xfe' ['a b', '\\udcff']\n".encode()


def test_signals_that_python_ignores_are_default_for_the_program(client):
    it = client("sh", "-c", "grep SigIgn /proc/self/status")
    assert it.end() == 0
    ignored = int(it.out.split()[1], 16)
    assert not [number for number in (signal.SIGPIPE, signal.SIGXFSZ) if ignored >> number - 1 & 1]


def test_input_arrives_whole_and_is_acknowledged(client):
    it, data, sent = client("cat"), os.urandom(3_000_000), 0
    while sent < len(data):
        it.until(lambda it: it.taken + shim.WINDOW > sent)  # noqa: B023
        piece = data[sent : min(sent + shim.CHUNK, it.taken + shim.WINDOW)]
        it.send(shim.DATA, piece)
        sent += len(piece)
    it.send(shim.EOF)
    assert it.end() == 0
    assert it.out == data
    assert it.taken == len(data)


def test_a_signal_overtakes_input_that_nobody_reads(client):
    it = client("sleep", "60")
    it.send(shim.DATA, bytes(shim.WINDOW))
    it.send(shim.SIGNAL, bytes([signal.SIGTERM]))
    assert it.end() == 128 + signal.SIGTERM


def test_a_signal_reaches_a_program_that_is_paused(client):
    it = client("sh", "-c", "trap 'exit 9' TERM; echo $$; kill -STOP $$; sleep 60 & wait")
    it.until(lambda it: it.out.endswith(b"\n"))
    wait_for(lambda: Path(f"/proc/{int(it.out)}/stat").read_text().split()[2] == "T", PATIENCE_S)
    it.send(shim.SIGNAL, bytes([signal.SIGTERM]))
    assert it.end() == 9


def test_a_signal_goes_to_the_whole_group(client):
    it = client("sh", "-c", "sleep 60 & echo $!; wait; echo never")
    it.until(lambda it: it.out)
    it.send(shim.SIGNAL, bytes([signal.SIGTERM]))
    assert it.end() > 128
    assert gone(int(it.out))


def test_the_end_of_the_client_kills_the_whole_session(client):
    text = "import os,subprocess,time; print(os.getpid(), *(subprocess.Popen(['sleep', '60'], **how).pid"
    text += " for how in ({}, {'preexec_fn': os.setpgrp}))); time.sleep(60)"
    it = client(*python(text))
    it.until(lambda it: it.out.endswith(b"\n"))
    it.process.stdin.close()
    it.process.wait(PATIENCE_S)
    pids = it.out.split()
    assert len(pids) == 3
    assert all(gone(int(pid)) for pid in pids)


def test_the_end_of_the_client_is_seen_while_nobody_reads_the_output(client):
    it = client("sh", "-c", "echo $$; exec yes")
    it.until(lambda it: it.out)
    time.sleep(0.3)
    it.process.stdin.close()
    it.process.wait(PATIENCE_S)
    assert gone(int(it.out.split()[0]))


def test_a_client_that_does_not_read_stops_the_program_not_the_memory(client):
    it = client("sh", "-c", "head -c 50000000 /dev/zero; echo done >&2")
    time.sleep(1)
    with open(f"/proc/{it.process.pid}/status") as status:
        kilobytes = next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))
    assert kilobytes < 40_000
    assert it.end() == 0
    assert len(it.out) == 50_000_000
    assert it.said[shim.STDERR] == b"done\n"


@pytest.mark.parametrize("what", ["sleep 30", "while sleep 0.3; do echo beat; done", "yes"])
def test_who_holds_the_output_open_does_not_hold_up_the_end(client, what):
    it = client("sh", "-c", f"({what}) & echo first; exit 3")
    start = time.monotonic()
    it.until(lambda it: it.code is not None, rest=0.01)  # or `yes` would take both CPUs for 5 s
    assert time.monotonic() - start < 8
    assert it.out.startswith(b"first\n") or what == "yes"
    assert it.end() == 3


def test_what_a_child_says_just_after_the_end_arrives(client):
    it = client("sh", "-c", "(sleep 0.4; echo late) & exit 0")
    assert it.end() == 0
    assert it.out == b"late\n"


def test_output_that_nobody_reads_any_more_is_a_broken_pipe(client):
    it = client("yes")
    it.until(lambda it: it.out)
    it.send(shim.CLOSED, shim.STDOUT)
    assert it.end() == 128 + signal.SIGPIPE


def test_input_that_the_program_closed_is_told(client):
    it = client("sh", "-c", "exec <&-; sleep 0.5; echo there")
    it.until(lambda it: it.input_closed)
    assert it.end() == 0
    assert it.out == b"there\n"


def test_a_terminal_has_size_input_and_ctrl_c(client):
    text = """
import os, signal, time
signal.signal(signal.SIGWINCH, lambda *_: os.write(1, repr(os.get_terminal_size()).encode()))
try:
    print(os.isatty(0), os.isatty(2), os.get_terminal_size(), input())
    while True:
        time.sleep(0.05)  # a signal just before a sleep does not shorten it
except KeyboardInterrupt:
    print("interrupted")
"""
    it = client(*python(text), tty={"rows": 33, "cols": 77})
    it.send(shim.DATA, b"typed\r")
    it.until(lambda it: b"lines=33) typed" in it.out)
    assert b"True True os.terminal_size(columns=77" in it.out
    it.send(shim.SIZE, struct.pack("2H", 20, 50))
    it.until(lambda it: b"columns=50, lines=20" in it.out)
    it.send(shim.DATA, b"\3")
    it.until(lambda it: b"interrupted" in it.out)
    assert it.end() == 0
