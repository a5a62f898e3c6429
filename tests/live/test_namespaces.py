"""Networks of namespaces: the keeper that holds them."""

import os

import pytest

from harness.backends.netns.namespaces import start_time
from harness.networks.registry import LocalRegistry
from tests.support.cli import wait_for
from tests.support.live import network, own, ping, up
from tests.support.plans import shape

pytestmark = [pytest.mark.links, pytest.mark.namespaces]


def test_the_keeper_ends_with_its_network():
    with up(network("line", 2)) as net:
        keeper = net.backend.handle["keeper"]["pid"]
        assert start_time(keeper) is not None
    assert start_time(keeper) is None


def test_a_network_whose_keeper_was_killed_is_found_gone(tmp_path):
    plan, name = network("line", 2, shape(delay="1ms")), own("gone")
    with up(plan, name, tmp_path) as net:
        os.kill(net.backend.handle["keeper"]["pid"], 9)
        wait_for(lambda: not net.backend.alive)
        assert not type(net)(LocalRegistry(tmp_path).load(name), LocalRegistry(tmp_path)).backend.alive
        with up(plan, name, tmp_path) as again:
            assert ping(again, 0, 1)[0] == 0
