"""The command line outside and an agent, as docker exec joins them: over a process with pipes."""

import asyncio
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
from types import SimpleNamespace

import pytest

from harness.agent.control_socket import ADDRESS, open_control_port, open_control_socket
from harness.backends.docker.agents import CONTROL_CLIENT, AgentConnection, Agents
from harness.errors import InputError, NodeError

MANY = 1500


def answer(message):
    match message["do"]:
        case "fail":
            raise NodeError(3, "shape edge 3->4", "the kernel refused", "load sch_netem")
        case "misread":
            raise InputError("the agent has no request 'misread'")
    return {"heard": message["do"]}


def visit(*messages, keep_open=False):
    """Answers to these messages, what it said on standard error, and how often the agent saw a holder leave."""
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
    """To an agent, with a file number beyond those that select takes; and its end of the connection."""
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
    """A conversation that was begun anew, and its end of the connection; call it again for the next one."""
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
    """Whoever waits for a container asks five times a second."""
    _, ask, again = connected
    for _ in range(2):
        theirs = again()
        theirs.sendall(b"\2" + framed(b"its agent does not answer\n")[1:])
        theirs.shutdown(socket.SHUT_WR)
        error = ask()
    assert error.count("its agent does not answer") == 1


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


@pytest.mark.parametrize(("known", "heard"), [("127.0.0.1", [b'{"heard":"a"}\n']), ("127.0.0.2", [])])
def test_agents_of_other_machines_are_asked_by_tcp_by_agents_alone(known, heard):
    async def scene():
        left = []
        server = await open_control_port(
            answer, {"a": lambda: left.append(True)}, ("127.0.0.1", 0), [IPv4Address(known)]
        )
        async with server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            writer.write(b'{"do":"a"}\n')
            writer.write_eof()
            with suppress(ConnectionResetError):
                assert [line async for line in reader] == heard
            writer.close()
            await asyncio.sleep(0.05)
            assert left == [True] * len(heard)

    asyncio.run(scene())
