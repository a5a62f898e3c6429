"""Networks from Python: functions on nodes, links that change meanwhile, and what is left when something fails."""

import os
import pickle
import signal
import socket
import statistics
import subprocess
import sys
import time

import pytest

import harness
from harness.experiment.report.load import load_experiment
from harness.model.units import Time
from harness.networks.backends import DOCKER, find_backend
from tests.support.cli import processes, wait_for
from tests.support.live import needs, own, registry, runtime_name

pytestmark = [*needs(), pytest.mark.filterwarnings("ignore::harness.HarnessWarning")]


BOUND = 120
"""Seconds; far more than is needed, so that what hangs fails."""


@pytest.fixture(scope="module")
def net():
    """Three nodes without shapes, for tests that leave the links alone."""
    with harness.network(3, profile="none") as made:
        yield made


class MyError(Exception):
    pass


def rank():
    return int(os.environ["RANK"])


# Functions


@pytest.mark.backend
def test_results_are_in_rank_order_and_arguments_arrive(net):
    factor = 10

    def scaled(offset, *, sign):
        time.sleep(0.2 * (2 - rank()))  # the last rank answers first
        return sign * (factor * rank() + offset)

    assert net.run(scaled, 1, sign=-1, timeout=BOUND) == [-1, -11, -21]


def test_some_ranks_in_the_order_asked(net):
    assert net.run(rank, ranks=[2, 0], timeout=BOUND) == [2, 0]


@pytest.mark.backend
def test_nodes_have_torchruns_variables_and_those_given(net):
    names = ("WORLD_SIZE", "MASTER_ADDR", "MINE")
    told = net.run(lambda: [os.environ[name] for name in names], env={"MINE": "seen"}, timeout=BOUND)
    assert told == [["3", net.address(0), "seen"]] * 3


@pytest.mark.backend
def test_every_rank_is_in_its_own_node(net):
    def own_address():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
            one.connect((os.environ["MASTER_ADDR"], 1))
            return one.getsockname()[0]

    assert net.run(own_address, ranks=[1, 2], timeout=BOUND) == [net.address(1), net.address(2)]


@pytest.mark.backend
def test_what_functions_print_is_printed_with_the_rank(net, capsys):
    def talk():
        print(f"I am {rank()}")
        print("oh", file=sys.stderr)
        os.write(1, b"no end of line")
        return b"\n" * 5000

    assert net.run(talk, ranks=[0, 2], timeout=BOUND) == [b"\n" * 5000] * 2
    out, err = capsys.readouterr()
    assert sorted(out.splitlines()) == ["[0] I am 0", "[0] no end of line", "[2] I am 2", "[2] no end of line"]
    assert sorted(err.splitlines()) == ["[0] oh", "[2] oh"]


@pytest.mark.backend
def test_a_result_of_20_megabytes(net):
    size = 20 << 20

    def large():
        return bytes([rank()]) * size

    first, second = net.run(large, ranks=[1, 2], timeout=BOUND)
    assert (first, second) == (b"\1" * size, b"\2" * size)


@pytest.mark.backend
def test_an_argument_of_20_megabytes(net):
    given = os.urandom(20 << 20)
    told = net.run(lambda data: (len(data), data[-9:]), given, ranks=[1], timeout=BOUND)
    assert told == [(len(given), given[-9:])]


@pytest.mark.torch
def test_gloo_collectives_just_work(net):
    def reduce():
        import torch
        import torch.distributed as dist

        dist.init_process_group("gloo")
        tensor = torch.full((1000,), float(rank() + 1))
        dist.all_reduce(tensor)
        dist.barrier()
        dist.destroy_process_group()
        return tensor.sum().item(), tensor[:2]

    for total, tensor in net.run(reduce, timeout=300):
        assert total == 6000.0
        assert tensor.tolist() == [6.0, 6.0]


# Failures


@pytest.mark.backend
def test_an_exception_says_its_rank_and_stops_the_others(net):
    def fails():
        if rank() == 1:
            raise MyError("boom")
        time.sleep(100)

    started = time.monotonic()
    with pytest.raises(harness.RankError, match=r"rank 1: .*MyError: boom") as raised:
        net.run(fails, timeout=BOUND)
    assert time.monotonic() - started < 50
    assert raised.value.rank == 1
    assert type(raised.value.__cause__) is MyError
    assert "in fails" in raised.value.__notes__[0]
    assert net.run(rank, timeout=BOUND) == [0, 1, 2]


@pytest.mark.backend
def test_an_assertion_in_a_node_has_its_words(net):
    def asserts():
        world = int(os.environ["WORLD_SIZE"])
        assert world == 17, "the world is small"

    with pytest.raises(harness.RankError, match=r"rank 0: AssertionError: the world is small\nassert 3 == 17"):
        net.run(asserts, ranks=[0], timeout=BOUND)


@pytest.mark.backend
def test_a_rank_that_is_killed_says_its_last_words(net, capsys):
    def dies():
        print("about to go")
        if rank() == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(100)

    with pytest.raises(harness.RankError, match="rank 2: it was killed by SIGKILL before it answered") as raised:
        net.run(dies, timeout=BOUND)
    assert raised.value.__notes__ == ["the last lines of rank 2:\nabout to go"]


def test_a_rank_that_leaves_without_an_answer(net):
    with pytest.raises(harness.RankError, match="rank 1: it ended with exit code 0 before it answered"):
        net.run(lambda: os._exit(0) if rank() == 1 else 5, timeout=BOUND)
    with pytest.raises(harness.RankError, match="rank 0: it ended with exit code 9 before it answered"):
        net.run(os._exit, 9, ranks=[0], timeout=BOUND)


@pytest.mark.backend
def test_a_timeout_names_who_had_not_ended_and_stops_them(net):
    def some_sleep():
        if rank() != 1:
            time.sleep(1000)

    seconds = 3
    with pytest.raises(TimeoutError, match=r"some_sleep: still running after 3 s: rank 0, 2$"):
        wait_long_enough(net, some_sleep, seconds)
    assert net.run(rank, timeout=BOUND) == [0, 1, 2]


def wait_long_enough(net, function, seconds):
    """Once the one rank that ends has ended, however loaded the machine is."""
    call = net.start(function)
    wait_for(lambda: call._job.unended() == [0, 2], 60)
    try:
        call.result(timeout=seconds)
    finally:
        assert call.running
        call.stop()
        assert not call.running


def test_run_stops_all_at_its_timeout(net):
    seconds = str(20_000_000 + os.getpid())
    with pytest.raises(TimeoutError, match=r"<lambda>: still running after 2 s: rank 0, 1, 2"):
        net.run(lambda: subprocess.run(["sleep", seconds]), timeout=2)
    wait_for(lambda: not processes(f"sleep\0{seconds}"))


@pytest.mark.backend
def test_a_program_that_is_not_there(net):
    if net.runtime == "docker":
        assert [ended.code for ended in net.exec(["no-such-program"], ranks=[1], timeout=BOUND)] == [127]
    else:
        with pytest.raises(harness.HarnessError, match="node 1: start 'no-such-program'"):
            net.exec(["no-such-program"], ranks=[1], timeout=BOUND)


def test_programs_on_all_nodes(net):
    ended = net.exec(["sh", "-c", "echo $RANK of $WORLD_SIZE $MINE; echo oh >&2"], env={"MINE": "x"}, timeout=BOUND)
    assert [(one.rank, one.code, one.stdout, one.stderr) for one in ended] == [
        (number, 0, f"{number} of 3 x\n", "oh\n") for number in range(3)
    ]
    serving = ["sh", "-c", "test $RANK = 0 || sleep 100"]  # clients that wait for a server for ever
    assert [one.code for one in net.exec(serving, until="rank:0", timeout=BOUND)] == [0, *[143] * (net.size - 1)]
    with pytest.raises(harness.HarnessError, match="the program does not run on that rank"):
        net.exec(serving, ranks=[1], until="rank:0")
    failed = net.exec(["sh", "-c", "test $RANK != 1 && sleep 100; exit 3"], timeout=BOUND)
    assert failed[1].code == 3
    assert 0 not in [one.code for one in failed]
    with pytest.raises(TimeoutError, match="sleep: still running after 1 s: rank 0, 1, 2"):
        net.exec(["sleep", "100"], timeout=1)


def test_a_network_cannot_be_sent_into_itself(net):
    with pytest.raises(harness.HarnessError, match="cannot be sent to its own nodes"):
        net.run(lambda: net.size, timeout=BOUND)
    with pytest.raises(TypeError, match="ShapedNetwork"):
        pickle.dumps(net)


def test_ranks_that_make_no_sense(net):
    for ranks in ([], [1, 1], [3], [-1]):
        with pytest.raises(harness.HarnessError, match="rank"):
            net.run(rank, ranks=ranks, timeout=BOUND)


# Links that change


def ping_until(peer, slow, seconds=60):
    """Round trips in seconds to rank 1, until ten of them took at least ``slow``."""
    times = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        if rank() == 1:
            one.bind(("", 5000))
            while True:
                data, sender = one.recvfrom(100)
                if data == b"end":
                    return None
                one.sendto(data, sender)
        one.settimeout(2)
        deadline = time.monotonic() + seconds
        while sum(took >= slow for took in times) < 10 and time.monotonic() < deadline:
            number = str(time.monotonic()).encode()
            started = time.monotonic()
            one.sendto(number, (peer, 5000))
            try:
                while one.recv(100) != number:
                    pass
            except OSError:  # nobody listens yet
                continue
            times.append(time.monotonic() - started)
            time.sleep(0.05)
        for _ in range(5):
            one.sendto(b"end", (peer, 5000))
    return times


@pytest.mark.timing
def test_a_reshape_is_felt_by_what_runs():
    with harness.network(2, "line", "none") as net:
        net.set("0-1", delay="20ms")
        call = net.start(ping_until, net.address(1), 0.3)
        assert call.running
        wait_for(lambda: net.stats("0-1")[0, 1].sent_packets >= 15, 60)
        done = net.set(delay="150ms")
        assert done.changed == ((0, 1), (1, 0))
        times, nothing = call.result(timeout=90)
        assert nothing is None
        fast, last = [t for t in times if t < 0.3], times[-8:]
        assert len(fast) >= 5
        assert min(fast) >= 0.040
        assert statistics.median(fast) < 0.080
        assert all(t >= 0.300 for t in last)
        assert min(last) < 0.400


@pytest.mark.backend
def test_shapes_as_requested_and_as_applied():
    with harness.network(3, "ring", "mobile", seed=3) as net:
        drawn = net.requested()
        assert {pair: shape.delay for pair, shape in net.applied().items()} == {
            pair: shape.delay for pair, shape in drawn.items()
        }
        net.set("0-1", one_way=True, delay="70ms", jitter="0ms", rate="5mbit")
        assert (str(net.applied("0-1")[0, 1].delay), str(net.requested()[0, 1].rate)) == ("70ms", "5Mbit")
        assert net.requested()[1, 0] == drawn[1, 0]
        net.set("1-2", clear=True)
        cleared = net.applied("1-2")[1, 2]
        assert (cleared.rate, cleared.delay.ns, cleared.mean_loss) == (None, 0, 0)
        net.set(profile="mobile", seed=3)
        assert net.requested() == drawn


@pytest.mark.timing
def test_a_partition_is_felt_and_healed():
    def ping(net, src, dst):
        argv = ["ping", "-c", "1", "-W", "1", net.address(dst)]
        return net.exec(argv, ranks=[src], timeout=BOUND)[0].code == 0

    with harness.network(3, profile="none") as net:
        net.partition("0|1,2")
        assert not ping(net, 0, 1)
        assert ping(net, 2, 1)
        net.heal()
        assert ping(net, 0, 1)
        net.link_down("1-2")
        assert not ping(net, 2, 1)
        net.link_up("1-2")
        assert ping(net, 2, 1)


@pytest.mark.timing
def test_what_traffic_says_of_the_links():
    with harness.network(2, profile="none") as net:
        net.set(delay="20ms", rate="50mbit")
        rows = net.verify(seconds=2)
    assert {(row.src, row.dst) for row in rows} == {(0, 1), (1, 0)}
    trips = [row for row in rows if row.quantity == "rtt"]
    assert len(trips) == 2
    assert all(row.requested == 0.04 and row.measured >= 0.04 for row in trips)


def test_nonsense_about_links_changes_nothing(net):
    before = net.plan
    for wrong in ({"delay": "12 parsecs"}, {"delai": "1ms"}, {}, {"jitter": "5ms"}, {"profile": "wann"}):
        with pytest.raises(harness.HarnessError) as raised:
            net.set("0-1", **wrong)
        assert raised.value.exit_code == 2
    for edges in ("0-7", "0", "1-1"):
        with pytest.raises(harness.HarnessError):
            net.set(edges, delay="1ms")
    assert net.plan is before


# Beginning and end


def test_several_at_once_and_each_call_with_a_port_of_its_own():
    gate = f"/tmp/{own('gate')}"
    with harness.network(2, profile="none") as one, harness.network(2, profile="none") as other:
        assert one.name != other.name

        def port():
            deadline = time.monotonic() + 100
            while rank() == 0 and not os.path.exists(gate) and time.monotonic() < deadline:
                time.sleep(0.05)
            return os.environ["MASTER_PORT"]

        calls = [net.start(port) for net in (one, one, other)]
        assert all(call.running for call in calls)
        try:
            for net in (one, other):  # in namespaces the same file twice
                net.exec(["touch", gate], ranks=[0], timeout=BOUND)
            first, second, third = (call.result(BOUND) for call in calls)
        finally:
            for net in (one, other):
                net.exec(["rm", "-f", gate], ranks=[0], timeout=BOUND)
        assert first[0] == first[1] == third[0]
        assert second[0] != first[0]


@pytest.mark.backend
def test_the_end_stops_what_runs_and_leaves_nothing():
    seconds = str(30_000_000 + os.getpid())
    with harness.network(2, profile="none") as net:
        call = net.start(lambda: subprocess.run(["sleep", seconds]))
        wait_for(lambda: len(processes(f"sleep\0{seconds}")) == 2)
        assert net.name in registry().names()
    assert net.name not in registry().names()
    wait_for(lambda: not processes(f"sleep\0{seconds}"))
    run, execute = lambda: net.run(rank, timeout=BOUND), lambda: net.exec(["true"], timeout=BOUND)
    for action in (call.result, net.heal, net.applied, run, execute):
        with pytest.raises(harness.HarnessError, match=r"stopped|down"):
            action()
    net.down()


def fail_at_once():
    raise MyError("unheard")


def test_a_failure_that_nobody_asked_about_is_raised_at_the_end():
    net = harness.network(2, profile="none")
    call = net.start(fail_at_once, ranks=[1])
    wait_for(lambda: not call.running)
    with pytest.raises(harness.RankError, match="MyError: unheard"):
        net.down()
    net.down()


def test_it_does_not_hide_what_the_block_raised():
    def block():
        with harness.network(2, profile="none") as net:
            call = net.start(fail_at_once, ranks=[1])
            wait_for(lambda: not call.running)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        block()


PROGRAM = """
import subprocess, sys
import harness

name, seconds = sys.argv[1:]
with harness.network(2, profile="none", name=name) as net:
    net.run(lambda: subprocess.run(["sleep", seconds]), timeout=300)
"""


@pytest.mark.backend
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_program_that_is_interrupted_or_killed_leaves_nothing(number, tmp_path):
    name, seconds = own(f"py-{number}"), str(40_000_000 + 100_000 * number + os.getpid() % 100_000)
    (tmp_path / "program.py").write_text(PROGRAM)
    argv = [sys.executable, "-W", "ignore", str(tmp_path / "program.py"), name, seconds]
    program = subprocess.Popen(argv, stderr=subprocess.PIPE, env=os.environ)
    try:
        wait_for(lambda: len(processes(f"sleep\0{seconds}")) == 2 or program.poll() is not None, 90)
        program.send_signal(number)
        told = program.communicate(timeout=60)[1].decode()
    finally:
        program.kill()
    assert program.returncode == -number, told
    wait_for(lambda: not processes(f"sleep\0{seconds}"), 60)
    wait_for(lambda: not is_up(name), 60)
    with harness.network(2, profile="none", name=name):
        pass


def is_up(name):
    """Whether nodes of that network live; what else is left of one that was killed, the next of its name removes."""
    if runtime_name() == DOCKER:
        return name in [found.name for found in registry().found() if found.running]
    record = registry().load(name)
    return record is not None and find_backend(record).alive


def test_the_name_of_another_is_refused():
    with harness.network(2, profile="none") as net:
        for again in range(2):
            with pytest.raises(harness.HarnessError, match=r"already up|taken") as raised:
                harness.network(2, profile="none", name=net.name)
            assert raised.value.exit_code == 3, again
        assert net.run(rank, timeout=BOUND) == [0, 1]


# Scenarios


def played(tmp_path, *events):
    path = tmp_path / "scenario.yaml"
    path.write_text("events:\n" + "".join(f"  - {event}\n" for event in events))
    return path


@pytest.mark.backend
def test_a_scenario_from_the_networks_beginning_follows_its_jobs_steps(tmp_path):
    path = played(tmp_path, "{at: 100ms, set: {edge: 0-1, delay: 30ms}}", "{at: step 3, set: {edge: 0-1, delay: 50ms}}")

    def train():
        for number in range(1, 5):
            harness.step(number)
            time.sleep(0.02)

    with harness.network(2, profile="none", scenario=path, record=tmp_path / "runs") as net:
        wait_for(lambda: net.applied()[0, 1].delay == Time.parse("30ms"), 20)
        net.run(train, timeout=BOUND)
        wait_for(lambda: net.applied()[1, 0].delay == Time.parse("50ms"), 20)
    (run,) = load_experiment(net.run_folder).runs
    assert run.settings["scenario"] == str(path)
    assert len(run.changes) == 2


def test_a_scenario_from_now_on_is_waited_for_and_stopped(tmp_path):
    short = played(tmp_path, "{at: 100ms, for: 300ms, down: {edge: 0-1}}")
    with harness.network(2, profile="none") as net:
        down, up = net.play(short).wait(timeout=BOUND)
        assert (down.at, up.at, down.events) == (0.1, 0.4, ("down 0-1",))
        assert down.at < down.acknowledged < up.acknowledged
        long = played(tmp_path, "{every: 100ms, for: 50ms, down: {edge: 0-1}}", "{at: 100s, heal: all}")
        with net.play(long) as play:
            with pytest.raises(TimeoutError, match=r"scenario.yaml: not over after 0.1 s"):
                play.wait(timeout=0.1)
            wait_for(lambda: len(play.changes) > 3, 20)
        before = len(play.changes)
        time.sleep(0.3)
        assert len(play.stop()) == before, "it ended with its block"


def test_what_a_scenario_had_left_is_told_at_the_networks_end(tmp_path):
    path = played(tmp_path, "{at: 100s, heal: all}", "{at: step 9, heal: all}")
    with pytest.warns(harness.HarnessWarning) as told, harness.network(2, profile="none", scenario=path):
        time.sleep(0.3)
    said = "\n".join(str(one.message) for one in told)
    assert "ended before 100.000 s: heal has not happened" in said
    assert "the job has not reached step 9" in said


def test_a_scenario_that_fails_is_told_at_the_networks_end_at_the_latest(tmp_path):
    net = harness.network(2, profile="none")
    plays = [net.play(played(tmp_path, "{at: 4s, heal: all}")) for _ in range(2)]
    registry().remove(net.name)
    with pytest.raises(harness.HarnessError, match="was removed meanwhile"):
        plays[0].wait(timeout=BOUND)
    wait_for(lambda: plays[1].unreported, BOUND)
    with pytest.raises(harness.HarnessError, match="was removed meanwhile"):
        net.down()


def test_a_scenario_that_does_not_fit_changes_nothing(net, tmp_path):
    with pytest.raises(harness.HarnessError, match=r"scenario.yaml:2: events\[0\].down: there is no rank 7"):
        net.play(played(tmp_path, "{at: 0, down: {edge: 0-7}}"))
    with pytest.raises(harness.HarnessError, match="scenario=3: write a scenario"):
        harness.network(2, profile="none", scenario=3)


# Records


@pytest.mark.backend
def test_what_runs_on_a_network_is_recorded_where_that_is_asked_for(tmp_path):
    def talk():
        home = os.environ["MASTER_ADDR"], 5555
        print(f"rank {rank()}")
        if rank() == 0:
            with socket.create_server(("", home[1])) as server, server.accept()[0] as other:
                while other.recv(65536):
                    pass
        else:
            deadline = time.monotonic() + 20
            while time.monotonic() < deadline:
                try:
                    with socket.create_connection(home) as connection:
                        connection.sendall(bytes(300_000))
                    break
                except ConnectionRefusedError:
                    time.sleep(0.1)
        harness.log(step=1, loss=0.5)

    with harness.network(2, profile="mobile", record=tmp_path) as net:
        net.run(talk, timeout=BOUND)
        net.set("0-1", rate="5mbit")
    (run,) = load_experiment(net.run_folder).runs
    assert (run.status, dict(run.end.codes)) == ("finished", {0: 0, 1: 0})
    assert [one.values for of_rank in run.ranks for one in of_rank.logs] == [{"loss": 0.5}] * 2
    assert run.links[-1].edges[1, 0].sent_bytes > 300_000
    assert any(flow.samples for flow in run.flows)
    assert len(run.changes) == 1
    assert [(net.run_folder / f"rank-{number}.log").read_text() for number in (0, 1)] == ["rank 0\n", "rank 1\n"]
