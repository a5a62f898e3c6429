"""Agents in namespaces that look like pods on several machines: an address each, a gateway, no common link."""

import os
import re
import subprocess
import sys
from contextlib import ExitStack

import pytest

from harness.model.plan_options import PlanOptions

pytestmark = [
    pytest.mark.links,
    pytest.mark.namespaces,
    pytest.mark.full,
    pytest.mark.skipif(os.geteuid() != 0, reason="makes namespaces as root"),
]
GATEWAY = "169.254.1.1"
AGENT = "from harness.agent.main import main; raise SystemExit(main())"
PING = "ping -U -c 5 -i 0.2 -W 2"
JOB = f"""
test $RANK = 0 || exit 0
for to in 10.244.1.5 10.244.2.5 10.244.1.77; do echo $to $({PING} $to 2>&1 | tail -n 1); done
"""


def ip(*words):
    return subprocess.run(["ip", *words], check=True, capture_output=True, text=True).stdout


@pytest.fixture
def pods():
    """Three namespaces around a router that answers for their gateway, as Calico's hosts do."""
    prefix = f"p{os.getpid() % 100_000}"
    router, names = f"{prefix}r", [f"{prefix}-{number}" for number in range(3)]
    with ExitStack() as stack:
        for name in (router, *names):
            ip("netns", "add", name)
            stack.callback(ip, "netns", "del", name)
        ip("netns", "exec", router, "sysctl", "-qw", "net.ipv4.ip_forward=1")
        ip("-n", router, "link", "add", "out", "type", "veth", "peer", "name", "away")
        for end in ("out", "away"):
            ip("-n", router, "link", "set", end, "up")
        ip("-n", router, "route", "add", "default", "dev", "out")
        for number, name in enumerate(names):
            own = f"10.244.{number}.5"
            ip("link", "add", "eth0", "netns", name, "type", "veth", "peer", "name", f"v{number}", "netns", router)
            ip("-n", name, "link", "set", "lo", "up")
            ip("-n", name, "address", "add", f"{own}/32", "dev", "eth0")
            ip("-n", name, "link", "set", "eth0", "up")
            ip("-n", name, "route", "add", GATEWAY, "dev", "eth0", "scope", "link")
            ip("-n", name, "route", "add", "default", "via", GATEWAY)
            ip("-n", router, "link", "set", f"v{number}", "up")
            ip("netns", "exec", router, "sysctl", "-qw", f"net.ipv4.conf.v{number}.proxy_arp=1")
            ip("-n", router, "route", "add", own, "dev", f"v{number}")
            mac = ip("netns", "exec", name, "cat", "/sys/class/net/eth0/address").strip()
            ip("-n", router, "neighbour", "replace", own, "lladdr", mac, "dev", f"v{number}", "nud", "permanent")
        yield names


def test_the_links_between_pods_are_as_planned(pods, tmp_path):
    hosts = tmp_path / "hosts"
    lines = [f"10.244.{number}.5 job-{number}.job\n" for number in range(3)]
    hosts.write_text("".join(lines))
    env = {**os.environ, "NODES": "3", "PROFILE": "wan", "HARNESS_NAMES": "job-{rank}.job", "START_TIMEOUT": "60"}
    inside = 'mount -t tmpfs none /run; mount --bind "$0" /etc/hosts; exec "$@"'
    apart = ["unshare", "-m", "-p", "-f", "--mount-proc", "--kill-child", "sh", "-c"]
    words = [inside, str(hosts), sys.executable, "-c", AGENT, "sh", "-c", JOB]
    started = [
        subprocess.Popen(
            ["ip", "netns", "exec", name, *apart, *words],
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for name in pods
    ]
    try:
        shown = started[0].communicate(timeout=120)[0]
        hosts.write_text("".join(lines[1:]))  # what a cluster's name server does when a pod has ended
        codes = [process.wait(60) for process in started]
    finally:
        for process in started:
            process.kill()
    assert codes == [0, 0, 0], shown
    plan = PlanOptions(nodes=3, profile="wan").plan()
    for number in (1, 2):
        least = float(re.search(rf"\[0\] 10.244.{number}.5 rtt min/avg/max/mdev = ([\d.]+)/", shown)[1])
        shape = plan.edges[0, number].shape
        assert least >= 2e3 * (shape.delay.seconds - shape.jitter.seconds)
        assert least < 2e3 * (shape.delay.seconds + shape.jitter.seconds) + 10
    assert "10.244.1.77 ping: connect: No route to host" in shown
