"""Networks of namespaces: the keeper that holds them."""

import contextlib
import os
import subprocess
from pathlib import Path

import pytest

from harness.backends.base import Stdio
from harness.backends.netns.namespaces import start_time
from harness.errors import NetworkStateError
from harness.networks.registry import LocalRegistry
from tests.support.cli import processes, wait_for
from tests.support.live import network, own, ping, run, up
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


def test_a_program_that_kills_all_it_can_reaches_its_own_node_alone():
    with up(network("line", 2, shape(delay="1ms"))) as net:
        beside = start(net, 0, "echo ready; exec sleep 60")
        assert beside.stdout.readline() == b"ready\n"
        other = start(net, 1, "sleep 2; echo alive")
        killer = start(net, 0, "kill -9 -1; kill -9 1; ls /proc | grep -c '^[0-9]'")
        assert int(killer.communicate(timeout=20)[0]) < 10, (
            "it sees its own node's alone: itself, what counts, what dies"
        )
        assert beside.wait(20) == 128 + 9
        assert other.communicate(timeout=20)[0] == b"alive\n"
        assert ping(net, 0, 1)[0] == 0
        assert not net.observe()[0].notes, "no engine was started again"


@pytest.mark.skipif(not os.path.exists("/proc/sys/kernel/ns_last_pid"), reason="no CONFIG_CHECKPOINT_RESTORE")
def test_process_ids_of_nodes_are_apart_for_they_share_temporary_folders():
    with up(network("line", 3)) as net:
        first, second, third = (int(run(net, rank, "sh", "-c", "echo $$")) for rank in range(3))
        assert first < 100 < second < third


def test_what_a_program_leaves_behind_is_found_by_the_next_one_in_its_node():
    with up(network("line", 2)) as net:
        run(net, 0, "sh", "-c", "sleep 61 >/dev/null 2>&1 &")
        assert run(net, 1, "pgrep", "-c", "sleep", check=False) == "0\n"
        assert run(net, 0, "pgrep", "-c", "sleep") == "1\n"
        run(net, 0, "pkill", "sleep")
        wait_for(lambda: run(net, 0, "pgrep", "-c", "sleep", check=False) == "0\n")


def running(mark, name):
    """A process of that name whose command line has the mark, or None: until it is executed, it has another name."""
    for pid in processes(mark):
        with contextlib.suppress(OSError):
            if Path(f"/proc/{pid}/comm").read_text() == f"{name}\n":
                return pid
    return None


@pytest.mark.parametrize("victim", ["proxy", "program", "first"])
def test_whichever_process_is_killed_nothing_of_the_program_is_left(victim):
    with up(network("line", 2)) as net:
        mark = f"6{os.getpid()}"
        program = start(net, 0, f"exec sleep {mark}")
        keeper = net.backend.handle["keeper"]["pid"]
        inside = wait_for(lambda: running(mark, "sleep"))
        firsts = [pid for pid in children(keeper) if own_number(pid) == net.backend.handle["keeper"]["firsts"][0]]
        os.kill({"proxy": program.pid, "program": inside, "first": firsts[0]}[victim], 9)
        assert program.wait(20) in (-9, 0, 128 + 9)
        wait_for(lambda: not processes(mark))
        if victim == "first":
            with pytest.raises(NetworkStateError, match=r"first process of node 0 was killed.*'harness down' and 'up'"):
                run(net, 0, "true")
        assert run(net, 1, "echo", "alive") == "alive\n"


def start(net, rank, script):
    stdio = Stdio(subprocess.DEVNULL, subprocess.PIPE, None)
    return net.backend.spawn(rank, ["sh", "-c", script], stdio=stdio)


def children(pid):
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def own_number(pid):
    """The process's id as the keeper sees it."""
    (line,) = (line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("NSpid:"))
    return int(line.split()[-2])
