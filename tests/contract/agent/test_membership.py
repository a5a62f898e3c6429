"""Coordinator and workers over TCP: all in one process, over loopback."""

import asyncio
import contextlib
from dataclasses import replace

import pytest

from harness.agent import coordinator, discovery, heartbeats, silence, worker
from harness.agent.coordinator import Coordinator
from harness.agent.edits import Edits, LimitEdit, edits_message
from harness.agent.lifecycle import GONE, Lifecycle
from harness.agent.worker import Worker
from harness.errors import HarnessError, InputError
from harness.model.capacity import Capacity, NodeShape
from harness.model.units import Rate, Time
from tests.support.plans import network

PLAN = network("ring", 3)
NAMES = ["zero", "one", "two"]
LIMITED = NodeShape(uplink=Capacity(Rate(5_000_000)))


def where(rank=0):
    return "127.0.0.1"


def changed(pair, ms):
    edge = PLAN.edges[pair]
    return replace(edge, shape=edge.shape.changed(delay=Time(ms * 10**6)))


class Node:
    """An agent that only listens."""

    def __init__(self, rank, digest="same", stops=True, size=3, beats=False):
        self.rank, self.heard, self.edits, self.said = rank, [], Edits(), []
        if rank:
            self.membership = Worker(
                rank, digest, self.edits, self.take, lambda: "127.0.0.1", NAMES, stops, self.said.append, beats=beats
            )
        else:
            lifecycle = Lifecycle(size, stops)
            self.membership = Coordinator(
                lifecycle, digest, self.edits, self.take, lambda rank: where(rank), NAMES, "run", self.said.append,
                beats=beats,
            )  # fmt: skip
        self.task = None

    def take(self, message):
        self.heard.append(message)
        if message["do"] == "edits":
            self.edits.merge(message)

    def kinds(self):
        return [message["do"] for message in self.heard]

    def start(self):
        self.task = asyncio.ensure_future(self.membership.serve())
        return self

    async def end(self):
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError, HarnessError):
            await self.task


async def until(condition, seconds=30.0):
    async def wait():
        while not condition():
            await asyncio.sleep(0.01)

    await asyncio.wait_for(wait(), seconds)


@pytest.fixture(autouse=True)
def present(monkeypatch):
    """The names of running containers."""
    names = set(NAMES)
    monkeypatch.setattr(discovery, "look_up", lambda name: object() if name in names else None)
    return names


def play(scene):
    """Run a coroutine function, and end the nodes that it has made."""

    async def run():
        nodes = []

        def node(rank, **options):
            nodes.append(Node(rank, **options).start())
            return nodes[-1]

        try:
            await scene(node)
        finally:
            for one in reversed(nodes):
                await one.end()

    asyncio.run(run())


def test_all_are_told_to_go_once_the_last_is_there():
    async def scene(node):
        two, hub = node(2), node(0)  # whoever comes first
        await asyncio.sleep(0.3)
        assert "go" not in two.kinds() + hub.kinds()
        assert hub.membership.lifecycle.missing == [1]
        one = node(1)
        await until(lambda: all("go" in n.kinds() for n in (hub, one, two)))
        went = [next(message for message in n.heard if message["do"] == "go") for n in (hub, one, two)]
        assert [message["run"] for message in went] == ["run"] * 3
        assert went[0]["start"] == went[1]["start"] == went[2]["start"], "a scenario's time 0 is the same for all"

    play(scene)


def test_the_end_is_told_to_all_and_rank_0_waits_for_goodbyes(present):
    async def scene(node):
        hub, one, two = node(0), node(1), node(2)
        await until(lambda: all("go" in n.kinds() for n in (hub, one, two)))
        await one.membership.done(0)
        await two.membership.done(4)
        await until(lambda: {"do": "stop", "rank": 2, "code": 4} in one.heard)
        await hub.membership.done(143)
        await until(lambda: {"do": "end", "code": 4} in one.heard and {"do": "end", "code": 4} in two.heard)
        leaving = asyncio.ensure_future(hub.membership.leave())
        late = asyncio.ensure_future(one.membership.leave())
        await asyncio.sleep(0.2)
        assert not leaving.done(), "rank 2 has not said goodbye"
        other = asyncio.ensure_future(two.membership.leave())
        await asyncio.wait_for(leaving, 5)
        assert not late.done(), "who forwards stays until rank 0 has left"
        present.clear()
        await asyncio.wait_for(asyncio.gather(late, other), 5)

    play(scene)


def test_a_change_that_one_node_takes_reaches_all_and_who_comes_later():
    async def scene(node):
        hub, one = node(0), node(1)
        await until(lambda: hub.membership.lifecycle.missing == [2])
        news = edits_message([(7, changed((1, 2), 33)), (8, LimitEdit(1, LIMITED))])
        one.edits.merge(news)
        one.membership.share({"do": "edits", **news})
        await until(lambda: hub.edits.to_json() == news)
        two = node(2)
        await until(lambda: two.edits.to_json() == news)

    play(scene)


def test_what_a_node_knows_outlives_rank_0():
    async def scene(node):
        hub, one = node(0), node(1)
        news = edits_message([(9, changed((0, 1), 50)), (9, LimitEdit(0, LIMITED))])
        await until(lambda: hub.membership.lifecycle.missing == [2])
        one.edits.merge(news)
        await hub.end()
        again = node(0)
        await until(lambda: again.edits.to_json() == news)

    play(scene)


def test_a_node_with_another_plan_is_refused_and_says_so():
    async def scene(node):
        node(0)
        other = node(1, digest="different")
        with pytest.raises(InputError, match="rank 0 has another plan than this node"):
            await asyncio.wait_for(asyncio.shield(other.task), 5)

    play(scene)


def test_strangers_at_the_door_do_no_harm():
    async def scene(node):
        hub = node(0)
        for line in (
            b"GET / HTTP/1.1\r\n\r\n",
            b"[1, 2]\n",
            b'{"do":"shaped"}\n',
            b'{"do":"hello","rank":7}\n',
            b"\xff\n",
        ):
            for _ in range(50):
                with contextlib.suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", 29321)
                    break
                await asyncio.sleep(0.02)
            writer.write(line)
            await writer.drain()
            writer.close()
        await asyncio.sleep(0.1)
        assert hub.membership.lifecycle.missing == [1, 2]
        assert not hub.task.done()
        one, two = node(1), node(2)
        await until(lambda: all("go" in n.kinds() for n in (hub, one, two)))

    play(scene)


def test_without_rank_0_each_node_is_on_its_own():
    async def scene(node):
        hub, one, two = node(0), node(1, stops=True), node(2, stops=False)
        await until(lambda: all("go" in n.kinds() for n in (hub, one, two)))
        await hub.end()
        one.membership.lose(0)
        two.membership.lose(0)
        assert one.kinds()[-2:] == ["lost", "stop"]
        assert two.kinds()[-1] == "lost"
        await one.membership.done(1)
        await two.membership.done(0)
        assert one.heard[-1] == {"do": "end", "code": GONE}
        assert two.heard[-1] == {"do": "end", "code": GONE}

    play(scene)


def test_a_node_whose_container_is_gone_is_told_to_the_others_and_back_when_it_is():
    async def scene(node):
        hub, one, two = node(0, stops=False), node(1), node(2)
        await until(lambda: all("go" in n.kinds() for n in (hub, one, two)))
        await two.end()
        hub.membership.lose(2)
        await until(lambda: {"do": "lost", "rank": 2} in one.heard)
        assert hub.membership.lifecycle.gone == [2]
        back = node(2)
        await until(lambda: "go" in back.kinds() and {"do": "back", "rank": 2} in one.heard)
        assert hub.membership.lifecycle.gone == []

    play(scene)


@pytest.mark.parametrize("first", [0, 1])
def test_the_rank_that_is_gone_is_blamed_and_not_the_one_that_felt_it_first(present, first):
    """A collective fails within milliseconds, but names are looked up every two seconds."""

    async def scene(node):
        nodes = hub, one, two = node(0), node(1), node(2)
        await until(lambda: all("go" in n.kinds() for n in nodes))
        await two.end()
        present.discard("two")
        await nodes[first].membership.done(70)
        await until(lambda: {"do": "stop", "rank": 2, "code": GONE} in one.heard)
        await nodes[1 - first].membership.done(70)
        await until(lambda: {"do": "end", "code": GONE} in one.heard and {"do": "end", "code": GONE} in hub.heard)

    play(scene)


def test_rank_0_is_blamed_where_it_is_rank_0_that_is_gone(present):
    async def scene(node):
        hub, one, two = node(0), node(1), node(2)
        await until(lambda: all("go" in n.kinds() for n in (hub, one, two)))
        await hub.end()
        present.discard("zero")
        await one.membership.done(70)
        assert one.heard[-1] == {"do": "end", "code": GONE}

    play(scene)


def test_a_node_that_is_restarted_before_anybody_missed_it_is_known_to_have_been_away(present):
    async def scene(node):
        hub, one, two = node(0), node(1), node(2)
        await until(lambda: all("go" in n.kinds() for n in (hub, one, two)))
        await two.end()
        again = node(2)
        await until(lambda: {"do": "lost", "rank": 2} in one.heard)
        await until(lambda: {"do": "stop", "rank": 2, "code": GONE} in again.heard)
        for other in (hub, one, again):
            await other.membership.done(143)
        await until(lambda: all({"do": "end", "code": GONE} in n.heard for n in (hub, one, again)))

    play(scene)


def test_a_rank_0_that_is_restarted_before_anybody_missed_it_is_known_to_have_been_away(present):
    async def scene(node):
        hub, one, two = node(0), node(1), node(2)
        await until(lambda: all("go" in n.kinds() for n in (hub, one, two)))
        await hub.end()
        again = node(0)
        await until(lambda: all({"do": "stop", "rank": 0, "code": GONE} in n.heard for n in (one, two)))
        await asyncio.sleep(0.5)
        assert "go" not in again.kinds(), "the others still stop their jobs"
        for other in (one, two):
            await other.membership.done(GONE)
        await until(lambda: "stop" in again.kinds())
        await again.membership.done(143)
        await until(lambda: all("end" in n.kinds() for n in (again, one, two)))
        assert one.kinds().count("lost") == two.kinds().count("lost") == 1

    play(scene)


def test_a_rank_0_that_is_restarted_once_jobs_have_ended_does_not_start_its_own(present):
    async def scene(node):
        hub, one, two = node(0), node(1), node(2)
        await until(lambda: all("go" in n.kinds() for n in (hub, one, two)))
        hub.membership.stopped(143)
        await until(lambda: all({"do": "stop", "rank": 0, "code": 143} in n.heard for n in (one, two)))
        await hub.end()
        for other in (one, two):
            other.membership._code = 143  # its job ended when nobody listened
        again = node(0)
        await until(lambda: "stop" in again.kinds())
        assert "go" not in again.kinds()

    play(scene)


def test_a_goodbye_is_said_again_where_the_connection_was_away(present):
    """Else rank 0 would wait for it for as long as the node waits for rank 0's end."""

    async def scene(node):
        hub, one, two = node(0), node(1), node(2)
        await until(lambda: all("go" in n.kinds() for n in (hub, one, two)))
        for other in (hub, one, two):
            await other.membership.done(0)
        await until(lambda: all("end" in n.kinds() for n in (hub, one, two)))
        leaving = [asyncio.ensure_future(one.membership.leave())]
        one.membership._writer.transport.abort()
        one.membership._writer = None
        leaving += [asyncio.ensure_future(n.membership.leave()) for n in (two, hub)]
        await asyncio.wait_for(leaving[-1], 10)
        present.discard("zero")
        await asyncio.wait_for(asyncio.gather(*leaving), 10)

    play(scene)


def test_only_who_has_a_ranks_address_speaks_for_it(monkeypatch):
    async def scene(node):
        monkeypatch.setitem(globals(), "where", lambda rank=0: "127.0.0.1" if rank == 0 else "127.0.0.9")
        hub, one = node(0), node(1)
        await asyncio.sleep(0.5)
        assert hub.membership.lifecycle.missing == [1, 2]
        assert not one.heard

    play(scene)


@pytest.fixture
def hurried(monkeypatch):
    """A second takes 30 ms."""
    for module, name, value in ((heartbeats, "BEAT_SECONDS", 0.03), (silence, "_MOST", 0.045)):
        monkeypatch.setattr(module, name, value)
    for module in (coordinator, worker):
        monkeypatch.setattr(module, "PEER_SECONDS", 0.18)


def freeze(one):
    """Its machine is cut off: it sends nothing more, but no connection ends."""
    one.membership._say = one.membership._send_to_all = lambda *_: None


@pytest.mark.parametrize("stops", [True, False])
def test_who_falls_silent_is_gone_where_agents_have_a_network_of_their_own(hurried, stops):
    async def scene(node):
        nodes = hub, one, two = [node(rank, beats=True, stops=stops) for rank in range(3)]
        await until(lambda: all("go" in n.kinds() for n in nodes))
        await asyncio.sleep(0.5)
        assert "lost" not in hub.kinds() + one.kinds() + two.kinds(), "beats are heard"
        freeze(two)
        gone = {"do": "lost", "rank": 2, "why": heartbeats.SILENT}
        await until(lambda: gone in hub.heard and gone in one.heard, 5)
        assert ({"do": "stop", "rank": 2, "code": GONE} in one.heard) == stops
        if not stops:  # it is there again, by a connection of its own
            del two.membership._say
            await until(lambda: hub.membership.lifecycle.gone == [], 5)

    play(scene)


def test_without_a_sign_of_rank_0_each_node_ends_by_itself(hurried):
    async def scene(node):
        nodes = hub, one, two = [node(rank, beats=True) for rank in range(3)]
        await until(lambda: all("go" in n.kinds() for n in nodes))
        freeze(hub)
        for each in (one, two):
            await until(lambda each=each: {"do": "lost", "rank": 0, "why": heartbeats.SILENT} in each.heard, 5)
            assert {"do": "stop", "rank": 0, "code": GONE} in each.heard
            await each.membership.done(143)
            assert each.heard[-1] == {"do": "end", "code": GONE}
            await asyncio.wait_for(each.membership.leave(), 1)

    play(scene)


@pytest.mark.parametrize("who", [0, 2])
def test_a_node_that_gives_up_says_why_and_counts_as_the_first_that_failed(who):
    async def scene(node):
        nodes = [node(rank, beats=True) for rank in range(3)]
        await until(lambda: all("go" in n.kinds() for n in nodes))
        nodes[who].membership.give_up("its machine's Docker daemon does not answer")
        if who:
            await asyncio.sleep(0.5)
            assert nodes[0].membership.lifecycle.gone == [who], "it does not come back while its job ends"
        await nodes[who].end()
        gone = {"do": "lost", "rank": who, "why": "its machine's Docker daemon does not answer"}
        others = [each for each in nodes if each.rank != who]
        for each in others:
            await until(lambda each=each: gone in each.heard and each.kinds()[-1] == "stop", 5)
        for each in others:
            await each.membership.done(143)
        for each in others:
            await until(lambda each=each: each.heard[-1] == {"do": "end", "code": GONE}, 5)

    play(scene)


@pytest.mark.parametrize("who", [0, 2])
def test_who_was_killed_is_blamed_by_its_connection_where_names_of_other_machines_stay(who):
    """Swarm's name servers take seconds to forget a name, and ask other servers about unknown ones."""

    async def scene(node):
        nodes = [node(rank, beats=True) for rank in range(3)]
        await until(lambda: all("go" in n.kinds() for n in nodes))
        await nodes[who].end()
        await nodes[1].membership.done(70)
        await until(lambda: any(m == {"do": "stop", "rank": who, "code": GONE} for m in nodes[1].heard), 5)

    play(scene)


def test_at_the_end_workers_leave_when_rank_0_has_gone_whatever_names_say():
    async def scene(node):
        nodes = hub, one, two = [node(rank, beats=True) for rank in range(3)]
        await until(lambda: all("go" in n.kinds() for n in nodes))
        for each in nodes:
            await each.membership.done(0)
        await until(lambda: all(n.heard[-1] == {"do": "end", "code": 0} for n in nodes))
        leaving = [asyncio.ensure_future(each.membership.leave()) for each in (one, two)]
        await asyncio.wait_for(hub.membership.leave(), 5)
        assert not any(each.done() for each in leaving)
        await hub.end()
        await asyncio.wait_for(asyncio.gather(*leaving), 5)

    play(scene)


def test_over_the_links_silence_says_nothing(hurried):
    async def scene(node):
        nodes = hub, one, two = [node(rank) for rank in range(3)]
        await until(lambda: all("go" in n.kinds() for n in nodes))
        freeze(two)
        await asyncio.sleep(0.5)
        assert "lost" not in hub.kinds() + one.kinds()

    play(scene)


def test_a_daemon_that_is_gone_answers_no_question(monkeypatch, hurried):
    monkeypatch.setattr(heartbeats, "DAEMON_SECONDS", 0.24)
    asked, alive = [], [True]

    def look_up(name):
        asked.append(name)
        if not alive[0]:
            raise discovery.Unanswered("refused")  # else None is an answer, too: it knows no such name

    monkeypatch.setattr(discovery, "look_up", look_up)

    async def scene():
        gone = asyncio.ensure_future(heartbeats.until_daemon_is_gone("manage-2"))
        await asyncio.sleep(0.5)
        assert not gone.done()
        alive[0] = False
        await asyncio.wait_for(gone, 5)

    asyncio.run(scene())
    assert set(asked) == {"manage-2"}
