"""What Docker's SDK raises becomes an error of ours; networks whose containers are about to go."""

import json
import subprocess
import sys
from urllib.parse import unquote, urlsplit

import pytest

from harness.backends.docker import create as module
from harness.backends.docker.container_options import ContainerOptions, Limits
from harness.errors import HarnessError, InputError, NetworkStateError, UnavailableError
from harness.model.plan_options import COMPOSED, PLAN_OPTIONS
from tests.support.plans import network
from tests.support.unix_http import Handler, served

BUSY = "error while removing network: network harness-n id c0ffee has active endpoints"
GOING = "removal of container c0ffee is already in progress"


class Daemon(Handler):
    """Answers what it is told to, in order, the last for ever; hangs up where it is not told."""

    def answer(self):
        told = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        request = f"{self.command} {unquote(urlsplit(self.path).path).removeprefix('/v1.44')}"
        self.asked.append(request)
        self.bodies.append((request, told))
        answers = self.answers.get(request)
        if not answers:
            self.close_connection = True
            return
        status, body = answers.pop(0) if len(answers) > 1 else answers[0]
        data = json.dumps(body if status < 400 else {"message": body}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", "0" if status == 204 else str(len(data)))
        self.end_headers()
        self.wfile.write(b"" if status == 204 else data)

    do_GET = do_POST = do_DELETE = answer


@pytest.fixture
def daemon(tmp_path, monkeypatch):
    """One with a network of one container that removes itself."""

    class Mine(Daemon):
        pass

    Mine.asked, Mine.bodies = [], []
    Mine.answers = {
        "GET /version": [(200, {"ApiVersion": "1.44"})],
        "GET /containers/json": [(200, [{"Id": "c0ffee"}])],
        "GET /containers/c0ffee/json": [(200, {"Id": "c0ffee", "Name": "/harness-n-node-1"})],
        "DELETE /containers/c0ffee": [(409, GOING)],
        "POST /containers/c0ffee/wait": [(404, "No such container: c0ffee")],
        "GET /networks": [(200, [{"Id": "f00d", "Name": "harness-n"}])],
        "GET /networks/f00d": [(200, {"Id": "f00d", "Name": "harness-n", "Containers": {}})],
        "DELETE /networks/f00d": [(204, None)],
    }
    monkeypatch.setattr(module, "_POLL_SECONDS", 0.01)
    for name in ("DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"):
        monkeypatch.delenv(name, raising=False)
    with served(tmp_path, Mine) as address:
        monkeypatch.setenv("DOCKER_HOST", address)
        yield Mine


def create(image="harness-node", *, name="n", nodes=2):
    module.create(name, network("ring", nodes), ContainerOptions(image), lambda _: None)


# removing


def test_a_network_waits_for_containers_that_are_about_to_go(daemon):
    daemon.answers["DELETE /networks/f00d"] = [(403, BUSY)] * 5 + [(204, None)]
    module.remove("n")
    assert daemon.asked.count("DELETE /networks/f00d") == 6


def test_a_network_that_went_meanwhile(daemon):
    daemon.answers["DELETE /networks/f00d"] = [(403, BUSY), (404, "network f00d not found")]
    module.remove("n")
    assert daemon.asked.count("DELETE /networks/f00d") == 2


def test_a_network_that_stays_in_use(daemon, monkeypatch):
    monkeypatch.setattr(module, "_LEAVE_SECONDS", 0.3)
    daemon.answers["DELETE /networks/f00d"] = [(403, BUSY)]
    told = "cannot remove the network 'harness-n': .*active endpoints; remove .*docker network inspect harness-n"
    with pytest.raises(HarnessError, match=f"{told}.*harness down --name n"):
        module.remove("n")
    assert daemon.asked.count("DELETE /networks/f00d") > 1


def test_a_container_that_is_not_ours_is_named_at_once(daemon):
    there = {"c0ffee": {"Name": "harness-n-node-1"}, "beef": {"Name": "guest"}}
    daemon.answers["DELETE /networks/f00d"] = [(403, BUSY)]
    daemon.answers["GET /networks/f00d"] = [(200, {"Id": "f00d", "Name": "harness-n", "Containers": there})]
    with pytest.raises(HarnessError, match=r"active endpoints; remove guest, then run 'harness down --name n'$"):
        module.remove("n")
    assert daemon.asked.count("DELETE /networks/f00d") == 1


def test_a_network_that_may_not_go_is_not_waited_for(daemon):
    daemon.answers["DELETE /networks/f00d"] = [(403, "denied by plugin")]
    with pytest.raises(HarnessError, match=r"'harness-n': denied by plugin$"):
        module.remove("n")
    assert daemon.asked.count("DELETE /networks/f00d") == 1


def test_a_container_that_cannot_be_removed_is_no_success(daemon):
    daemon.answers["DELETE /containers/c0ffee"] = [(500, "driver failed to remove root filesystem")]
    with pytest.raises(HarnessError, match=r"^Docker refuses: driver failed to remove root filesystem$"):
        module.remove("n")


# refusals


def test_a_name_that_no_image_can_have(daemon):
    daemon.answers["GET /images/Bad Name/json"] = [(400, "invalid reference format")]
    with pytest.raises(InputError, match=r"^--image 'Bad Name' is not a name of an image: invalid reference format$"):
        create("Bad Name")


@pytest.mark.parametrize(("nodes", "most"), [(9, 48), (10, 47)])
def test_a_name_that_is_too_long_for_a_container(daemon, nodes, most):
    with pytest.raises(InputError, match=rf"^--name '{'n' * 49}' is too long .* use up to {most} characters$"):
        create(name="n" * 49, nodes=nodes)
    assert daemon.asked == []


def test_no_name_of_an_image(daemon):
    with pytest.raises(HarnessError) as caught:
        create("")
    assert "\n" not in str(caught.value)


def test_an_image_that_is_not_there(daemon):
    daemon.answers["GET /images/nope/json"] = [(404, "No such image: nope")]
    with pytest.raises(UnavailableError, match=r"no image 'nope' at this Docker daemon; make it: harness image build"):
        create("nope")


def test_a_daemon_in_trouble(daemon):
    daemon.answers["GET /images/harness-node/json"] = [(500, "disk full")]
    with pytest.raises(HarnessError, match=r"^Docker refuses: disk full$") as caught:
        create()
    assert type(caught.value) is HarnessError


def test_a_daemon_that_goes_away(daemon):
    with pytest.raises(UnavailableError, match=r"^the Docker daemon does not answer a request .*; see its log"):
        create()


def test_a_daemon_that_is_not_there(monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", "unix:///no/such.sock")
    with pytest.raises(UnavailableError, match=r"no Docker daemon answers .*; start it, or set DOCKER_HOST"):
        module.remove("n")


def test_errors_of_ours_pass(daemon):
    with pytest.raises(NetworkStateError, match="harness down --name n"):
        module.check_free("n")


# limits


def test_a_container_is_asked_for_with_its_limits_and_the_options_that_no_plan_has(daemon):
    daemon.answers |= {
        "GET /images/harness-node/json": [(200, {"Id": "1"})],
        "GET /networks": [(200, [])],
        "POST /networks/create": [(201, {"Id": "f00d"})],
        "GET /networks/f00d": [(200, {"Id": "f00d", "Name": "harness-n"})],
        "POST /containers/create": [(201, {"Id": "c0ffee"})],
        "POST /containers/c0ffee/start": [(204, None)],
    }
    options = ContainerOptions(limits=Limits("7", "64m", "1m"))
    module.create("n", network("ring", 2), options, lambda _: None)
    bodies = [json.loads(told) for request, told in daemon.bodies if request == "POST /containers/create"]
    made = [told["HostConfig"] for told in bodies]
    assert {(one["PidsLimit"], one["Memory"], one["Tmpfs"]["/tmp"]) for one in made} == {(7, 64 << 20, "exec,size=1m")}
    handed = {variable for variable, name in COMPOSED.items() if name not in (*PLAN_OPTIONS, "image")}
    assert all(handed <= {each.partition("=")[0] for each in told["Env"]} for told in bodies)


def test_without_dockers_sdk_the_extra_is_named():
    source = "import sys; sys.modules['docker'] = None; import harness.backends.docker.create"
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True)
    assert done.stderr.splitlines()[-1].endswith("pip install 'tc-harness[docker]'"), done.stderr
