"""A conversation with a shaper daemon outlives that one, and never takes one answer for another."""

import contextlib
import json
import os
import socket
import threading

import pytest

from harness.errors import UnavailableError
from harness.shaping.userspace import control, control_address
from harness.shaping.userspace.control import Conversation


@pytest.fixture
def daemons(monkeypatch):
    """Daemons, one after the other, each of which answers so many requests with what they ask, and ends."""
    address = f"\0test-control-{os.getpid()}"
    monkeypatch.setattr(control_address, "ADDRESS", address)
    monkeypatch.setattr(control, "ADDRESS", address)
    threads = []
    with control_address.listen() as listener:
        listener.setblocking(True)

        def serve(lives):
            for answers in lives:
                connection, _ = listener.accept()
                with connection, contextlib.suppress(OSError):
                    for _ in range(answers):
                        request = json.loads(connection.recv(1000))
                        connection.sendall(json.dumps({"answer": request["do"]}).encode() + b"\n")

        def start(*lives):
            threads.append(threading.Thread(target=serve, args=(lives,), daemon=True))
            threads[-1].start()

        yield start
        for thread in threads:
            thread.join(5)


@pytest.fixture
def conversation():
    made = Conversation()
    yield made
    made.close()


def test_a_daemon_that_ends_before_it_answers_is_followed_by_the_next(daemons, conversation):
    daemons(2, 0, 1)
    for number in range(3):
        conversation.send({"do": number})
        assert conversation.receive() == {"answer": number}


def test_an_answer_that_nobody_waited_for_is_no_answer_to_the_next_request(daemons, conversation):
    """Ctrl-C came, or another node refused."""
    daemons(1, 1)
    conversation.send({"do": "first"})
    conversation.send({"do": "second"})
    assert conversation.receive() == {"answer": "second"}


def test_where_none_comes_it_is_one_clear_error(daemons, conversation, monkeypatch):
    """The kernel has accepted the connection; nobody else does."""
    monkeypatch.setattr(control, "_ANSWER_SECONDS", 0.1)
    conversation.send({"do": "read"})
    with pytest.raises(UnavailableError, match="has not answered for 0 s"):
        conversation.receive()


def test_an_answer_larger_than_a_socket_has_room_for_arrives_whole():
    """What a node with 600 neighbours holds: the rest was lost, and waited for."""
    line = bytes(range(1, 256)) * 8000 + b"\n"
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(5)
        theirs.settimeout(5)
        sender = threading.Thread(target=control.send_line, args=(ours, line, []))
        sender.start()
        found = b""
        while len(found) < len(line):
            found += theirs.recv(1 << 16)
        sender.join()
    assert found == line
