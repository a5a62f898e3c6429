"""When a network is sampled; tests/unit/sampling and tests/live/test_sampling.py test what a sampler writes."""

from pathlib import Path

import pytest

from harness.networks.network import Network
from harness.networks.registry import LocalRegistry
from harness.networks.sampler import Sampler
from tests.support.fakes import FakeBackend, FakeEngine
from tests.support.plans import network


@pytest.fixture
def net(tmp_path):
    made = Network.up("test", network("line", 2), FakeBackend(FakeEngine()), LocalRegistry(tmp_path / "state"))
    yield made
    made.down()


def events(net):
    return [event for event in net.backend.events if "sampl" in event]


def test_from_start_to_stop_in_the_folder_of_the_run(net, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sampler = Sampler(net, Path("run"), 3)
    assert sampler.messages() == []
    sampler.start()
    assert sampler.messages() == ["a message"]
    assert sampler.messages() == []
    sampler.stop()
    assert events(net) == [f"sample {tmp_path}/run 3", "stop sampling"]


def test_the_last_messages_come_with_the_end_and_a_second_end_does_nothing(net, tmp_path):
    sampler = Sampler(net, tmp_path)
    sampler.start()
    assert sampler.stop() == ["a message"]
    assert sampler.stop() == []
    assert len(events(net)) == 2


def test_a_block(net, tmp_path):
    with pytest.raises(KeyError), Sampler(net, tmp_path):
        raise KeyError
    assert events(net)[-1] == "stop sampling"
