"""Answers are understood whatever the pieces in which they come."""

import socket
import threading

import pytest

from harness.backends.docker.http import HttpConnection

HEAD = b"HTTP/1.1 200 OK\r\nApi-Version: 1.44\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n4\r\n[1,2\r\n3;ext=1\r\n,3]\r\n0\r\nTrailer: x\r\n\r\n"
LONG = HEAD + b"Content-Length: 7\r\n\r\n[1,2,3]"
STREAM = b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\n\r\n"


@pytest.fixture
def answering():
    """A connection to a server that answers every request with these pieces."""
    ours, theirs = socket.socketpair()
    ours.settimeout(5)

    def made(*pieces, requests=1):
        def serve():
            for _ in range(requests):
                heard.append(theirs.recv(1 << 16))
                for piece in pieces:
                    theirs.sendall(piece)
            theirs.close()

        thread.append(threading.Thread(target=serve, daemon=True))
        thread[0].start()
        return HttpConnection(ours)

    heard, thread = [], []
    made.heard = heard
    with ours:
        yield made
    thread[0].join(5)


@pytest.mark.parametrize("answer", [CHUNKED, LONG], ids=["chunked", "length"])
@pytest.mark.parametrize("size", [1, 5, 1000])
def test_two_requests_over_one_connection(answering, answer, size):
    connection = answering(*(answer[at : at + size] for at in range(0, len(answer), size)), requests=2)
    for _ in range(2):
        found = connection.request("GET", "/x", None, {})
        assert (found.status, found.headers["api-version"], found.body) == (200, "1.44", b"[1,2,3]")


def test_a_request_is_whole(answering):
    answering(LONG).request("POST", "/v1.44/x?y=1", b"{}", {"Content-Type": "application/json"})
    assert answering.heard == [
        b"POST /v1.44/x?y=1 HTTP/1.1\r\nHost: docker\r\nContent-Length: 2\r\nContent-Type: application/json\r\n\r\n{}"
    ]


def test_what_comes_with_the_answer_of_a_stream_is_kept(answering):
    answer = answering(STREAM + b"\1\0\0\0").request("POST", "/exec/1/start", b"{}", {}, stream=True)
    assert (answer.status, answer.body) == (101, b"\1\0\0\0")


def test_a_refused_stream_has_a_whole_body(answering):
    refusal = b"HTTP/1.1 409 Conflict\r\nContent-Length: 2\r\n\r\n{}"
    answer = answering(refusal[:30], refusal[30:]).request("POST", "/exec/1/start", b"{}", {}, stream=True)
    assert (answer.status, answer.body) == (409, b"{}")


@pytest.mark.parametrize(
    "text", [b"SSH-2.0-OpenSSH\r\n\r\n", HEAD + b"Content-Length: many\r\n\r\n", b"HTTP/1.1 ok\r\n\r\n"]
)
def test_what_is_not_http(answering, text):
    with pytest.raises(ValueError, match=r"SSH|many|ok"):
        answering(text).request("GET", "/x", None, {})


def test_an_answer_that_ends_in_the_middle(answering):
    with pytest.raises(ConnectionError):
        answering(LONG[:-1]).request("GET", "/x", None, {})
