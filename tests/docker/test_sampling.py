"""Links and flows of containers, which each node's agent records into the folder that they have for results."""

import json
import os

import pytest

from harness.api.capture import PacketCapture
from harness.backends.docker.backend import DockerBackend
from harness.backends.docker.container_options import ContainerOptions
from harness.errors import HarnessError
from harness.networks.network import Network
from harness.networks.sampler import Sampler
from tests.live.test_sampling import PORT, RECEIVE, SEND
from tests.support.live import network, own, registry, run
from tests.support.pcapng import read
from tests.support.plans import shape

pytestmark = pytest.mark.docker
ONE_DATAGRAM = """
import socket, sys, time
socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"one datagram", (sys.argv[1], 9))
time.sleep(0.3)
"""


@pytest.fixture
def up(tmp_path, monkeypatch):
    """A network of two, with that folder for results or without one."""
    monkeypatch.setenv("HARNESS_RUNTIME", "docker")
    made = []

    def make(*volumes):
        options = ContainerOptions(os.environ.get("IMAGE", "harness-node"), volumes, transient=True)
        plan = network("line", 2, shape(delay="10ms", rate="20mbit"))
        made.append(Network.up(own("sampled"), plan, DockerBackend(own("sampled"), recipe=options), registry(tmp_path)))
        return made[-1]

    yield make
    for net in made:
        net.down()


def lines(folder, name):
    return [json.loads(line) for line in (folder / name).read_text().splitlines()]


def test_packets_are_captured_where_a_job_has_no_privileges(up, tmp_path):
    net = up()
    with PacketCapture(net, [(0, 1)], tmp_path / "link.pcapng", 128) as packets:
        run(net, 0, net.backend.python, "-c", ONE_DATAGRAM, str(net.plan.addressing.ipv4(1)))
    packets.stop()
    _, recorded, _ = read((tmp_path / "link.pcapng").read_bytes())
    sent, received = (at for _, at, _, data in recorded if data.endswith(b"one datagram"))
    assert received - sent > 9.8e6


def test_each_node_records_its_own(up, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir(mode=0o1777)
    folder.chmod(0o1777)
    net = up(f"{folder}:/runs")
    with Sampler(net, folder, attempt=3) as sampler:
        receiver = net.backend.spawn(1, [net.backend.python, "-c", RECEIVE, str(PORT)])
        run(net, 0, net.backend.python, "-c", SEND, str(net.plan.addressing.ipv4(1)), str(PORT), "3")
        assert receiver.wait(20) == 0
        assert sampler.messages() == []
    assert {path.name for path in folder.iterdir()} == {
        f"{what}-{rank}.jsonl" for what in ("links", "flows") for rank in (0, 1)
    }
    (begun,) = (line for line in lines(folder, "flows-0.jsonl") if line["kind"] == "flow" and line["dst_port"] == PORT)
    assert (begun["src"], begun["dst"], begun["attempt"]) == (0, 1, 3)
    rows = [row for line in lines(folder, "flows-0.jsonl") if line["kind"] == "sample" for row in line["flows"]]
    acked = [row[5] for row in rows if row[0] == begun["id"]]
    assert len(acked) > 10
    assert acked[-1] > 1_000_000
    last = {
        (edge["src"], edge["dst"]): edge
        for rank in (0, 1)
        for edge in lines(folder, f"links-{rank}.jsonl")[-1]["edges"]
    }
    assert last[0, 1]["sent_bytes"] == net.applied()[0, 1].stats.sent_bytes > 1_000_000
    with Sampler(net, folder, attempt=4):
        pass
    assert {line["attempt"] for line in lines(folder, "links-0.jsonl")} == {3, 4}, "another run of the same network"


def test_containers_without_a_folder_for_results(up, tmp_path):
    net = up()
    with pytest.raises(HarnessError, match=r"nothing can be recorded: /runs is not a folder of the host"):
        Sampler(net, tmp_path).start()
