"""The state folder: registrations are complete or absent, locks exclude other processes, names are checked."""

import dataclasses
import errno
import json
import multiprocessing
import os
import stat
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from harness.backends.registration import Registration
from harness.errors import HarnessError, InputError, NetworkStateError, RecordError
from harness.model.capacity import Capacity, NodeShape
from harness.model.units import Rate, Time
from harness.networks import registry as module
from harness.networks.plan_change import PlanChange
from harness.networks.registry import LocalRegistry
from harness.networks.state_folder import StateFolder
from tests.support.plans import SHAPES, network


@pytest.fixture
def store(tmp_path):
    return LocalRegistry(tmp_path / "state")


def record(name="demo", plan=None):
    plan = plan or network("ring", 3, SHAPES["everything"])
    return Registration(name, "netns", "netem", {"keeper": {"pid": 7}}, plan.to_json(), 1.5, False)


def test_a_record_comes_back_as_it_was(store):
    plan = network("ring", 3, SHAPES["everything"])
    assert store.load("demo") is None
    store.save(record(plan=plan))
    assert store.load("demo") == record(plan=plan)
    assert store.load("demo").network_plan == plan
    assert store.names() == ["demo"]


def test_saving_again_replaces_and_leaves_no_other_file(store, tmp_path):
    store.save(record())
    store.save(dataclasses.replace(record(), created=9.0))
    assert store.load("demo").created == 9.0
    assert [path.name for path in (tmp_path / "state").iterdir()] == ["demo.json"]


def test_a_record_that_cannot_be_written_leaves_the_old_one_and_nothing_else(store, tmp_path):
    store.save(record())
    with pytest.raises(TypeError):
        store.save(dataclasses.replace(record(), handle={"not": {1j}}))
    assert store.load("demo") == record()
    assert [path.name for path in (tmp_path / "state").iterdir()] == ["demo.json"]


def slowed(plan, ms):
    """The change of one edge, in JSON."""
    edge = replace(plan.edges[0, 1], shape=plan.edges[0, 1].shape.changed(delay=Time(ms * 10**6)))
    return PlanChange(plan, plan.changed([edge])).amendment()


def test_others_see_what_was_amended(store, tmp_path):
    plan, other = network("fully_connected", 12, SHAPES["everything"]), LocalRegistry(tmp_path / "state")
    kept = record(plan=plan)
    store.save(kept)
    first = (tmp_path / "state" / "demo.json").stat()
    for ms in range(20, 400):
        change = slowed(plan, ms)
        kept = kept.amended(change)
        store.amend(kept, change)
        assert store.load("demo") is kept
        if ms % 37 == 1:
            assert other.load("demo") == LocalRegistry(tmp_path / "state").load("demo") == kept
            assert kept.network_plan.edges[0, 1].shape.delay == Time(ms * 10**6)
    last = (tmp_path / "state" / "demo.json").stat()
    assert first.st_size < last.st_size < 4 * first.st_size + (1 << 16)
    assert last.st_ino != first.st_ino, "it was written anew meanwhile"
    with_caps = PlanChange(plan, plan.with_nodes({1: NodeShape(uplink=Capacity(Rate(10**7)))})).amendment()
    other.amend(kept.amended(with_caps), with_caps)
    assert store.load("demo").network_plan.nodes == {1: NodeShape(uplink=Capacity(Rate(10**7)))}
    assert store.load("demo").network_plan.edges[0, 1].shape.delay == Time(399 * 10**6)


@pytest.mark.parametrize("left", [b'{"edges":[{"sr', b"{", b"\n"])
def test_a_partial_line_of_a_killed_command_is_ignored(store, tmp_path, left):
    plan, path = network("ring", 3, SHAPES["everything"]), tmp_path / "state" / "demo.json"
    kept = record(plan=plan).amended(slowed(plan, 7))
    store.save(record(plan=plan))
    store.amend(kept, slowed(plan, 7))
    path.write_bytes(path.read_bytes() + left)
    assert store.load("demo") == kept
    kept = kept.amended(slowed(plan, 8))
    store.amend(kept, slowed(plan, 8))
    assert LocalRegistry(tmp_path / "state").load("demo") == kept


def test_a_record_of_an_older_version_can_be_amended(store, tmp_path):
    plan, path = network("ring", 3, SHAPES["everything"]), tmp_path / "state" / "demo.json"
    store.save(record(plan=plan))
    path.write_bytes(path.read_bytes().rstrip())
    kept = store.load("demo").amended(slowed(plan, 7))
    store.amend(kept, slowed(plan, 7))
    assert LocalRegistry(tmp_path / "state").load("demo") == kept


def test_readers_see_whole_records_while_a_writer_saves(store):
    small, large = record(), record(plan=network("fully_connected", 12, SHAPES["everything"]))
    store.save(small)
    stop = threading.Event()

    def write():
        while not stop.is_set():
            store.save(large)
            store.save(small)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        seen = {len(store.load("demo").plan["nodes"]) for _ in range(200)}
    finally:
        stop.set()
        writer.join()
    assert seen <= {3, 12}


def test_removing_is_idempotent(store):
    store.remove("demo")
    store.save(record())
    store.remove("demo")
    store.remove("demo")
    assert store.load("demo") is None
    assert store.names() == []


def test_names_are_sorted_and_only_those_that_could_be_ours(store, tmp_path):
    assert store.names() == []
    for name in ("b", "a.json", "a", "x.lock"):
        store.save(record(name))
    with store.lock("only-locked"):
        (tmp_path / "state" / "Not A Name.json").write_text("{}")
        assert store.names() == ["a", "a.json", "b", "x.lock"]
    assert {store.load(name).name for name in store.names()} == {"a", "a.json", "b", "x.lock"}


@pytest.mark.parametrize("name", ["a", "0", "my-net_2.x", "a" * 56])
def test_good_names(name):
    assert LocalRegistry.check_name(name) == name


@pytest.mark.parametrize("name", ["", "A", "-a", ".a", "_a", "a/b", "..", "a b", "ä", "a\n", "a" * 57, "a\0"])
def test_bad_names_touch_nothing(store, tmp_path, name):
    for use in (store.load, store.remove, lambda name: store.lock(name).__enter__()):
        with pytest.raises(InputError, match="--name"):
            use(name)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b"{}", b'{"name": "demo"}', b"\xff\xfe\x00", b'{"surprise": 1}', b"\n{}"],
    ids=["empty", "half", "list", "null", "object", "part", "binary", "unknown", "no record"],
)
def test_a_damaged_record_is_one_clear_error(store, tmp_path, content):
    store.save(record())
    (tmp_path / "state" / "demo.json").write_bytes(content)
    with pytest.raises(
        NetworkStateError, match=r"network 'demo' is damaged, .*state/demo\.json: .*; remove it"
    ) as caught:
        store.load("demo")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "damage",
    [{"nodes": None}, {"edges": "x"}, {"edges": [{}]}, {"ipv4_subnet": "x"}, {"nodes": [{"rank": 0}]}, None],
)
def test_a_record_with_a_damaged_plan_says_how_to_get_rid_of_it(store, damage):
    plan = {} if damage is None else {**record().plan, **damage}
    store.save(dataclasses.replace(record(), plan=plan))
    with pytest.raises(
        NetworkStateError, match=r"registration of network 'demo' is damaged, .*; run 'harness down --name demo'"
    ):
        _ = store.load("demo").network_plan


def _hold(folder, name, held, release):
    with LocalRegistry(folder).lock(name):
        held.set()
        release.wait(30)


@pytest.fixture
def other_process(tmp_path):
    """Holds the lock of "demo" in another process until told to release it."""
    context = multiprocessing.get_context("fork")
    held, release = context.Event(), context.Event()
    process = context.Process(target=_hold, args=(tmp_path / "state", "demo", held, release))
    process.start()
    assert held.wait(30)
    process.release = release
    yield process
    process.kill()
    process.join()


def test_a_lock_excludes_another_process(store, other_process, monkeypatch):
    monkeypatch.setattr(module, "_LOCK_SECONDS", 0.1)
    with (
        pytest.raises(NetworkStateError, match="network 'demo' is being changed by another command"),
        store.lock("demo"),
    ):
        pass
    with store.lock("another"):
        pass


def test_a_lock_is_waited_for(store, other_process):
    release = threading.Timer(0.2, other_process.release.set)
    started = time.monotonic()
    release.start()
    with store.lock("demo"):
        free, waited = other_process.release.is_set(), time.monotonic() - started
    release.join()  # before the other process is killed: to set its event waits for it
    assert free
    assert waited < 8


def test_a_lock_ends_with_the_process_that_held_it(store, other_process):
    other_process.kill()
    other_process.join()
    with store.lock("demo"):
        pass


def test_a_lock_is_given_back_after_an_error(store):
    with pytest.raises(ZeroDivisionError), store.lock("demo"):
        raise ZeroDivisionError
    with store.lock("demo"):
        pass


def test_locks_of_all_networks_are_one_file_that_stays(store, tmp_path):
    for name in ("demo", "py-12345-" + "0123456789abcdef" * 2):
        with store.lock(name):
            store.save(record(name))
            store.remove(name)
    assert [path.name for path in (tmp_path / "state").iterdir()] == ["locks"]


def test_a_lock_does_not_follow_a_link(store, tmp_path):
    mine = tmp_path / "mine"
    mine.write_text("dear to me")
    (tmp_path / "state").mkdir(mode=0o700)
    (tmp_path / "state" / "locks").symlink_to(mine)
    with pytest.raises(OSError, match="symbolic links"), store.lock("demo"):
        pass
    assert mine.read_text() == "dear to me"


def test_one_at_a_time_holds_a_lock(store):
    inside, most = [], []

    def take_turns():
        for _ in range(50):
            with store.lock("demo"):
                inside.append(1)
                most.append(len(inside))
                time.sleep(0.0005)
                inside.pop()

    threads = [threading.Thread(target=take_turns) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 200


def test_a_long_wait_is_logged_once(store, monkeypatch, caplog):
    monkeypatch.setattr(module, "_LOCK_SECONDS", 0.1)
    monkeypatch.setattr(module, "_SILENT_SECONDS", 0.02)
    with store.lock("demo"), pytest.raises(NetworkStateError), store.lock("demo"):
        pass
    assert caplog.messages == ["harness: network 'demo' is being changed by another command: waiting up to 0.1 s"]


def test_a_short_wait_is_not_logged(store, monkeypatch, caplog):
    monkeypatch.setattr(module, "_SILENT_SECONDS", 30)  # the machine may stall
    first = store.lock("demo")
    first.__enter__()
    timer = threading.Timer(0.05, first.__exit__, (None, None, None))
    timer.start()
    with store.lock("demo"):
        timer.join()
    assert caplog.messages == []


def test_networks_that_are_gone_are_swept(store, tmp_path):
    for name in ("gone", "here"):
        store.save(record(name))
    store.record_in("gone", tmp_path)
    (tmp_path / "state" / "bad.json").write_text("{")
    store.sweep(lambda found: found.name == "gone")
    left = {path.name for path in (tmp_path / "state").iterdir()}
    assert left == {"here.json", "bad.json", "locks"}  # `harness down` says what became of the bad one


def test_what_another_command_holds_is_not_swept(store, other_process, tmp_path):
    store.save(record())
    store.sweep(lambda _: True)
    assert store.names() == ["demo"]


def test_nothing_is_swept_in_a_folder_of_another_user(store, tmp_path, monkeypatch):
    store.save(record())
    monkeypatch.setattr(os, "geteuid", lambda: 54321)
    with pytest.raises(NetworkStateError, match="belongs to another user"):
        store.sweep(lambda _: True)
    monkeypatch.undo()
    assert store.names() == ["demo"]


def test_sweeping_makes_no_folder(store, tmp_path):
    store.sweep(lambda _: True)
    assert not (tmp_path / "state").exists()


def test_only_the_user_may_look_into_the_folder(store, tmp_path):
    store.save(record())
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700


@pytest.mark.parametrize(
    ("variables", "user", "folder"),
    [
        ({"HARNESS_STATE_DIR": "/x/y", "XDG_RUNTIME_DIR": "/run/user/5"}, 5, "/x/y"),
        ({"XDG_RUNTIME_DIR": "/run/user/5"}, 0, "/run/harness"),
        ({"XDG_RUNTIME_DIR": "/run/user/5"}, 5, "/run/user/5/harness"),
        ({}, 5, "/tmp/harness-5"),
    ],
)
def test_the_folder(monkeypatch, variables, user, folder):
    for name in ("HARNESS_STATE_DIR", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(os, "geteuid", lambda: user)
    monkeypatch.setattr("tempfile.gettempdir", lambda: "/tmp")
    assert StateFolder().path == Path(folder)


def test_records_are_json_that_others_can_read(store, tmp_path):
    store.save(record())
    assert json.loads((tmp_path / "state" / "demo.json").read_text())["engine"] == "netem"


def test_a_folder_that_cannot_be_made_is_one_clear_error(tmp_path):
    (tmp_path / "file").write_text("")
    store = LocalRegistry(tmp_path / "file" / "state")
    with pytest.raises(NetworkStateError, match="HARNESS_STATE_DIR"), store.lock("demo"):
        pass


@pytest.mark.parametrize(
    "use", [LocalRegistry.names, lambda store: store.load("demo"), lambda store: store.save(record())]
)
def test_a_folder_of_another_user_is_not_believed(store, monkeypatch, use):
    store.save(record())
    monkeypatch.setattr(os, "geteuid", lambda: 54321)
    with pytest.raises(NetworkStateError, match="state belongs to another user; set HARNESS_STATE_DIR"):
        use(store)


USES = [
    LocalRegistry.names,
    lambda store: store.load("demo"),
    lambda store: store.save(record()),
    lambda store: store.lock("demo").__enter__(),
    lambda store: store.sweep(lambda _: True),
    lambda store: store.recording("demo"),
]


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o770, 0o702])
@pytest.mark.parametrize("use", USES)
def test_a_folder_that_others_may_write_to_is_not_believed(store, tmp_path, use, mode):
    store.save(record())
    (tmp_path / "state").chmod(mode)
    with pytest.raises(NetworkStateError, match=rf"mode {mode:04o}.*chmod 700 {tmp_path}/state.*HARNESS_STATE_DIR"):
        use(store)
    (tmp_path / "state").chmod(0o700)
    assert store.names() == ["demo"]


@pytest.mark.parametrize(("mode", "fine"), [(0o777, False), (0o1777, True), (0o755, True)])
def test_a_folder_that_others_may_exchange_is_not_believed(tmp_path, mode, fine):
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(mode)
    store = LocalRegistry(tmp_path / "open" / "state")
    if fine:
        store.save(record())
        assert store.names() == ["demo"]
        return
    with pytest.raises(NetworkStateError, match=f"chmod o-w {tmp_path}/open"):
        store.save(record())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_record_that_another_user_left_is_not_believed(store, tmp_path):
    """It kills a process: the one that it names as the network's."""
    store.save(record())
    os.chown(tmp_path / "state" / "demo.json", 54321, 54321)
    with pytest.raises(RecordError, match="another user wrote it"):
        store.load("demo")


@pytest.mark.parametrize("name", ["demo.json", "demo.recording", ".demo.json.part", ".demo.recording.part"])
def test_no_link_in_the_folder_is_followed(store, tmp_path, name):
    store.save(record())
    mine = tmp_path / "mine"
    mine.write_text("dear to me")
    (tmp_path / "state" / name).unlink(missing_ok=True)
    (tmp_path / "state" / name).symlink_to(mine)
    store.save(record())
    store.record_in("demo", tmp_path)
    assert mine.read_text() == "dear to me"
    assert store.load("demo") == record()


def test_reading_makes_no_folder(store, tmp_path):
    assert store.names() == []
    assert store.load("demo") is None
    assert not (tmp_path / "state").exists()


def test_a_full_disk_is_one_clear_error(store, monkeypatch, tmp_path):
    def full(source, target):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), source)

    store.save(record())
    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(HarnessError, match=r"state/demo\.json cannot be written: No space left on device$"):
        store.save(dataclasses.replace(record(), created=9.0))
    assert store.load("demo") == record()
    assert [path.name for path in (tmp_path / "state").iterdir()] == ["demo.json"]


def test_a_record_that_is_no_file_is_a_damaged_one(store, tmp_path):
    (tmp_path / "state" / "demo.json").mkdir(parents=True)
    with pytest.raises(RecordError, match="harness down --name demo"):
        store.load("demo")


@pytest.mark.parametrize("damage", [{"plan": {}}, {"plan": []}, {"created": "noon"}, {"plan": {"nodes": 5}}])
def test_the_summary_of_a_damaged_record_says_how_to_get_rid_of_it(store, damage):
    assert record().summary["nodes"] == 3
    with pytest.raises(RecordError, match="harness down --name demo"):
        _ = dataclasses.replace(record(), **damage).summary


# Where changes are told


def test_changes_are_recorded_nowhere_by_default(store, tmp_path):
    assert store.recording("demo") is None
    store.save(record())
    assert store.recording("demo") is None
    store.record_in("demo", tmp_path / "run")
    assert store.recording("demo") == tmp_path / "run"
    assert store.recording("other") is None
    assert store.names() == ["demo"]
    store.record_in("demo", None)
    assert store.recording("demo") is None
    store.record_in("demo", None)


def test_a_relative_folder_is_found_from_everywhere(store, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store.record_in("demo", Path("here"))
    monkeypatch.chdir("/")
    assert store.recording("demo") == tmp_path / "here"


def test_changes_of_a_removed_network_are_recorded_nowhere(store, tmp_path):
    store.save(record())
    store.record_in("demo", tmp_path)
    store.remove("demo")
    assert store.recording("demo") is None
    assert list((tmp_path / "state").iterdir()) == []


def test_an_empty_recording_file_names_no_folder(store, tmp_path):
    store.record_in("demo", tmp_path)
    next((tmp_path / "state").glob("demo.rec*")).write_text("")
    assert store.recording("demo") is None


def test_a_jobs_steps_go_with_the_network(store, tmp_path):
    store.save(record())
    store.make_steps("demo").write_text("7\n")
    assert store.make_steps("demo").read_text() == "", "what an earlier job has left is not this one's"
    store.remove("demo")
    assert list((tmp_path / "state").iterdir()) == []
