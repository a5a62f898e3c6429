"""Results are sent to rank 0, over loopback, from and to real folders."""

import asyncio
import contextlib
import errno
import json
import os
from ipaddress import IPv4Address

import pytest

from harness.agent import results
from harness.agent.results import Results, send_results

ADDRESSES = tuple(IPv4Address(f"127.0.0.{rank + 1}") for rank in range(3))
WHERE = "127.0.0.1", results.PORT
USER = os.getuid(), os.getgid()


@pytest.fixture
def folders(tmp_path):
    """The run folders of rank 0 and of the others."""
    made = [tmp_path / f"rank{rank}" / "20261127-231500" for rank in range(3)]
    for folder in made:
        folder.mkdir(parents=True)
    return made


@pytest.fixture
def connect(monkeypatch):
    """Let connections come from a rank's address."""
    real = asyncio.open_connection

    def become(rank):
        own = (str(ADDRESSES[rank]), 0)
        monkeypatch.setattr(
            asyncio, "open_connection", lambda *where, **options: real(*where, local_addr=own, **options)
        )

    return become


def run(folder, scene):
    """What rank 0 received during the scene, and what agents logged."""

    async def whole():
        receiver, said = Results(ADDRESSES, lambda: folder, USER), []
        async with await receiver.open(WHERE):
            await asyncio.wait_for(scene(said.append), 20)
            while receiver.busy:
                await asyncio.sleep(0.01)
        return receiver, said

    return asyncio.run(whole())


def test_every_file_of_the_others_comes_whole_and_what_is_there_stays(folders, connect):
    large = os.urandom(3 << 20)
    for rank in (1, 2):
        (folders[rank] / f"links-{rank}.jsonl").write_text(f"{rank}\n")
        (folders[rank] / "checkpoints").mkdir()
        (folders[rank] / "checkpoints" / f"rank-{rank}-step-9.pt").write_bytes(large)
        (folders[rank] / "steps").write_text("theirs")
        (folders[rank] / "empty").touch()
    (folders[0] / "steps").write_text("ours")

    async def scene(say):
        for rank in (1, 2):
            connect(rank)
            await send_results(folders[rank], WHERE, USER, say)

    received, said = run(folders[0], scene)
    assert said == []
    for rank in (1, 2):
        assert (folders[0] / f"links-{rank}.jsonl").read_text() == f"{rank}\n"
        assert (folders[0] / "checkpoints" / f"rank-{rank}-step-9.pt").read_bytes() == large
    assert (folders[0] / "steps").read_text() == "ours"
    assert not list(folders[0].rglob(".*")), "no partial files stay"
    assert received.complete == {1, 2}
    assert received.summary(3, []) == "results: 5 files of other ranks (6.29 MB) came here"
    assert received.summary(5, [3]) == received.summary(3, []) + ", not those of rank 3, 4; gone: 3"
    assert received.summary(4, [3]) == received.summary(3, []) + ", not those of rank 3, which is gone"


def test_a_folder_that_all_share_is_as_it_was(folders, connect):
    connect(1)
    (folders[0] / "links-1.jsonl").write_text("1\n")
    received, said = run(folders[0], lambda say: send_results(folders[0], WHERE, USER, say))
    assert (said, received.files, received.summary(1, [])) == ([], 0, "")


def test_a_file_of_which_the_end_does_not_come_is_not_there(folders, connect):
    async def scene(_say):
        connect(1)
        reader, writer = await asyncio.open_connection(*WHERE)
        for message in ({"run": folders[0].name}, {"name": "a.jsonl", "size": 100}):
            writer.write(json.dumps(message).encode() + b"\n")
            assert json.loads(await reader.readline()) == {"want": True}
        writer.write(b"too little")
        writer.close()

    received, _ = run(folders[0], scene)
    assert list(folders[0].iterdir()) == []
    assert received.complete == set()


@pytest.mark.parametrize(
    ("rank", "messages"),
    [
        (1, [{"run": "20261127-231500"}, {"name": "../escaped", "size": 1}]),
        (1, [{"run": "20261127-231500"}, {"name": "a", "size": results.MOST_BYTES + 1}]),
        (1, [{"run": "20261127-231500"}, {"name": "a", "size": -1}]),
        (1, [{"run": "another"}, {"name": "a", "size": 1}]),
        (5, [{"run": "20261127-231500"}, {"name": "a", "size": 1}]),
        (1, [["no", "object"]]),
    ],
)
def test_what_is_no_file_of_this_run_ends_the_conversation(folders, rank, messages):
    async def scene(_say):
        reader, writer = await asyncio.open_connection(*WHERE, local_addr=(f"127.0.0.{rank + 1}", 0))
        for message in messages:
            writer.write(json.dumps(message).encode() + b"\n")
        writer.write(b"x")
        answers = []
        with contextlib.suppress(ConnectionResetError):
            answers += [line async for line in reader]
        writer.close()
        assert answers in ([], [b'{"want": true}\n'], [b'{"want": false}\n'])

    run(folders[0], scene)
    assert list(folders[0].iterdir()) == []
    assert not (folders[0].parent / "escaped").exists()


def test_what_is_too_much_is_named(folders, connect, monkeypatch):
    monkeypatch.setattr(results, "MOST_BYTES", 1000)
    monkeypatch.setattr(results.chosen, "__defaults__", (1000,))
    (folders[1] / "rank-1.jsonl").write_text("{}\n")
    (folders[1] / "large.pt").write_bytes(bytes(2048))

    async def scene(say):
        connect(1)
        await send_results(folders[1], WHERE, USER, say)

    received, (line,) = run(folders[0], scene)
    assert line == "results over 1 kB in all are not sent to rank 0, so these are lost: large.pt (2.05 kB)"
    assert [path.name for path in folders[0].iterdir()] == ["rank-1.jsonl"]
    assert received.complete == {1}


def test_where_rank_0_cannot_be_reached_the_worker_says_so(folders):
    said = []
    asyncio.run(send_results(folders[1], WHERE, USER, said.append))
    assert "results could not be sent to rank 0" in said[0]


def test_where_rank_0_cannot_write_both_logs_say_so(folders, connect, monkeypatch):
    (folders[1] / "a.pt").write_bytes(bytes(1 << 20))
    (folders[1] / "b.pt").write_bytes(bytes(2 << 20))

    async def full(reader, write, size):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(results, "_copy", full)

    async def scene(say):
        connect(1)
        await send_results(folders[1], WHERE, USER, say)

    received, (line,) = run(folders[0], scene)
    assert line.startswith("results could not be sent to rank 0: ")
    assert received.summary(2, []) == "results: not those of rank 1 (No space left on device)"
    assert list(folders[0].iterdir()) == []
