"""What the proxy says where the daemon does not answer, or not as wished: one line, the right exit code."""

import json

import pytest

from harness.backends.docker.daemon import DockerDaemon
from harness.backends.docker.exec.connection import ExecSocket
from harness.errors import HarnessError, InputError, PrivilegeError, UnavailableError
from tests.support.unix_http import Handler, served


class Daemon(Handler):
    """Answers pings, and refuses everything else."""

    api, status, message = "1.41", 500, "no"

    def do_GET(self):
        self.answer(200, b"OK")

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(self.status, json.dumps({"message": self.message}).encode())

    def answer(self, status, body):
        if status == 0:
            self.close_connection = True
            return
        self.send_response(status)
        self.send_header("Api-Version", self.api)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def daemon(tmp_path):
    class Mine(Daemon):
        pass

    with served(tmp_path, Mine) as Mine.host:
        yield Mine


def start(host, whose=None, **environ):
    return ExecSocket(DockerDaemon({"DOCKER_HOST": host, **environ}), "c0ffee", "1:1", ["true"], whose)


@pytest.mark.parametrize(
    ("status", "message", "error", "said"),
    [
        (404, "No such container: c0ffee", HarnessError, "container c0ffee: it is gone"),
        (409, "Container c0ffee is paused, unpause it", HarnessError, "run 'docker unpause'"),
        (409, "Container c0ffee is not running", HarnessError, "start its network again"),
        (403, "authorization denied by plugin", PrivilegeError, "denied by plugin"),
        (500, "disk full", HarnessError, "disk full"),
    ],
)
def test_a_refusal(daemon, status, message, error, said):
    daemon.status, daemon.message = status, message
    with pytest.raises(HarnessError, match=said) as caught:
        start(daemon.host)
    assert type(caught.value) is error


def test_an_old_daemon(daemon):
    daemon.api = "1.24"
    with pytest.raises(UnavailableError, match=r"speaks API 1\.24; 1\.41 is needed"):
        start(daemon.host)


@pytest.mark.parametrize("host", ["unix:///no/such.sock", "tcp://127.0.0.1:1", "ssh://nobody@127.0.0.1:1"])
def test_no_daemon(host):
    with pytest.raises(UnavailableError, match=r"no Docker daemon answers at .*; start it, or set DOCKER_HOST"):
        start(host)


def test_a_daemon_that_ends_meanwhile(daemon):
    daemon.status = 0
    with pytest.raises(UnavailableError, match="no Docker daemon answers"):
        start(daemon.host)


def test_a_socket_that_we_may_not_open(monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("socket.socket.connect", refuse)
    with pytest.raises(PrivilegeError, match="join the group docker"):
        start("unix:///var/run/docker.sock")


@pytest.mark.parametrize("host", ["tcp://here", "fd://3", "tcp://here:port", "npipe:////./pipe/docker"])
def test_a_daemon_address_that_makes_no_sense(host):
    with pytest.raises(InputError, match="DOCKER_HOST="):
        start(host)


def test_certificates_that_are_missing(tmp_path):
    with pytest.raises(UnavailableError, match="certificates for Docker in"):
        start("tcp://127.0.0.1:1", DOCKER_TLS_VERIFY="1", DOCKER_CERT_PATH=str(tmp_path))


def test_a_node_is_called_by_its_rank(daemon):
    daemon.status, daemon.message = 409, "Container c0ffee is paused, unpause it"
    with pytest.raises(HarnessError, match=r"^node 1: .*docker unpause"):
        start(daemon.host, "node 1")
