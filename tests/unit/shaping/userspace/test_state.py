"""What outlives the shaper daemon, and how it is asked."""

import json
import os
import threading

import pytest

from harness.errors import UnavailableError
from harness.shaping.shape_branch import branch_of
from harness.shaping.userspace import control, control_address
from harness.shaping.userspace.precision import precision_warnings
from harness.shaping.userspace.state import State
from tests.support.plans import SHAPES, network, shape


@pytest.fixture
def fd():
    fd = os.memfd_create("test")
    yield fd
    os.close(fd)


def test_counters_and_texts_are_found_again(fd):
    first = State(fd, 3)
    first.counters(1)[0] += 7
    first.counters(2)[2] += 9
    first.save(0, ["a"])
    first.save(5, {"b": [1, 2]})
    first.beat(123)
    second = State(fd, 3)
    assert [list(second.counters(line)) for line in range(3)] == [[0] * 5, [7, 0, 0, 0, 0], [0, 0, 9, 0, 0]]
    assert (second.load(0), second.load(5), second.load(1)) == (["a"], {"b": [1, 2]}, None)
    assert second.last_beat == 123


def test_the_newest_version_counts(fd):
    state = State(fd, 1)
    for value in range(10):
        state.save(3, value)
        assert State(fd, 1).load(3) == value
        assert State(fd, 1).generation(3) == state.generation(3) > state.generation(4) == 0


@pytest.mark.parametrize("killed_after", range(3))
def test_a_version_that_was_not_written_to_its_end_does_not_count(fd, monkeypatch, killed_after):
    state = State(fd, 1)
    state.save(0, "old")
    state.save(0, "current")
    write, writes = os.pwrite, []

    def dies(where, data, at):
        if len(writes) == killed_after // 2:
            write(where, data[: len(data) // 2 * (killed_after % 2)], at)
            raise KeyboardInterrupt
        writes.append(at)
        return write(where, data, at)

    monkeypatch.setattr(os, "pwrite", dies)
    with pytest.raises(KeyboardInterrupt):
        state.save(0, "the next one, longer than those before")
    monkeypatch.undo()
    assert State(fd, 1).load(0) == "current"
    State(fd, 1).save(0, "after")
    assert State(fd, 1).load(0) == "after"


def test_too_large_a_text_is_refused(fd):
    with pytest.raises(ValueError, match="too many"):
        State(fd, 1).save(0, "x" * (16 << 20))


@pytest.mark.parametrize("name", SHAPES)
def test_branches_go_through_json(name):
    port = network("line", 2, SHAPES[name]).node(0).ingress[0]
    branch = branch_of(port, 3)
    assert control.branch_from_json(json.loads(json.dumps(control.branch_to_json(branch)))) == branch


@pytest.fixture
def listener(monkeypatch):
    for module in (control, control_address):
        monkeypatch.setattr(module, "ADDRESS", f"\0tc-harness-test-{os.getpid()}")
    monkeypatch.setattr(control, "_START_SECONDS", 0.2)
    monkeypatch.setattr(control, "_ANSWER_SECONDS", 0.2)
    with control_address.listen() as listener:
        listener.setblocking(True)
        yield listener


def answered(listener, answer, after=None):
    def serve():
        if after:
            after.join()
        connection, _ = listener.accept()
        with connection:
            assert control.may_command(connection)
            connection.recv(1000)
            connection.sendall(answer)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    return thread


def test_an_answer(listener):
    answered(listener, b'{"links": {}}\n')
    assert control.ask({"do": "read"}) == {"links": {}}


def test_a_refusal_names_the_neighbour(listener):
    answered(listener, b'{"error": "no", "neighbour": 3}\n')
    with pytest.raises(control.Refused, match="no") as refused:
        control.ask({"do": "set", "branches": []})
    assert refused.value.neighbour == 3


def test_the_next_process_is_asked_where_one_ends_before_it_answers(listener):
    first = answered(listener, b"")
    answered(listener, b'{"links": {"1": 2}}\n', first)
    assert control.ask({"do": "read"}) == {"links": {"1": 2}}


def test_a_process_that_stands_still_or_is_not_there(listener):
    with pytest.raises(UnavailableError, match="has not answered for 0 s; while it hangs"):  # nobody accepts
        control.ask({"do": "read"})
    listener.close()
    with pytest.raises(UnavailableError, match="is not running: no packet passes"):
        control.ask({"do": "read"})


def test_what_user_space_does_not_promise_is_told_by_edge():
    plan = network(
        "star",
        8,
        shape(delay="10ms", rate="100mbit"),
        e01=shape(delay="0.5ms"),
        e02=shape(delay="5ms", rate="10gbit"),
        e03=shape(delay="5ms", jitter="1ms"),
    )
    told = precision_warnings(plan.edges.values())
    assert len(told) == 3
    assert told[0].startswith("the userspace engine does not promise a delay under 1 ms: ")
    assert told[0].endswith(" (on 0->1, 1->0)")
    assert "a rate over 1 Gbit/s: a Python process handles every packet (on 0->2, 2->0)" in told[1]
    assert "jitter without a rate for more than 100,000 packets/s" in told[2]
    assert told[2].endswith(" (on 0->3, 3->0)")
    assert precision_warnings(network("ring", 3).edges.values()) == []
    assert (
        "0->1, 1->0, 0->2, 2->0 and 10 more"
        in precision_warnings(network("star", 8, shape(delay="1us")).edges.values())[0]
    )
