"""What a command costs the Docker daemon: containers are listed once, and every agent that it asks is one exec."""

import os
import re
import socket
import threading
from contextlib import suppress

import pytest

from tests.support.cli import Command
from tests.support.live import addressing, own

pytestmark = [pytest.mark.docker]

IMAGE = os.environ.get("IMAGE", "harness-node")
SUBNETS = ("--subnet", str(addressing().ipv4_net), "--subnet6", str(addressing().ipv6_net))


class Proxy:
    """Passes on what comes to a socket to the real daemon's, and remembers what was asked over each connection."""

    def __init__(self, path, target):
        self.asked = []
        self._target = target
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(path))
        self._server.listen(16)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            client, _ = self._server.accept()
            daemon = socket.socket(socket.AF_UNIX)
            daemon.connect(self._target)
            self.asked.append([])
            threading.Thread(target=self._pass_on, args=(client, daemon, self.asked[-1]), daemon=True).start()
            threading.Thread(target=self._pass_on, args=(daemon, client, None), daemon=True).start()

    def _pass_on(self, source, target, asked):
        with suppress(OSError):
            while data := source.recv(1 << 16):
                if asked is not None:
                    asked += re.findall(rb"(?:GET|POST) (?:/v[\d.]+)?(/[^ ?]*)", data)
                target.sendall(data)
        for one in (source, target):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


@pytest.fixture(scope="module")
def real():
    return os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock").removeprefix("unix://")


@pytest.mark.parametrize(
    ("words", "agents"),
    [
        (("link", "set", "0-1", "--delay", "7ms"), {1, 2}),
        (("link", "show", "1-2"), {1, 2, 3}),
        (("link", "set", "all", "--delay", "9ms"), {1, 2, 3}),
        (("link", "set", "0-1", "--loss", "1%", "--dry-run"), {1}),
    ],
)
def test_one_listing_and_one_exec_per_agent(network, real, tmp_path, words, agents):
    command, name = network
    proxy = Proxy(tmp_path / "docker.sock", real)
    env, command.env = command.env, {**command.env, "DOCKER_HOST": f"unix://{tmp_path}/docker.sock"}
    try:
        command(*words, "--name", name)
    finally:
        command.env = env
    asked = [path.decode() for connection in proxy.asked for path in connection]
    assert asked.count("/containers/json") == 1, proxy.asked
    assert sum(path.endswith("/exec") for path in asked) == len(agents), proxy.asked
    assert len(proxy.asked) == len(agents), "the connection that listed containers is the first agent's"


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    command, name = Command(tmp_path_factory.mktemp("state")), own("connections")
    command("up", "--runtime", "docker", "--image", IMAGE, "-n", "3", "-p", "wan", "--name", name, *SUBNETS)
    yield command, name
    command("down", "--name", name)
