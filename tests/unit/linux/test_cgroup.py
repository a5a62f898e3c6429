"""Where groups of limited processes are, and what is written into their files: cgroup v1 and v2."""

from pathlib import Path

import pytest

from harness.errors import UnavailableError
from harness.linux.cgroup import CpuController, CpuGroup, limits, quota_us
from harness.model.cpu import CpuShare
from harness.model.status import CpuStatus

V1 = "33 30 0:29 / {top}/cpu rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct\n"
V2 = "42 30 0:39 / {top}/unified rw,relatime - cgroup2 cgroup2 rw,nsdelegate\n"


@pytest.fixture
def machine(tmp_path):
    """Makes /proc/self and a tree of groups; the folders in it by whether they hand on the cpu controller."""

    def make(mountinfo, cgroup, folders=None):
        for name, text in (("mountinfo", "22 1 8:1 / / rw - ext4 /dev/sda rw\n" + mountinfo), ("cgroup", cgroup)):
            (tmp_path / name).write_text(text.format(top=tmp_path))
        for folder, hands_on in (folders or {}).items():
            (tmp_path / "unified" / folder).mkdir(parents=True, exist_ok=True)
            (tmp_path / "unified" / folder / "cgroup.subtree_control").write_text("cpu io" if hands_on else "io")
        return tmp_path

    return make


def test_version_1_is_below_the_own_group(machine):
    top = machine(V1, "4:cpu,cpuacct:/user.slice\n1:name=systemd:/x\n0::/y\n")
    found = CpuController.find(top)
    assert (found.version, found.own, found.parent()) == (1, top / "cpu/user.slice", top / "cpu/user.slice")


def test_version_1_of_a_container_shows_its_own_group_at_the_mount(machine):
    top = machine(V1.replace("0:29 /", "0:29 /docker/abc"), "4:cpu,cpuacct:/docker/abc\n")
    assert CpuController.find(top).own_group() == CpuGroup(top / "cpu", 1)
    top = machine(V1.replace("0:29 /", "0:29 /docker/abc"), "4:cpu,cpuacct:/\n")
    assert CpuController.find(top).own == top / "cpu"


def test_version_2_takes_the_nearest_group_that_hands_the_controller_on(machine):
    folders = {"": True, "user.slice": True, "user.slice/user-1.slice": False, "user.slice/user-1.slice/s.scope": False}
    top = machine(V2, "0::/user.slice/user-1.slice/s.scope\n", folders)
    (top / "unified/cgroup.controllers").write_text("cpuset cpu io")
    found = CpuController.find(top)
    assert (found.version, found.parent()) == (2, top / "unified/user.slice")
    assert found.parents == (top / "unified/user.slice", top / "unified")


def test_version_2_says_how_to_hand_it_on(machine):
    top = machine(V2, "0::/a\n", {"": False, "a": False})
    (top / "unified/cgroup.controllers").write_text("cpu io")
    with pytest.raises(UnavailableError) as refused:
        CpuController.find(top).parent()
    assert f"as root, enable it: echo +cpu > {top}/unified/cgroup.subtree_control" in str(refused.value)


def test_a_hybrid_tree_whose_second_version_has_no_cpu_controller(machine):
    top = machine(V2 + V1, "4:cpu,cpuacct:/\n0::/\n", {"": False})
    (top / "unified/cgroup.controllers").write_text("")
    assert CpuController.find(top).version == 1
    with pytest.raises(UnavailableError, match="has no cpu controller for cgroups"):
        CpuController.find(machine(V2, "0::/\n"))


@pytest.mark.parametrize(
    ("share", "quota"),
    [("25%", (5000, 20_000)), ("250%", (50_000, 20_000)), ("5%", (1000, 20_000)), ("1%", (1000, 100_000)),
     ("33.3%", (6660, 20_000)), ("3%", (1000, 33_333))],
)  # fmt: skip
def test_a_quota_is_a_millisecond_or_more(share, quota):
    assert quota_us(CpuShare.parse(share)) == quota


@pytest.mark.parametrize("thousandths", [*range(10, 60), 99, 250, 333, 999, 1000, 2500, 64_000])
def test_what_is_written_is_read_back(tmp_path, thousandths):
    share = CpuShare(thousandths)
    for version, stat in (
        (1, "nr_periods 5\nthrottled_time 1500000000\n"),
        (2, "usage_usec 7\nthrottled_usec 1500000\n"),
    ):
        group = CpuGroup(tmp_path, version)
        (tmp_path / "cpu.stat").write_text(stat)
        group.limit(share)
        assert group.read() == CpuStatus(share, 1.5)
    assert limits(None, 1) == [("cpu.cfs_quota_us", "-1")]
    assert limits(None, 2) == [("cpu.max", "max")]
    (tmp_path / "cpu.max").write_text("max 20000\n")
    assert CpuGroup(tmp_path, 2).read().applied is None
    (tmp_path / "cpu.cfs_quota_us").write_text("-1\n")
    (tmp_path / "cpu.stat").write_text("throttled_time 0\n")
    assert CpuGroup(tmp_path, 1).read().applied is None


def test_a_group_is_made_once_and_removed(tmp_path):
    group = CpuGroup(tmp_path / "harness-1-2-3", 1)
    assert (group.make(), group.exists, group.make()) == (True, True, False)
    group.remove()
    group.remove()
    assert not Path(group.path).exists()
