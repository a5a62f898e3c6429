"""benchmarks/peers.py: what peers are made to run, and how what they leave is counted."""

import subprocess

from benchmarks import peer_packages
from benchmarks.peer_commands import Link, Pumba, Tc, Tcconfig
from benchmarks.peer_tools import Left, count_left

LINK = Link(25, 100, 0.5)
TWO = ["10.77.0.2", "10.77.0.8"]

OF_TCSET = {
    "qdisc": """\
qdisc noqueue 0: dev lo root refcnt 2
qdisc htb 1a1a: dev eth0 root refcnt 2 r2q 10 default 0x1 direct_packets_stat 0 direct_qlen 1000
qdisc netem 2484: dev eth0 parent 1a1a:3 limit 1000 delay 60ms
qdisc netem 26ec: dev eth0 parent 1a1a:2 limit 1000 delay 50ms loss 0.1%
""",
    "filter": """\
filter parent 1a1a: protocol ip pref 5 u32 chain 0
filter parent 1a1a: protocol ip pref 5 u32 chain 0 fh 800: ht divisor 1
filter parent 1a1a: protocol ip pref 5 u32 chain 0 fh 800::800 order 2048 key ht 800 bkt 0 *flowid 1a1a:2 not_in_hw
  match 0a4d0002/ffffffff at 16
filter parent 1a1a: protocol ip pref 5 u32 chain 0 fh 800::801 order 2049 key ht 800 bkt 0 *flowid 1a1a:3 not_in_hw
  match 0a4d0003/ffffffff at 16
""",
    "ifb": "7: ifb6682: <BROADCAST,NOARP,UP> mtu 1500\n    link/ether 4e:1f:3c:11:22:33 brd ff:ff:ff:ff:ff:ff\n",
}


def test_what_the_kernel_has_by_itself_is_nothing_left():
    assert count_left(OF_TCSET) == Left(3, 2, 1)
    assert str(count_left(OF_TCSET)) == "3 qdiscs, 2 filters, 1 ifbs"
    unshaped = {"qdisc": "qdisc noqueue 0: dev lo root\nqdisc mq 0: dev eth0 root\n", "filter": "", "ifb": ""}
    assert str(count_left(unshaped)) == "nothing"


def test_pumba_has_one_netem_for_all_its_targets_and_changes_it_by_deleting_it():
    lines = [" ".join(step.argv[2:]) for step in Pumba().change(LINK, TWO)]
    assert [line for line in lines if line.endswith("root handle 1: prio")] == [
        "del dev eth0 root handle 1: prio",
        "add dev eth0 root handle 1: prio",
    ]
    assert "add dev eth0 parent 1:3 handle 30: netem delay 25ms loss 0.50 rate 100mbit" in lines
    assert len([line for line in lines if line.endswith("/32 flowid 1:3")]) == 2


def test_tc_and_tcconfig_shape_every_destination_by_itself():
    (batch,) = Tc().shape(LINK, TWO)
    assert batch.text.count("netem delay 25ms loss 0.5%") == batch.text.count("flowid") == 2
    first, second = (" ".join(step.argv) for step in Tcconfig("bin").shape(LINK, TWO))
    assert first == "bin/tcset eth0 --network 10.77.0.2 --delay 25ms --rate 100Mbps --loss 0.5%"
    assert second == "bin/tcset eth0 --network 10.77.0.8 --delay 25ms --rate 100Mbps --loss 0.5% --add"
    (change,) = Tc().change(Link(60), TWO)
    of_the_first = "parent 1:10 handle 10: netem delay"
    assert of_the_first in " ".join(change.argv)
    assert of_the_first in batch.text.split("10.77.0.2")[0]


def test_a_pip_that_does_not_end_is_one_plain_line(monkeypatch, tmp_path):
    def run(argv, timeout, **_):
        if argv[0].endswith("pip"):
            raise subprocess.TimeoutExpired(argv, timeout)
        return subprocess.CompletedProcess(argv, 0)

    monkeypatch.setattr(peer_packages, "FOLDER", tmp_path / "peers")
    monkeypatch.setattr(subprocess, "run", run)
    packages = " ".join(peer_packages.PACKAGES)
    assert peer_packages.install() == f"{tmp_path}/peers/bin/pip install -q {packages} did not end within 300 s"
