"""A command lets a node record links and flows; the links are those of test_run_recorder.py."""

import asyncio
import json
from pathlib import Path

import pytest

from harness.agent import recording_orders as module
from harness.agent.recording_orders import RecordingOrders
from harness.errors import InputError
from tests.unit.agent.test_run_recorder import USER, CountingLinks


@pytest.fixture
def mounted(monkeypatch):
    monkeypatch.setattr(Path, "is_mount", lambda _: True)
    monkeypatch.setattr(module, "user_of", lambda: USER)


def lines(tmp_path):
    return [json.loads(line) for line in (tmp_path / "links-1.jsonl").read_text().splitlines()]


def test_from_one_order_to_the_other(tmp_path, mounted):
    async def job():
        orders = RecordingOrders(CountingLinks(1), asyncio.create_task, tmp_path)
        assert orders.answer({"do": "record", "attempt": 2}) == {"messages": []}
        while len(lines(tmp_path)) < 3:
            await asyncio.sleep(0.01)
        assert orders.answer({"do": "recorded", "end": False}) == {"messages": []}
        orders.answer({"do": "recorded", "end": True})
        count = len(lines(tmp_path))
        await asyncio.sleep(0.3)
        assert len(lines(tmp_path)) == count > 3
        orders.answer({"do": "recorded", "end": True})

    asyncio.run(job())
    assert {line["attempt"] for line in lines(tmp_path)} == {2}
    assert lines(tmp_path)[-1]["edges"], "the last one has everything"


def test_a_second_order_begins_anew(tmp_path, mounted):
    async def job():
        orders = RecordingOrders(CountingLinks(1), asyncio.create_task, tmp_path)
        for attempt in (1, 2):
            orders.answer({"do": "record", "attempt": attempt})
            while attempt not in (line["attempt"] for line in lines(tmp_path)):
                await asyncio.sleep(0.01)
        orders.end()

    asyncio.run(job())
    attempts = [line["attempt"] for line in lines(tmp_path)]
    assert attempts == sorted(attempts)
    assert set(attempts) == {1, 2}


def test_messages_are_told_once(tmp_path, mounted, monkeypatch):
    async def job():
        orders = RecordingOrders(CountingLinks(1), asyncio.create_task, tmp_path)
        orders.answer({"do": "record", "attempt": 1})
        await asyncio.sleep(0.5)
        told = [orders.answer({"do": "recorded", "end": False})["messages"] for _ in range(2)]
        orders.end()
        return told

    def refuse(*_, **__):
        raise OSError(105, "No buffer space available")

    monkeypatch.setattr(CountingLinks, "sample", refuse)
    assert asyncio.run(job()) == [["node 1 is not sampled: No buffer space available"], []]


def test_a_folder_of_the_image_alone_would_vanish_with_the_container(tmp_path):
    orders = RecordingOrders(CountingLinks(1), asyncio.create_task, tmp_path)
    with pytest.raises(InputError, match="is not a folder of the host; mount one there"):
        orders.answer({"do": "record", "attempt": 1})
