"""Nodes with a share of a CPU, in cgroups of this machine: their programs get it, and what shapes links does not."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from harness.backends.base import Stdio
from harness.backends.netns.backend import NetnsBackend
from harness.cli import doctor
from harness.errors import UnavailableError
from harness.linux.cgroup import CpuController, check_limits
from harness.linux.programs import HELPER
from harness.model.capacity_edit import node_change
from harness.model.status import CpuStatus
from harness.networks.backends import NETNS
from harness.networks.registry import LocalRegistry
from harness.shaping.detect import make_engine
from harness.verify.verification import verify
from tests.support.cli import HARNESS, Command
from tests.support.live import engine_name, needs, network, own, run, runtime_name, up
from tests.support.plans import shape


def _missing():
    if runtime_name() != NETNS:
        return "of containers: tests/docker/test_cpu.py"
    try:
        check_limits()
    except UnavailableError as error:
        return str(error)
    return ""


pytestmark = [*needs(), pytest.mark.timing, pytest.mark.skipif(bool(_missing()), reason=_missing())]
BURN = """
import os, sys, time
for _ in range(int(sys.argv[2]) - 1):
    if not os.fork():
        break
begin, used = time.monotonic(), time.process_time()
while time.monotonic() < begin + float(sys.argv[1]):
    pass
print((time.process_time() - used) / (time.monotonic() - begin))
"""


SLEEP = [sys.executable, "-S", "-c", "import os, time; os.fork(); os.write(1, b'up\\n'); time.sleep(60)"]


def groups(handle):
    """The names of the groups of a network's nodes."""
    return [path.name for path in CpuController.find().parent().glob(f"harness-{handle['keeper']['pid']}-*")]


@contextlib.contextmanager
def asleep(net):
    """A program in node 1 and what it has started, and beside it one that is no job, as verify's probes are none."""
    stdio = Stdio(subprocess.DEVNULL, subprocess.PIPE, None)
    started = [net.backend.spawn(1, argv, stdio=stdio) for argv in (SLEEP, [*SLEEP, HELPER])]
    try:
        for process in started:
            assert [process.stdout.readline() for _ in range(2)] == [b"up\n", b"up\n"]
        yield
    finally:
        for process in started:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


def burnt(net, rank, seconds=0.8, processes=1):
    """CPU time per time that passes of busy programs in a node."""
    output = run(net, rank, sys.executable, "-S", "-c", BURN, str(seconds), str(processes))
    return sum(map(float, output.split()))


def test_programs_of_a_node_share_its_part_of_a_cpu_and_nothing_is_left():
    with up(node_change("1", {"cpu": "25%"})(network("line", 2))) as net:
        handle = net.backend.handle
        (made,) = groups(handle)
        assert made.endswith("-1"), "only nodes with a share have a group"
        for processes in (1, 3):  # less where the machine is busy
            assert 0.1 < burnt(net, 1, processes=processes) < 0.29
        status = net.observe([1])[1]
        assert (status.cpu.applied.thousandths, status.cap_mismatches) == (250, ())
        assert status.cpu.throttled_s > 0
        engine = Path(f"/proc/{handle['keeper']['pid']}/cgroup").read_text()
        assert made not in engine, "what shapes the links is not slowed"
        net.reshape(node_change("1", {"cpu": "none"}))
        free = net.observe([1])[1].cpu
        burnt(net, 1)
        assert net.observe([1])[1].cpu == CpuStatus(None, free.throttled_s)
    assert groups(handle) == []


def test_verify_measures_it_and_the_links_are_not_slowed():
    """At 2 % of a core, verify's own probes would take ten seconds to start, and could not fill the link."""
    plan = node_change("1", {"cpu": "2%"})(network("line", 2, shape(delay="5ms", rate="8mbit")))
    with up(plan) as net:
        rows = verify(net, [(0, 1)], lambda *_: None, lambda _: None, seconds=1, parallel=1)
    (row,) = (row for row in rows if row.quantity == "cpu")
    assert (row.place, row.requested, row.applied) == ("node 1", 0.02, 0.02)
    assert row.measured < row.high
    assert [row for row in rows if not row.ok] == []


def test_a_share_reaches_programs_that_run_already_and_not_what_is_no_job():
    with up(network("line", 2)) as net, asleep(net):
        net.reshape(node_change("all", {"cpu": "50%"}))
        procs = Path(CpuController.find().parent(), groups(net.backend.handle)[0][:-1] + "1", "cgroup.procs")
        assert len(procs.read_text().split()) == 2
        with asleep(net):
            assert len(procs.read_text().split()) == 4


def test_what_a_killed_command_leaves_goes_with_its_network(tmp_path):
    harness, name = Command(tmp_path, docker=False), own("killed")
    argv = [
        *HARNESS,
        "run",
        "--name",
        name,
        "-n",
        "2",
        "-p",
        "none",
        "--cpu",
        "0=50%",
        "--",
        "sh",
        "-c",
        "echo up; sleep 60",
    ]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=harness.env)
    try:
        assert b"up" in process.stdout.readline()
        handle = LocalRegistry(tmp_path).load(name).handle
    finally:
        process.kill()
        process.communicate()
    assert len(groups(handle)) == 1
    harness("down", "--name", name)
    assert groups(handle) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="gives up root's privileges")
def test_who_may_make_no_group_is_told_before_anything_is_made():
    backend = NetnsBackend(make_engine(engine_name()))
    os.seteuid(65534)
    try:
        with pytest.raises(UnavailableError, match=r"--cpu: may not limit the CPU .*: Permission denied; run as root"):
            backend.check(node_change("1", {"cpu": "25%"})(network("line", 2)))
    finally:
        os.seteuid(0)


@pytest.mark.skipif(os.geteuid() != 0, reason="gives up root's privileges")
def test_doctor_says_whether_it_works():
    assert (doctor._cpu_limits().ok, doctor._cpu_limits().detail) == (True, f"cgroup v{CpuController.find().version}")
    os.seteuid(65534)
    try:
        found = doctor._cpu_limits()
    finally:
        os.seteuid(0)
    assert not found.ok
    assert found.remedy.startswith("run as root")
    assert found.detail.startswith("may not limit the CPU of processes: ")
