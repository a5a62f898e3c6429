"""Which engine is taken, given what the machine has."""

from contextlib import nullcontext
from types import SimpleNamespace

import pytest

from harness.errors import InputError, PrivilegeError, UnavailableError
from harness.shaping import detect, kernel_probes
from harness.shaping import tc_messages as tc
from harness.shaping.detect import Feature, choose_engine, make_engine, works
from harness.shaping.facts import AUTO, ENGINES, NETEM, USERSPACE, engine_facts
from harness.shaping.qdisc import ROOT, Netem


def machine(*missing):
    """What is found on a machine that lacks these."""
    named = [("namespaces", ENGINES), ("veth", ENGINES), ("sch_netem", (NETEM,)), ("sch_tbf", ())]
    named.append(("nfqueue", (USERSPACE,)))
    return [
        Feature(name, "its purpose", name not in missing, f"no {name}", f"get {name}", needed_by)
        for name, needed_by in named
    ]


@pytest.mark.parametrize(
    ("missing", "working"),
    [
        ([], [NETEM, USERSPACE]),
        (["sch_tbf"], [NETEM, USERSPACE]),
        (["sch_netem"], [USERSPACE]),
        (["nfqueue"], [NETEM]),
        (["nfqueue", "sch_netem"], []),
        (["veth"], []),
    ],
)
def test_an_engine_works_where_all_that_it_needs_does(missing, working):
    found = machine(*missing)
    assert [engine for engine in ENGINES if works(engine, found)] == working
    for engine in working:
        assert choose_engine(engine, found) == (engine, "")
    if working:
        assert choose_engine(AUTO, found)[0] == working[0]


def test_auto_takes_the_kernels_own_links_in_silence():
    assert choose_engine(AUTO, machine()) == (NETEM, "")


def test_auto_says_why_it_takes_user_space_and_what_that_is_not_exact_for():
    engine, line = choose_engine(AUTO, machine("sch_netem"))
    assert engine == USERSPACE
    assert line.startswith("no sch_netem here: links are enforced in user space (NFQUEUE), which is not exact for ")
    for limit in ("1 ms one way", "1 Gbit/s per edge", "100,000 packets/s"):
        assert limit in line


def test_an_engine_that_was_asked_for_is_not_replaced():
    with pytest.raises(UnavailableError) as error:
        choose_engine(NETEM, machine("sch_netem"))
    told = "sch_netem: no sch_netem (its purpose); fix: get sch_netem; or use --engine userspace"
    assert str(error.value) == told
    with pytest.raises(UnavailableError, match=r"fix: get nfqueue$"):
        choose_engine(USERSPACE, machine("nfqueue", "sch_netem"))


def test_where_no_engine_works_all_are_told():
    with pytest.raises(UnavailableError) as error:
        choose_engine(AUTO, machine("sch_netem", "nfqueue"))
    told = "netem lacks sch_netem (no sch_netem); userspace lacks nfqueue (no nfqueue); fix: get sch_netem"
    assert str(error.value) == f"no engine works here: {told}"


def test_what_all_engines_need_is_told_first():
    with pytest.raises(UnavailableError, match=r"^veth: no veth \(its purpose\); fix: get veth$"):
        choose_engine(AUTO, machine("sch_netem", "veth"))


@pytest.mark.parametrize("wanted", [AUTO, *ENGINES])
def test_without_namespaces_it_is_a_question_of_rights(wanted):
    only = [Feature("namespaces", "nodes", False, "not permitted", "be root", ENGINES)]
    with pytest.raises(PrivilegeError, match=r"^namespaces: not permitted \(nodes\); fix: be root$"):
        choose_engine(wanted, only)


@pytest.mark.parametrize("name", ENGINES)
def test_each_engine_is_made_by_its_name(name):
    assert (make_engine(name).name, engine_facts(name).name) == (name, name)


def test_an_unknown_name_is_told_before_anything_is_tried(monkeypatch):
    monkeypatch.setattr(detect, "features", lambda: pytest.fail("tried"))
    with pytest.raises(InputError, match="no engine is called 'netm'; did you mean 'netem'"):
        choose_engine("netm")
    with pytest.raises(InputError, match="known: auto, netem, userspace"):
        choose_engine("x")


def test_without_findings_they_are_asked_for(monkeypatch):
    monkeypatch.setattr(detect, "features", lambda: machine("nfqueue"))
    assert choose_engine(AUTO) == (NETEM, "")
    monkeypatch.setattr(detect, "features", lambda: machine("sch_netem"))
    with pytest.raises(UnavailableError):
        choose_engine(NETEM)


@pytest.mark.parametrize(
    ("held", "told"),
    [
        (None, "the kernel accepts it, but does not list it"),
        (Netem(), "the kernel accepts it, but reports something else: delay_ns 0 -> 64000000, "),
    ],
)
def test_a_kernel_that_takes_netem_and_does_nothing_has_no_netem(monkeypatch, held, told):
    answer = None
    if held is not None:
        answer = tc.request(tc.RTM_NEWQDISC, 0, 1, 0x10 << 16, ROOT | 1, "netem", tc.netem(held, fresh=True)).body
    kernel = SimpleNamespace(batch=lambda _: [], dump=lambda *_: [] if answer is None else [memoryview(answer)])
    monkeypatch.setattr(kernel_probes, "Rtnetlink", lambda: nullcontext(kernel))
    with pytest.raises(OSError) as error:
        kernel_probes.netem()
    assert error.value.strerror.startswith(told)
