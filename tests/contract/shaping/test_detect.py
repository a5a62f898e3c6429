"""What the probes say of the running kernel."""

import json
import subprocess
import sys
from contextlib import suppress
from ipaddress import IPv4Address

import pytest

from harness.errors import UnavailableError
from harness.linux.fork import forked
from harness.netlink.nfnetlink import Nfnetlink
from harness.shaping import kernel_probes
from harness.shaping.detect import ALL_FEATURES, CAP_FEATURES, choose_engine, features, in_place_features
from harness.shaping.facts import AUTO
from harness.shaping.userspace import rules
from harness.shaping.userspace.guard import Guard
from harness.shaping.userspace.nfqueue import Nfqueue
from tests.support.cli import HARNESS

pytestmark = pytest.mark.namespaces


def outcome():
    """Of the queue's probe in a namespace of its own: how it works, or why it does not."""

    def work():
        kernel_probes.enter()
        try:
            return kernel_probes.nfqueue()
        except OSError as problem:
            return problem.strerror

    return forked(work)


def test_every_feature_is_tried_and_what_fails_has_a_remedy():
    found = {feature.name: feature for feature in features(ALL_FEATURES)}
    assert {
        "namespaces",
        "veth",
        "bridge",
        "sch_htb",
        "cls_u32",
        "sch_netem",
        "sch_tbf",
        "nfqueue",
        "nft_netdev",
        "ifb",
        "act_mirred",
        "act_skbedit",
        "sch_codel",
        "sch_fq_codel",
        "sch_red",
        "sch_pie",
    } == found.keys()
    for feature in found.values():
        assert feature.ok or (feature.detail and feature.remedy)


def test_each_feature_that_only_some_plans_need_is_found_without_the_others_too():
    found = {feature.name: feature.ok for feature in features(ALL_FEATURES)}
    for name in {"sch_tbf", *(feature[0] for feature in CAP_FEATURES)}:
        alone = {feature.name: feature.ok for feature in features({name})}
        assert alone == {"namespaces": True, name: found[name]}


def test_a_container_is_left_as_it_was():
    def work():
        kernel_probes.enter()
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        before = seen()
        found = {feature.name: feature.ok for feature in in_place_features("netem", ALL_FEATURES - {"veth", "bridge"})}
        return found, before, seen()

    def seen():
        shown = ("ip", "link"), ("tc", "qdisc"), ("tc", "filter", "show", "dev", "lo")
        return [subprocess.run(words, capture_output=True, text=True).stdout for words in shown]

    found, before, after = forked(work)
    for name in ("nfqueue", "sch_tbf", "ifb", "act_mirred"):
        assert found[name], f"{name}: the test would see nothing"
    assert after == before


def test_qdiscs_are_probed_beside_links_in_user_space_without_touching_these():
    """As an agent does when its node gets the first limit: its rules went, and packets passed unshaped meanwhile."""

    def work():
        kernel_probes.enter()
        kernel_probes.nfqueue()
        guard = Guard(1, (IPv4Address("127.0.0.2"),), device="lo")
        with Nfnetlink() as netlink:
            before = rules.read(netlink, guard)
            found = in_place_features("userspace", ["sch_htb", "cls_u32"])
            return before, [feature.name for feature in found], rules.read(netlink, guard)

    before, probed, after = forked(work)
    assert before.rooted
    assert probed == ["sch_htb", "cls_u32"]
    assert after == before


def test_a_container_imports_pyroute2_only_where_the_engine_is_netem():
    """Its message classes take each of them 0.05 s."""
    code = (
        "import sys; from harness.shaping import detect, kernel_probes; kernel_probes.enter()\n"
        "for wanted in ('userspace', 'auto'):\n"
        "    engine, _ = detect.choose_engine(wanted, detect.in_place_features(wanted))\n"
        "    assert ('harness.shaping.tc_plugin' in sys.modules) == (engine == 'netem'), engine\n"
        "import harness.agent.startup\n"
        "from harness.agent import user_rules\n"
        "why = user_rules.reserve(29321)\n"
        "assert not why, why\n"
        "assert ('harness.shaping.tc_plugin' in sys.modules) == (engine == 'netem'), engine\n"
        "rules = __import__('subprocess').run(['ip', 'rule'], capture_output=True, text=True).stdout\n"
        "assert 'uidrange 1-4294967294 ipproto tcp dport 29321 prohibit' in rules, rules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    if "no engine works here" in done.stderr:
        pytest.skip("neither engine works in a namespace here")
    assert done.returncode == 0, done.stderr


def test_doctor_tells_the_engine_and_fails_only_where_there_is_none(harness):
    done = subprocess.run([*HARNESS, "doctor", "--json"], env=harness.env, capture_output=True, text=True, timeout=60)
    told, engine = json.loads(done.stdout), None
    with suppress(UnavailableError):
        engine = choose_engine(AUTO)[0]
    assert told["engine"] == engine
    assert told["why"]
    assert done.returncode == (0 if engine else UnavailableError.exit_code)
    words = subprocess.run([*HARNESS, "doctor"], env=harness.env, capture_output=True, text=True, timeout=60).stdout
    assert words.splitlines()[-1] == (f"--engine auto takes {engine}: {told['why']}" if engine else told["why"])


@pytest.mark.nfqueue
def test_the_queue_says_which_way_it_works():
    assert outcome() in (f"by {rules.NATIVE}", f"by {rules.COMPAT}")


@pytest.mark.nfqueue
def test_a_kernel_that_takes_rules_and_does_nothing_has_no_queue(monkeypatch):
    monkeypatch.setattr(rules, "install", lambda *_: rules.NATIVE)
    assert outcome() == "packets bypass the queue"


@pytest.mark.nfqueue
def test_a_queue_that_gets_nothing_is_none(monkeypatch):
    monkeypatch.setattr(kernel_probes, "_WAIT_SECONDS", 0.1)
    monkeypatch.setattr(Nfqueue, "bind", lambda *_, **__: None)
    assert outcome() == "packets do not reach the queue"


@pytest.mark.nfqueue
def test_a_queue_that_lets_nothing_go_is_none(monkeypatch):
    monkeypatch.setattr(kernel_probes, "_WAIT_SECONDS", 0.1)
    monkeypatch.setattr(Nfqueue, "verdict", lambda *_: None)
    assert outcome() == "packets that the queue accepts do not arrive"
