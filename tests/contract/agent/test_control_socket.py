"""The command line talks to an agent as through docker exec: over a process with pipes."""

import asyncio
import contextlib
import fcntl
import json
import os
import resource
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from ipaddress import IPv4Address
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.agent.control_socket import ADDRESS, open_control_port, open_control_socket
from harness.agent.job import NOBODY
from harness.agent.manage_network import PORT
from harness.backends.docker.agents import AgentConnection, Agents
from harness.backends.docker.exec import shim
from harness.backends.docker.exec.connection import CONTROL_CLIENT
from harness.backends.docker.exec.streams import BOOT, SHIM
from harness.errors import InputError, NodeError
from harness.linux.programs import HELPER
from tests.support.cli import wait_for

MANY = 1500


def answer(message):
    match message["do"]:
        case "fail":
            raise NodeError(3, "shape edge 3->4", "the kernel refused", "load sch_netem")
        case "misread":
            raise InputError("the agent has no request 'misread'")
        case "where":
            return {"address": f"127.0.0.{message['rank'] + 1}"}
    return {"heard": message["do"]}


def visit(*messages, keep_open=False):
    """The answers to these messages, standard error, and how often the agent saw a holder leave."""
    left = []

    async def scene():
        server = await open_control_socket(answer, {"hold": lambda: left.append(True)})
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-I", "-S", "-c", CONTROL_CLIENT,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, limit=1 << 23,
        )  # fmt: skip
        try:
            answers = []
            for message in messages:
                process.stdin.write(json.dumps(message).encode() + b"\n")
                line = await asyncio.wait_for(process.stdout.readline(), 30)
                answers.append(json.loads(line) if line else None)
            process.kill() if keep_open else process.stdin.close()
            await process.wait()
            await asyncio.sleep(0.1)
            return answers
        finally:
            server.close()

    return asyncio.run(scene()), left


def test_several_letters_over_one_connection():
    assert visit({"do": "a"}, {"do": "b"})[0] == [{"heard": "a"}, {"heard": "b"}]


def test_errors_travel_with_their_parts():
    failed, misread, next_one = visit({"do": "fail"}, {"do": "misread"}, {"do": "a"})[0]
    assert failed["error"] == {"action": "shape edge 3->4", "cause": "the kernel refused", "remedy": "load sch_netem"}
    assert "has no request" in misread["error"]["cause"]
    assert next_one == {"heard": "a"}, "an error ends no conversation"


def test_a_large_letter_passes_whole():
    assert visit({"do": "x" * 3_000_000})[0] == [{"heard": "x" * 3_000_000}]


@pytest.mark.parametrize(
    ("messages", "leaves"),
    [(["a"], 0), (["hold"], 1), (["hold", "a"], 1)],
)
@pytest.mark.parametrize("killed", [False, True])
def test_who_holds_the_network_and_leaves_is_noticed(messages, leaves, killed):
    _, left = visit(*({"do": one} for one in messages), keep_open=killed)
    assert len(left) == leaves


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")
def test_another_user_is_not_heard():
    async def scene():
        server = await open_control_socket(answer, {})
        stranger = socket.socket(socket.AF_UNIX)
        os.seteuid(65534)
        try:
            stranger.connect(ADDRESS)
        finally:
            os.seteuid(0)
        stranger.settimeout(5)
        stranger.sendall(b'{"do":"a"}\n')
        try:
            return await asyncio.to_thread(stranger.recv, 100)
        except ConnectionResetError:
            return b""
        finally:
            server.close()

    assert asyncio.run(scene()) == b""


def test_nobody_answers_where_there_is_no_agent():
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", CONTROL_CLIENT], input=b"", capture_output=True, timeout=20
    )
    assert done.returncode == 1
    assert b"its agent does not answer" in done.stderr


@pytest.fixture
def line():
    """A connection to an agent, with a file descriptor too large for select; and the agent's end of it."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limits[1] <= MANY:
        pytest.skip("may not open so many files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(limits[0], MANY + 1), limits[1]))
    low, theirs = socket.socketpair()
    with low, theirs, socket.socket(fileno=fcntl.fcntl(low, fcntl.F_DUPFD_CLOEXEC, MANY)) as ours:
        low.close()
        ours.setblocking(False)
        theirs.settimeout(5)
        made = AgentConnection(3, "c0ffee")
        made._process = SimpleNamespace(socket=ours)
        agents = Agents({})
        agents._lines[3] = made
        yield (lambda message: agents.ask({3: message})[3]), theirs
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def framed(text):
    return b"\1\0\0\0" + len(text).to_bytes(4, "big") + text


def test_a_process_with_many_open_files_hears_an_agent(line):
    ask, theirs = line
    heard = []

    def agent():
        with theirs.makefile("rb") as messages:
            heard.append(json.loads(messages.readline()))
        theirs.sendall(framed(b'{"well":') + framed(b"1}\n"))

    thread = threading.Thread(target=agent)
    thread.start()
    message = {"do": "x" * 3_000_000}  # more than the connection takes at once
    assert ask(message) == {"well": 1}
    thread.join()
    assert heard == [message]


def test_an_agent_that_goes_away(line):
    ask, theirs = line
    theirs.sendall(b"\2" + framed(b"no such container")[1:])
    theirs.shutdown(socket.SHUT_WR)
    assert "node 3: ask its agent to a: no such container" in str(ask({"do": "a"}))


@pytest.fixture
def connected():
    """A new connection and the agent's end of it, at each call."""
    made, ends = AgentConnection(3, "c0ffee"), []
    agents = Agents({})
    agents._lines[3] = made

    def again():
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        ends.extend((ours, theirs))
        made._process = SimpleNamespace(socket=ours)
        return theirs

    yield made, (lambda: str(agents.ask({3: {"do": "a"}})[3])), again
    for end in ends:
        end.close()


def test_an_error_is_not_repeated_in_the_next_one(connected):
    """A command that waits for a container asks five times a second."""
    _, ask, again = connected
    for _ in range(2):
        theirs = again()
        theirs.sendall(b"\2" + framed(b"its agent does not answer\n")[1:])
        theirs.shutdown(socket.SHUT_WR)
        error = ask()
    assert error.count("its agent does not answer") == 1


def test_a_rank_elsewhere_that_took_long_to_be_found_gone_is_not_asked_again_at_once(monkeypatch):
    """Each request would take as long: a change of a link asks twice."""
    made, agents, opened = AgentConnection(6, "c0ffee", "train_rank-6"), Agents({}), []
    agents._lines[6] = made

    def elsewhere(*_):
        ours, theirs = socket.socketpair()
        opened.append(ours)

        def end():
            theirs.recv(100)
            theirs.sendall(b"\2" + framed(b"rank 6 is gone (timed out)\n")[1:])
            theirs.close()

        threading.Timer(0.3, end).start()
        ours.setblocking(False)
        return SimpleNamespace(socket=ours, early=b"")

    monkeypatch.setattr("harness.backends.docker.agents.ExecSocket", elsewhere)
    monkeypatch.setattr("harness.backends.docker.agents.DockerDaemon", lambda _: None)
    monkeypatch.setattr("harness.backends.docker.agents._SLOW_SECONDS", 0.2)
    for asked in ("state", "apply"):
        error = agents.ask({6: {"do": asked}})[6]
        assert f"node 6: ask its agent to {asked}: rank 6 is gone (timed out); docker service ps" in str(error)
    assert len(opened) == 1
    monkeypatch.setattr("harness.backends.docker.agents._SLOW_SECONDS", 20)
    made._gone_until = 0.0
    for _ in range(2):
        agents.ask({6: {"do": "state"}})
    assert len(opened) == 3, "what is refused at once may be there a moment later"


def test_a_connection_that_broke_is_not_used_again(connected):
    made, ask, again = connected
    again().close()
    assert "node 3: ask its agent to a: Broken pipe" in ask()
    assert made._process is None


def test_a_container_that_ends_while_the_process_in_it_starts(line):
    ask, theirs = line
    theirs.sendall(framed(b"OCI runtime exec failed: container has ended\r\n"))
    assert "node 3: ask its agent to a: OCI runtime exec failed: container has ended; is its" in str(ask({"do": "a"}))


def test_an_agent_that_says_nothing(line, monkeypatch):
    monkeypatch.setattr("harness.backends.docker.agents._ANSWER_SECONDS", 0.1)
    assert "node 3: ask its agent to a: no answer in 0 s; is its container paused" in str(line[0]({"do": "a"}))


OTHER, OURS, NOBODYS = "127.0.0.1", "127.0.0.2", "127.0.0.3"


@contextlib.asynccontextmanager
async def agent_of_another_machine(gone):
    """The agents of rank 1 and of rank 0, which knows the address of rank 1 and has the address OTHER."""
    visitors = [IPv4Address(OTHER), IPv4Address(OURS)]
    async with await open_control_socket(answer, {}), await open_control_port(answer, gone, (OURS, PORT), visitors):
        yield


async def remote_client(rank="1"):
    """The program that docker exec runs in the container of rank 0."""
    return await asyncio.create_subprocess_exec(
        sys.executable, "-I", "-S", "-c", CONTROL_CLIENT, rank,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, limit=1 << 23,
    )  # fmt: skip


@pytest.mark.parametrize(("visitor", "heard"), [(OTHER, [b'{"heard":"a"}\n']), (OURS, []), (NOBODYS, [])])
def test_only_other_agents_are_heard_and_not_jobs_beside_one(visitor, heard):
    """A job can always connect to its own node's address, so the agent accepts nothing from there."""

    async def scene():
        left = []
        async with agent_of_another_machine({"a": lambda: left.append(True)}):
            reader, writer = await asyncio.open_connection(OURS, PORT, local_addr=(visitor, 0))
            writer.write(b'{"do":"a"}\n')
            writer.write_eof()
            with suppress(ConnectionResetError):
                assert [line async for line in reader] == heard
            writer.close()
            await asyncio.sleep(0.05)
            assert left == [True] * len(heard)

    asyncio.run(scene())


def test_an_agent_of_another_machine_is_asked_through_ours_and_a_large_letter_passes_whole():
    async def scene():
        async with agent_of_another_machine({}):
            client = await remote_client()
            for text in ("a", "x" * 3_000_000):
                client.stdin.write(json.dumps({"do": text}).encode() + b"\n")
                assert json.loads(await asyncio.wait_for(client.stdout.readline(), 30)) == {"heard": text}
            client.stdin.close()
            assert await client.wait() == 0

    asyncio.run(scene())


def test_a_machine_that_is_switched_off_meanwhile_is_noticed():
    """TCP keepalive notices that it is gone; otherwise a command that waits for a program there would never end."""

    async def scene():
        async with agent_of_another_machine({}):
            client = await remote_client()
            client.stdin.write(b'{"do": "a"}\n')
            await client.stdout.readline()
            rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()]
            timers = [row[5][:2] for row in rows if row[2] == "0200007F:728A" and row[3] == "01"]
            client.stdin.close()
            await client.wait()
            return timers

    assert asyncio.run(scene()) == ["02"], "a timer for keepalive (net/ipv4/tcp_ipv4.c: get_tcp4_sock)"


def test_a_rank_that_is_gone_is_named():
    async def scene():
        async with agent_of_another_machine({}):
            return await (await remote_client("2")).communicate()

    assert asyncio.run(scene()) == (b"", b"rank 2 is gone, or its machine does not answer (Connection refused)\n")


async def started(client, argv):
    """Let the agent start the shim, and the shim the program."""
    boot = ["python3", "-I", "-S", "-c", BOOT, HELPER]
    client.stdin.write(json.dumps({"do": "exec", "argv": boot}).encode() + b"\n")
    assert json.loads(await asyncio.wait_for(client.stdout.readline(), 30)) == {}
    start = {"argv": argv, "env": {"ASKED": "yes"}, "cwd": None, "tty": None}
    client.stdin.write(SHIM + shim.frame(shim.START, json.dumps(start).encode()))


async def frames_until(client, wanted):
    """All frames up to one that matches."""
    frames, found = shim.Frames(), []
    while not any(wanted(*one) for one in found):
        data = await asyncio.wait_for(client.stdout.read(1 << 16), 30)
        assert data, f"the connection ended: {found}"
        found += frames.feed(data)
    return found


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")
def test_a_program_on_another_machine_is_a_jobs_and_has_its_streams_and_exit_code():
    script = (
        "import os, sys; print(os.getuid(), os.getgroups(), os.environ['ASKED'], sys.stdin.read());"
        "print([line.split()[1] for line in open('/proc/self/status') if line.startswith('CapEff')]);"
        "inodes = {line.split()[9] for line in list(open('/proc/net/tcp'))[1:]};"
        "held = {os.readlink(f'/proc/{os.getppid()}/fd/{fd}')[8:-1] for fd in (0, 1)};"
        "print('root\\'s connection' if inodes & held else 'its own');"
        "print('oh', file=sys.stderr); sys.exit(7)"
    )

    async def scene():
        async with agent_of_another_machine({}):
            client = await remote_client()
            await started(client, ["python3", "-c", script])
            client.stdin.write(shim.frame(shim.DATA, b"hello") + shim.frame(shim.EOF))
            found = await frames_until(client, lambda kind, _: kind == shim.EXIT)
            client.stdin.close()
            await client.wait()
            return found

    found = asyncio.run(scene())
    said = {of: b"".join(payload for kind, payload in found if kind == of) for of in (shim.STDOUT, shim.STDERR)}
    assert said[shim.STDOUT].decode() == f"{NOBODY} [] yes hello\n['0000000000000000']\nits own\n"
    assert said[shim.STDERR] == b"oh\n"
    assert found[-1] == (shim.EXIT, b"\x07")


@pytest.mark.parametrize("how", ["signal", "client killed"])
def test_a_program_on_another_machine_takes_signals_and_ends_with_its_client(how):
    async def scene():
        async with agent_of_another_machine({}):
            client = await remote_client()
            await started(client, ["python3", "-c", "import os, time; print(os.getpid(), flush=True); time.sleep(99)"])
            found = await frames_until(client, lambda kind, _: kind == shim.STDOUT)
            pid = next(payload for kind, payload in found if kind == shim.STDOUT)
            if how == "signal":
                client.stdin.write(shim.frame(shim.SIGNAL, bytes([15])))
                found = await frames_until(client, lambda kind, _: kind == shim.EXIT)
                assert found[-1] == (shim.EXIT, bytes([128 + 15]))
            client.kill()
            await client.wait()
            await asyncio.to_thread(wait_for, lambda: not os.path.exists(f"/proc/{int(pid)}"))

    asyncio.run(scene())


def test_a_program_that_cannot_be_started_there_is_an_error():
    async def scene():
        async with agent_of_another_machine({}):
            client = await remote_client()
            client.stdin.write(b'{"do": "exec", "argv": ["/no/such/program"]}\n')
            error = json.loads(await asyncio.wait_for(client.stdout.readline(), 30))["error"]
            client.stdin.close()
            await client.wait()
            assert error["cause"] == "cannot start '/no/such/program': No such file or directory"

    asyncio.run(scene())
