"""Programs in real containers through the proxy: streams, signals, codes, and that nothing outlives its client."""

import contextlib
import fcntl
import os
import pty
import select
import signal
import socket
import ssl
import struct
import subprocess
import sys
import termios
import threading
import time

import docker
import pytest

from harness.backends.docker.exec.client import client_command

pytestmark = pytest.mark.docker

IMAGE = "harness-node"
SLEEP = "/usr/bin/sleep 600"
SOCKET = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock").removeprefix("unix://")
PATIENCE_S = 30
PIPES = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}


def containers(**options):
    with contextlib.closing(docker.from_env()) as engine:
        made = engine.containers.run(
            IMAGE,
            entrypoint=SLEEP.split(),
            detach=True,
            read_only=True,
            cap_drop=["ALL"],
            security_opt=["no-new-privileges"],
            labels={"harness.test": "exec-proxy"},
            **options,
        )
        try:
            yield made
        finally:
            with contextlib.suppress(docker.errors.NotFound):
                made.remove(force=True)


@pytest.fixture(scope="module", name="container")
def shared_container():
    yield from containers()


@pytest.fixture(name="own")
def own_container():
    yield from containers()


def spawn(container, *argv, env=None, more=None, **options):
    command, variables = client_command(container.id, argv, env or {}, **options.pop("where", {}))
    return subprocess.Popen(command, env={**variables, **(more or {})}, start_new_session=True, **options)


def run(container, *argv, data=b"", **options):
    process = spawn(container, *argv, **PIPES, **options)
    out, err = process.communicate(data, timeout=PATIENCE_S)
    return process.returncode, out, err


def commands(container):
    """What runs in it, without the wrappers."""
    lines = [row[-1] for row in container.top()["Processes"]]
    return [line for line in lines if "harness-inside" not in line and line != SLEEP]


def until(holds):
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_streams_code_user_environment_and_directory(container):
    text = 'id -u; id -g; pwd; echo "$A"; echo problem >&2; grep CapEff /proc/self/status; exit 7'
    where = {"user": "1234:5678", "cwd": "/usr"}
    code, out, err = run(container, "sh", "-c", text, env={"A": "é = 1"}, where=where)
    assert (code, err) == (7, b"problem\n")
    assert out.decode().split("\n")[:4] == ["1234", "5678", "/usr", "é = 1"]
    assert out.split()[-1].strip(b"0") == b""


def test_bytes_pass_unchanged_both_ways(container):
    data = os.urandom(5_000_000)
    assert run(container, "sh", "-c", "cat; head -c 1000000 /dev/zero >&2", data=data) == (0, data, bytes(1_000_000))


def test_all_output_arrives_at_a_reader_that_takes_long_after_the_program_has_ended(container):
    process = spawn(container, "head", "-c", "1000000", "/dev/zero", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    time.sleep(4)
    assert process.stdout.read() == bytes(1_000_000)
    assert process.wait(PATIENCE_S) == 0
    process.stdout.close()


def test_what_cannot_start(container):
    assert run(container, "no-such") == (127, b"", b"cannot start 'no-such': No such file or directory\n")
    assert run(container, "/etc") == (126, b"", b"cannot start '/etc': Permission denied\n")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1])
def test_signals_are_passed_on(container, number):
    text = "import signal,sys,time; signal.signal(int(sys.argv[1]), lambda number, _: sys.exit(number + 40))\n"
    text += "print('ready', flush=True)\n"
    text += "while True: time.sleep(0.05)  # a signal just before a sleep does not shorten it"
    with spawn(container, "python3", "-c", text, str(int(number)), **PIPES) as process:
        assert process.stdout.readline() == b"ready\n"
        os.killpg(process.pid, number)
        assert process.wait(PATIENCE_S) == number + 40


def test_death_by_a_passed_signal_is_128_and_its_number(container):
    with spawn(container, "sh", "-c", "echo ready; exec sleep 61", **PIPES) as process:
        process.stdout.readline()
        process.terminate()
        assert process.wait(PATIENCE_S) == 128 + signal.SIGTERM


@pytest.mark.parametrize("text", ["sleep 71 & exec sleep 72", "sleep 71 | yes"])
def test_the_program_dies_with_a_killed_proxy(own, text):
    with spawn(own, "sh", "-c", text, **PIPES) as process:
        until(lambda: len(commands(own)) >= 2)
        process.kill()
        process.wait()
    until(lambda: own.top()["Processes"] == [row for row in own.top()["Processes"] if row[-1] == SLEEP])


def test_the_reader_that_leaves_ends_the_program(own):
    with spawn(own, "yes", **PIPES) as process:
        assert process.stdout.readline() == b"y\n"
        process.stdout.close()
        assert process.wait(PATIENCE_S) == 128 + signal.SIGPIPE


def test_the_writer_learns_that_nobody_reads(container):
    with spawn(container, "sh", "-c", "exec <&-; sleep 60", **PIPES) as process:
        with pytest.raises(BrokenPipeError):
            process.stdin.write(bytes(10_000_000))
        process.terminate()


def test_a_pause_only_stalls_it(own):
    text = "for i in 1 2 3 4 5 6 7 8; do echo $i; sleep 0.2; done; exit 4"
    with spawn(own, "sh", "-c", text, **PIPES) as process:
        assert process.stdout.readline() == b"1\n"
        own.pause()
        time.sleep(2.5)
        assert process.poll() is None
        own.unpause()
        assert process.stdout.read().split()[-1] == b"8"
        assert process.wait(PATIENCE_S) == 4


def test_a_container_that_ends_is_told(own):
    with spawn(own, "sh", "-c", "echo ready; sleep 60", **PIPES) as process:
        process.stdout.readline()
        own.kill()
        assert process.wait(PATIENCE_S) not in (0, 1)
        said = process.stderr.read().decode()
    assert "did the container stop?" in said
    assert said.count("\n") == 1


def test_a_container_that_cannot_run_a_program_is_told_before(own):
    own.pause()
    code, _, err = run(own, "true")
    assert code == 70
    assert b"paused" in err
    assert b"docker unpause" in err
    own.unpause()
    own.kill()
    until(lambda: own.reload() or own.status == "exited")
    code, _, err = run(own, "true")
    assert code == 70
    assert b"is not running" in err
    own.remove()
    code, _, err = run(own, "true")
    assert code == 70
    assert b"it is gone" in err


def test_an_image_without_python_is_told():
    for container in containers(environment={"PATH": "/nowhere"}):
        code, out, err = run(container, "true")
        assert (code, out) == (69, b"")
        assert b"cannot run python3 in the container" in err
        assert err.count(b"\n") == 1


def test_sixteen_at_once(container):
    processes = [spawn(container, "sh", "-c", f"cat; exit {number}", **PIPES) for number in range(16)]
    for number, process in enumerate(processes):
        assert process.communicate(b"%d" % number, timeout=PATIENCE_S) == (b"%d" % number, b"")
        assert process.returncode == number


# Other ways to the daemon


RELAY = """#!{python}
import os, select, socket, sys
daemon = socket.socket(socket.AF_UNIX); daemon.connect({socket!r})
open({log!r}, "a").write(" ".join(sys.argv[1:]) + "\\n")
while True:
    for fd in select.select([0, daemon], [], [])[0]:
        data = os.read(0, 65536) if fd == 0 else daemon.recv(65536)
        if not data:
            sys.exit()
        daemon.sendall(data) if fd == 0 else os.write(1, data)
"""


def test_over_ssh(container, tmp_path):
    ssh, log = tmp_path / "ssh", tmp_path / "log"
    ssh.write_text(RELAY.format(python=sys.executable, socket=SOCKET, log=str(log)))
    ssh.chmod(0o755)
    more = {"DOCKER_HOST": "ssh://me@far:2222", "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    data = os.urandom(300_000)
    assert run(container, "sh", "-c", "cat; exit 3", data=data, more=more) == (3, data, b"")
    assert log.read_text() == "-l me -p 2222 -- far docker system dial-stdio\n"
    with spawn(container, "sh", "-c", "trap 'exit 9' TERM; echo ready; sleep 60 & wait", more=more, **PIPES) as process:
        process.stdout.readline()
        os.killpg(process.pid, signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 9


@contextlib.contextmanager
def relay(context=None):
    """A TCP port that leads to the daemon, encrypted where there is an SSL context."""
    server = socket.create_server(("127.0.0.1", 0))

    def copy(client, daemon):
        client.setblocking(False)
        while True:
            try:
                if (context and client.pending()) or client in select.select([client, daemon], [], [])[0]:
                    data, to = client.recv(65536), daemon
                else:
                    data, to = daemon.recv(65536), client
            except (BlockingIOError, ssl.SSLWantReadError):
                continue
            to.setblocking(True)
            to.sendall(data)
            client.setblocking(False)
            if not data:
                client.close()
                daemon.close()
                return

    def serve():
        with contextlib.suppress(OSError):
            while True:
                client, daemon = server.accept()[0], socket.socket(socket.AF_UNIX)
                daemon.connect(SOCKET)
                if context:
                    client = context.wrap_socket(client, server_side=True)
                threading.Thread(target=copy, args=(client, daemon), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    yield server.getsockname()[1]
    server.shutdown(socket.SHUT_RDWR)
    server.close()


def test_over_tcp(container):
    data = os.urandom(300_000)
    with relay() as port:
        more = {"DOCKER_HOST": f"tcp://127.0.0.1:{port}"}
        assert run(container, "sh", "-c", "cat; exit 3", data=data, more=more) == (3, data, b"")


def test_over_tls(container, tmp_path):
    make = "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=here -addext subjectAltName=IP:127.0.0.1"
    make += " -keyout key.pem -out cert.pem"
    subprocess.run(make.split(), cwd=tmp_path, check=True, capture_output=True)
    (tmp_path / "ca.pem").write_bytes((tmp_path / "cert.pem").read_bytes())
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=tmp_path / "ca.pem")
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    data = os.urandom(300_000)
    with relay(context) as port:
        more = {"DOCKER_HOST": f"tcp://127.0.0.1:{port}", "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(tmp_path)}
        assert run(container, "sh", "-c", "cat; exit 3", data=data, more=more) == (3, data, b"")


# A terminal


def test_a_terminal_is_passed_through_and_comes_back_as_it_was(container):
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 31, 91, 0, 0))
    before = termios.tcgetattr(theirs)
    text = "trap 'stty size' WINCH; trap 'echo interrupted; exit 5' INT; stty size; while :; do sleep 0.1; done"
    command, env = client_command(container.id, ["sh", "-c", text], {})
    login = "import os,sys,fcntl,termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
    process = subprocess.Popen(
        [sys.executable, "-c", login, *command],
        env={**env, "TERM": "xterm"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    said = b""

    def hear(what):
        nonlocal said
        deadline = time.monotonic() + PATIENCE_S
        while what not in said:
            assert time.monotonic() < deadline, said
            if select.select([ours], [], [], 0.1)[0]:
                said += os.read(ours, 4096)

    hear(b"31 91\r\n")
    assert not termios.tcgetattr(theirs)[3] & termios.ICANON
    fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("4H", 20, 50, 0, 0))
    hear(b"20 50\r\n")
    os.write(ours, b"\3")
    hear(b"interrupted\r\n")
    assert process.wait(PATIENCE_S) == 5
    assert termios.tcgetattr(theirs) == before
    os.close(ours)
    os.close(theirs)
