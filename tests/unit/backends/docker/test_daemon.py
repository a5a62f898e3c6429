"""A daemon that goes away in the middle of an answer, or is none: one line, the right exit code."""

import re
import socket
import threading

import pytest

from harness.backends.docker.daemon import DockerDaemon
from harness.errors import UnavailableError

PING = b"HTTP/1.1 200 OK\r\nApi-Version: 1.44\r\nContent-Length: 2\r\n\r\nOK"
HALF = b"HTTP/1.1 %d Whatever\r\nApi-Version: 1.44\r\nContent-Length: 100\r\n\r\n[{"
CHUNK = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n40\r\n[{"
PAGE = b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n<html/>"
ODD = b"HTTP/1.1 200 OK\r\nApi-Version: of late\r\nContent-Length: 2\r\n\r\nOK"


@pytest.fixture
def says(tmp_path):
    """Has a daemon give these answers, and go away; its address."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "docker.sock"))
        server.listen()
        threads = []

        def serve(answers):
            client, _ = server.accept()
            with client:
                for answer in answers:
                    client.recv(1 << 16)
                    client.sendall(answer)

        def start(*answers):
            threads.append(threading.Thread(target=serve, args=[answers], daemon=True))
            threads[-1].start()
            return {"DOCKER_HOST": f"unix://{tmp_path}/docker.sock"}

        yield start
        for thread in threads:
            thread.join(5)


@pytest.mark.parametrize("answer", [HALF % 200, HALF % 500, CHUNK, b"HTTP/1.1", b""])
def test_a_daemon_that_goes_away_in_the_middle_of_an_answer(says, answer):
    environ = says(PING, answer)
    daemon = DockerDaemon(environ)
    gone = f"^no Docker daemon answers at {re.escape(environ['DOCKER_HOST'])} \\(.+\\); start it, or set DOCKER_HOST$"
    with pytest.raises(UnavailableError, match=gone):
        daemon.ask("GET", "/containers/json")


def test_a_daemon_that_goes_away_at_once(says):
    with pytest.raises(UnavailableError, match="no Docker daemon answers at"):
        DockerDaemon(says(HALF % 200))


def test_what_is_no_daemon(says):
    daemon = DockerDaemon(says(PING, PAGE))
    with pytest.raises(UnavailableError, match=r"^what answers at .* is not a Docker daemon .*; set DOCKER_HOST"):
        daemon.ask("GET", "/containers/json")


def test_a_version_that_is_none(says):
    with pytest.raises(UnavailableError, match=r"is not a Docker daemon .*of late"):
        DockerDaemon(says(ODD))
