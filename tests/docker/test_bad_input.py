"""What cannot work ends soon, with one clear line that says what to do, and leaves nothing behind."""

import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import UnixStreamServer

import pytest

from harness.backends.docker.create import CAPABILITIES
from tests.support.cli import HARNESS, Command, error_line, wait_for
from tests.support.compose import IMAGE, PATIENCE, docker, left, project, remove, subnets, took

pytestmark = pytest.mark.docker

QUICK = 60
"""Seconds for what need not wait for anybody, in a User-Mode Linux guest too."""


@pytest.fixture
def name():
    made = f"htest-{secrets.token_hex(4)}"
    yield made
    remove(made)


@pytest.fixture
def command(tmp_path, name):
    made = Command(tmp_path / "state")
    made.env |= {"HARNESS_NAME": name, "HARNESS_RUNTIME": "docker"}
    if engine := os.environ.get("HARNESS_ENGINE"):
        made.env["ENGINE"] = engine
    return made


def free():
    subnet, subnet6 = subnets()
    return ["--subnet", subnet, "--subnet6", subnet6]


def assert_told(command, words, code, *texts):
    """Exit code ``code`` soon, and one line with these texts."""
    began = time.monotonic()
    result = command(*words, code=code)
    assert took(began) < QUICK
    assert result.stdout == ""
    line = error_line(result.stderr)
    for text in texts:
        assert text in line


def assert_noted(command, text):
    """What asks for a network that is not up tells of Docker as well: it might have been there."""
    for words in (["link", "show"], ["verify"]):
        error, note = command(*words, code=3).stderr.strip().splitlines()
        assert "is not up" in error
        assert text in note


# The daemon


def test_no_daemon(command, tmp_path):
    command.env["DOCKER_HOST"] = f"unix://{tmp_path}/nobody.sock"
    for words in (["up", "-n", "2"], ["run", "-n", "2", "--", "true"]):
        assert_told(command, words, 69, "no Docker daemon answers", "DOCKER_HOST")
    assert_noted(command, "no Docker daemon answers")


def test_no_permission(command):
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as server:
        Path(folder).chmod(0o1777)
        server.bind(f"{folder}/docker.sock")
        server.listen()
        Path(folder, "docker.sock").chmod(0o600)
        command.env |= {"DOCKER_HOST": f"unix://{folder}/docker.sock", "HARNESS_STATE_DIR": f"{folder}/state"}
        command.env["PYTHONDONTWRITEBYTECODE"] = "1"
        command.wrapper = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
        for words in (["up", "-n", "2"], ["run", "-n", "2", "--", "true"]):
            assert_told(command, words, 77, "Docker", "group")
        assert_noted(command, "group")


class OldDaemon(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Api-Version", "1.40")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"OK" if "_ping" in self.path else b"{}")

    do_HEAD = do_GET

    def log_message(self, *_):
        pass

    def address_string(self):
        return "a client"


def test_a_daemon_too_old(command, tmp_path):
    path = tmp_path / "old.sock"
    with UnixStreamServer(str(path), OldDaemon) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        command.env["DOCKER_HOST"] = f"unix://{path}"
        assert_told(command, ["up", "-n", "2"], 69, "1.40", "20.10")
        assert_noted(command, "20.10")
        server.shutdown()


# harness up


def test_no_image(command, name):
    for words in (["up", "-n", "2", "--image", "nope", *free()], ["run", "-n", "2", "--image", "nope", "--", "true"]):
        assert_told(command, words, 69, "'nope'", "harness image build")
    assert left(name) == []


@pytest.mark.skipif(bool(shutil.which("nvidia-container-cli")), reason="this Docker has GPUs to give")
def test_gpus_that_docker_does_not_have(command, name):
    assert_told(command, ["up", "-n", "2", "--gpus", "all", *free()], 69, "container toolkit", "--gpus")
    assert left(name) == []


@contextlib.contextmanager
def image(*lines):
    """An image made from ours."""
    recipe = "\n".join((f"FROM {IMAGE}", *lines))
    made = subprocess.check_output(["docker", "build", "-q", "-"], input=recipe, text=True, timeout=PATIENCE).strip()
    try:
        yield made
    finally:
        docker("rmi", made, code=None)


def test_an_image_without_an_agent(command, name):
    with image("ENV PATH=/usr/bin:/bin") as made:
        assert_told(command, ["up", "-n", "2", "--image", made, *free()], 70, "harness-node", "PATH")
        assert left(name) == []


def test_the_command_of_a_users_image_is_no_job(command, name):
    with image("RUN echo mine >/mine", "ENTRYPOINT []", "CMD false") as made:
        command("up", "-n", "2", "--image", made, *free())
        assert command("exec", "0", "--", "cat", "/mine").stdout == "mine\n"
        command("down", "--name", name)
        assert left(name) == []


def test_a_subnet_that_is_taken(command, name):
    subnet, subnet6 = subnets()
    other = f"{name}-other"
    docker("network", "create", "--subnet", subnet, "--label", f"com.docker.compose.project={other}", other)
    try:
        words = ["up", "-n", "2", "--subnet", subnet, "--subnet6", subnet6]
        assert_told(command, words, 3, "taken by another network", "--subnet")
        assert left(name) == []
    finally:
        remove(f"{name}-other")


def test_too_many_nodes_for_the_subnet(command, name):
    assert_told(command, ["up", "-n", "20", "--subnet", "10.251.0.0/28"], 2, "10.251.0.0/28", "20")
    assert left(name) == []


def test_names_that_are_taken(command, name):
    docker("create", "--name", f"harness-{name}-node-2", "--label", f"com.docker.compose.project={name}-other", IMAGE)
    try:
        assert_told(command, ["up", "-n", "2", *free()], 3, f"harness-{name}-node-2", "--name")
        assert left(name) == []
    finally:
        remove(f"{name}-other")


# docker compose up


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"PROFILE": "wann"}, ["wann", "wan"]),
        ({"PROFILE": "/work/none.yaml"}, ["/work/none.yaml"]),
        pytest.param({"TOPOLOGY": "rings"}, ["rings", "ring"], marks=pytest.mark.full),
        pytest.param({"ENGINE": "magic"}, ["magic", "netem"], marks=pytest.mark.full),
        ({"CONGESTION_CONTROL": "reno7"}, ["reno7"]),
        pytest.param({"ON_FAILURE": "pause"}, ["ON_FAILURE=pause", "continue"], marks=pytest.mark.full),
        pytest.param({"MASTER_PORT": "http"}, ["MASTER_PORT=http", "65535"], marks=pytest.mark.full),
        ({"TOPOLOGY": "regions:2", "TRUNK": "1gbit"}, ["containers cannot share a trunk", "islands"]),
    ],
)
def test_variables_that_make_no_sense(tmp_path, variables, words):
    with project(tmp_path, **{"NODES": 2, "COMMAND": "true", **variables}) as net:
        began = time.monotonic()
        done = net.compose("up", "--abort-on-container-exit", "--exit-code-from", "node", code=None)
        assert took(began) < QUICK
        assert done.returncode == 2, done.stderr
        lines = {line for line in net.logs().splitlines() if "harness: " in line}
        assert any(all(word in line for word in words) for line in lines), lines
        assert "Traceback" not in net.logs()
        net.compose("down")
        assert left(net.name) == []


def test_no_nodes_at_all(tmp_path):
    with project(tmp_path, NODES=0, COMMAND="true") as net:
        done = net.compose("up", "--exit-code-from", "node", code=None)
        assert done.returncode not in (0, None)
        assert "1-0" in done.stderr


def test_a_folder_for_jobs_that_is_not_there_is_not_made(tmp_path):
    with project(tmp_path, NODES=1, COMMAND="true", WORK=tmp_path / "nothere") as net:
        assert "nothere" in net.compose("up", "--exit-code-from", "node", code=None).stderr
        assert not (tmp_path / "nothere").exists()


def test_more_nodes_than_compose_has_addresses_for(tmp_path):
    with project(tmp_path, NODES=8, COMMAND="true") as net:
        net.variables["SUBNET"] = net.subnet.replace(".0/24", ".0/29")
        began = time.monotonic()
        done = net.compose("up", "--abort-on-container-exit", "--exit-code-from", "node", code=None)
        assert took(began) < QUICK
        assert done.returncode != 0
        # By the nodes that were up before Docker refused another, if one was.
        assert "8 nodes do not fit" in net.logs() or "no available IPv4 addresses" in done.stderr, done.stderr
        net.compose("down")
        assert left(net.name) == []


def test_compose_with_an_image_that_is_not_there(tmp_path):
    with project(tmp_path, NODES=2, COMMAND="true", IMAGE="harness-nope") as net:
        done = net.compose("up", code=None)
        assert done.returncode != 0
        assert "No such image: harness-nope" in done.stderr
        assert docker("ps", "-aq", "--filter", f"label=com.docker.compose.project={net.name}") == ""
        net.compose("down")
        assert left(net.name) == []


def test_compose_where_names_or_subnets_are_taken(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
    with project(first, NODES=1, COMMAND="", TOPOLOGY="line") as one, project(second, NODES=2, COMMAND="") as other:
        one.compose("up", "--no-start")
        other.variables |= {"SUBNET": one.subnet}
        assert "overlaps" in other.compose("up", "-d", code=1).stderr
        other.compose("down")
        other.variables |= {"SUBNET": other.subnet}
        label = f"com.docker.compose.project={one.name}"
        docker("create", "--name", other.container(1), "--label", label, IMAGE)
        done = other.compose("up", "-d", code=1)
        assert other.container(1) in done.stderr
        assert "in use" in done.stderr
        other.compose("down")
        assert left(other.name) == []


# Containers without what they need


def bare(name, **more):
    """What makes a node without Compose, as words to docker run."""
    words = ["--cap-drop", "ALL", "--network", name, "--name", f"{name}-1"]
    words += ["--label", f"com.docker.compose.project={name}"]
    variables = {"HARNESS_NAMES": f"{name}-{{}}", "NODES": "1", "TOPOLOGY": "line", "PROFILE": "none", **more}
    for key, value in variables.items():
        words += ["--env", f"{key}={value}"]
    return words


@pytest.fixture
def net(name):
    subnet, _ = subnets()
    docker("network", "create", "--subnet", subnet, "--label", f"com.docker.compose.project={name}", name)
    return name


def ran(words):
    done = subprocess.run(
        ["docker", "run", "--rm", *words, IMAGE, "true"], capture_output=True, text=True, timeout=QUICK, check=False
    )
    return done.returncode, (done.stdout + done.stderr).strip().splitlines()


def test_a_container_without_net_admin(net):
    code, lines = ran(bare(net))
    assert code == 77
    assert len(lines) == 1, lines
    assert "NET_ADMIN" in lines[0]


def test_a_container_outside_of_compose(net):
    words = bare(net)
    for capability in CAPABILITIES:
        words += ["--cap-add", capability]
    assert ran(words)[0] == 0
    code, lines = ran([*words, "--env", "HARNESS_NAMES="])
    assert code == 2
    assert len(lines) == 1
    assert "HARNESS_NAMES" in lines[0]


def test_the_image_by_itself():
    code, lines = ran([])
    assert (code, "HARNESS_NAMES" in "".join(lines)) == (0, False)


# A command that is killed


def test_what_a_killed_run_made_vanishes(command, name):
    words = [*HARNESS, "run", "-n", "2", "--profile", "none", *free(), "--", "sleep", "3600"]
    with subprocess.Popen(words, env=command.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            listed = ["ps", "-q", "--filter", f"label=tc-harness.network={name}"]
            wait_for(lambda: len(docker(*listed).split()) == 2, PATIENCE)
            containers = docker(*listed).split()
            wait_for(lambda: "sleep" in docker("top", containers[0], code=None), PATIENCE)
        finally:
            process.kill()
    wait_for(lambda: docker("ps", "-aq", "--filter", f"label=tc-harness.network={name}") == "", QUICK)
    assert len(left(name)) == 1  # the network of Docker, which no container can remove
    command("down")
    assert left(name) == []


def test_what_a_run_killed_on_its_way_up_made_vanishes(command, name):
    words = [*HARNESS, "run", "-n", "4", "--profile", "none", *free(), "--", "sleep", "3600"]
    with subprocess.Popen(words, env=command.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            wait_for(lambda: docker("ps", "-q", "--filter", f"label=tc-harness.network={name}"), PATIENCE)
        finally:
            process.kill()
    command("down")
    assert left(name) == []
