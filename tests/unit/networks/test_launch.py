"""A program is launched on every node, with local processes as nodes."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from contextlib import suppress

import pytest

from harness.errors import NodeError
from harness.networks import watch as module
from harness.networks.away import AwayFile, AwayLine
from harness.networks.launch import LaunchOutcome, launch
from tests.support.plans import network

PLAN = network("ring", 3)


class LocalBackend:
    """Starts the program here, once per rank; refuses the ranks in `refused`."""

    environ = os.environ

    def __init__(self, refused=()):
        self.refused = refused
        self.processes = {}

    def spawn(self, rank, argv, *, env=None, stdio=None, own_group=True, cwd=None):
        if rank in self.refused:
            raise NodeError(rank, f"start {argv[0]!r}", "no such program")
        self.processes[rank] = subprocess.Popen(
            argv,
            env=env,
            stdin=stdio.stdin,
            stdout=stdio.stdout,
            stderr=stdio.stderr,
            start_new_session=own_group,
        )
        return self.processes[rank]


class Sink:
    def __init__(self):
        self.lines = []

    def __call__(self, rank, stream, line):
        self.lines.append((rank, stream, line))

    def of(self, rank, stream="stdout"):
        return [line for owner, name, line in self.lines if (owner, name) == (rank, stream)]


@pytest.fixture
def sink():
    return Sink()


@pytest.fixture
def backend():
    made = LocalBackend()
    yield made
    for process in made.processes.values():
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


@pytest.fixture
def short_grace(monkeypatch):
    monkeypatch.setattr(module, "GRACE_SECONDS", 0.4)


def shell(script):
    return ["bash", "-c", script]


def python(code):
    return [sys.executable, "-c", code]


@pytest.fixture
def awaited(tmp_path, monkeypatch):
    """Shell code that waits for files, for up to 20 s, so that a test fails rather than hangs."""
    monkeypatch.setenv("HERE", str(tmp_path))

    def code(*names):
        there = " && ".join(f'-e "$HERE/{name}"' for name in names)
        return f"for _ in {{1..1000}}; do if [[ {there} ]]; then break; fi; sleep 0.02; done"

    return code


def gone(pid):
    """Whether that process has ended, within 20 seconds."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            with open(f"/proc/{pid}/stat") as file:
                if file.read().rpartition(")")[2].split()[0] == "Z":
                    return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.02)
    return False


def test_every_rank_gets_its_variables_and_its_lines_reach_the_sink(backend, sink, monkeypatch):
    monkeypatch.setenv("OURS", "seen")
    script = 'echo "$RANK/$WORLD_SIZE $MASTER_ADDR:$MASTER_PORT $OURS $EXTRA"; echo "oh $RANK" >&2'
    outcome = launch(backend, PLAN, shell(script), sink, master_port=4711, extra_env={"EXTRA": "too"})
    assert outcome == LaunchOutcome(0, None, {0: 0, 1: 0, 2: 0})
    for rank in range(3):
        assert sink.of(rank) == [f"{rank}/3 10.77.0.1:4711 seen too".encode()]
        assert sink.of(rank, "stderr") == [f"oh {rank}".encode()]


def test_some_ranks_only(backend, sink):
    outcome = launch(backend, PLAN, shell("echo $RANK"), sink, ranks=[2, 0])
    assert outcome.codes == {0: 0, 2: 0}
    assert {rank for rank, _, _ in sink.lines} == {0, 2}


def test_standard_input_is_empty(backend, sink):
    assert launch(backend, PLAN, ["cat"], sink).code == 0
    assert sink.lines == []


def test_the_first_failing_rank_gives_the_code_and_the_others_are_stopped(backend, sink):
    script = "if [[ $RANK == 1 ]]; then exit 7; else exec sleep 60; fi"
    started = time.monotonic()
    outcome = launch(backend, PLAN, shell(script), sink)
    assert time.monotonic() - started < 20
    assert (outcome.code, outcome.failed_rank) == (7, 1)
    assert outcome.codes == {0: 128 + signal.SIGTERM, 1: 7, 2: 128 + signal.SIGTERM}


def test_the_exit_code_of_a_stopped_rank_does_not_hide_the_first_failure(backend, sink, awaited):
    script = f"""
    if [[ $RANK == 2 ]]; then {awaited("0", "1")}; exit 3; fi
    trap 'echo stopping; exit 99' TERM; >"$HERE/$RANK"; while :; do sleep 0.05; done
    """
    outcome = launch(backend, PLAN, shell(script), sink)
    assert (outcome.code, outcome.failed_rank) == (3, 2)
    assert outcome.codes == {0: 99, 1: 99, 2: 3}
    assert sink.of(0) == [b"stopping"]


@pytest.mark.usefixtures("short_grace")
@pytest.mark.parametrize("doing", ["time.sleep(0.1)", "print('still here', flush=True)"], ids=["quiet", "talkative"])
def test_a_rank_that_ignores_sigterm_is_killed(backend, sink, awaited, doing):
    code = f"""
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
open(os.path.expandvars("$HERE/$RANK"), "w").close()
while True:
    {doing}
"""
    script = f"""
    if [[ $RANK == 0 ]]; then {awaited("1", "2")}; exit 5; fi
    exec {shlex.join(python(code))}
    """
    started = time.monotonic()
    outcome = launch(backend, PLAN, shell(script), sink)
    assert time.monotonic() - started < 10
    assert outcome == LaunchOutcome(5, 0, {0: 5, 1: 128 + signal.SIGKILL, 2: 128 + signal.SIGKILL})


def test_death_by_signal_is_128_and_its_number(backend, sink):
    outcome = launch(backend, PLAN, shell("kill -SEGV $$"), sink, ranks=[1])
    assert outcome == LaunchOutcome(139, 1, {1: 139})


def test_the_outcome_says_whether_cpp_ended_the_rank_that_failed_first(backend, sink):
    """As gloo's threads end Python where a script leaves its process group."""
    says = "echo 'terminate called without an active exception' >&2"
    assert launch(backend, PLAN, shell(f"{says}; kill -ABRT $$"), sink, ranks=[1]) == LaunchOutcome(
        134, 1, {1: 134}, terminated=True
    )
    assert not launch(backend, PLAN, shell(f"{says}; true"), sink, ranks=[1]).terminated
    other = f"if [[ $RANK == 0 ]]; then {says}; sleep 5; else sleep 1; exit 3; fi"
    assert not launch(backend, PLAN, shell(other), sink, ranks=[0, 1]).terminated


def test_the_others_children_are_stopped_too(backend, sink, awaited):
    script = f"""
    if [[ $RANK == 1 ]]; then {awaited("0", "2")}; exit 1; fi
    sleep 60 & echo $!; >"$HERE/$RANK"; wait
    """
    launch(backend, PLAN, shell(script), sink)
    children = [int(line) for rank in (0, 2) for line in sink.of(rank)]
    assert len(children) == 2
    assert all(gone(pid) for pid in children)


def test_a_last_line_without_newline_is_not_lost(backend, sink):
    launch(backend, PLAN, shell("printf 'a\\nb'; printf '\\n\\nc' >&2"), sink, ranks=[0])
    assert sink.of(0) == [b"a", b"b"]
    assert sink.of(0, "stderr") == [b"", b"", b"c"]


def test_a_last_line_without_newline_does_not_wait_for_the_other_ranks(backend, awaited, tmp_path):
    """Rank 1 ends when that line of rank 0 has come, or gives up."""
    seen = []

    def noted(rank, stream, line):
        seen.append((rank, line))
        (tmp_path / f"from-{rank}").touch()

    script = f"printf last; if [[ $RANK == 1 ]]; then {awaited('from-0')}; echo end; fi"
    launch(backend, PLAN, shell(script), noted, ranks=[0, 1])
    assert seen == [(0, b"last"), (1, b"lastend")]


def test_a_megabyte_of_output_arrives_whole_and_in_order(backend, sink):
    code = "import sys\nfor i in range(20000): print(f'{i:051d}')\nprint('x' * 100, end='', file=sys.stderr)"
    outcome = launch(backend, PLAN, python(code), sink)
    assert outcome.code == 0
    for rank in range(3):
        assert sink.of(rank) == [f"{i:051d}".encode() for i in range(20000)]
        assert sink.of(rank, "stderr") == [b"x" * 100]


def test_an_endless_line_is_passed_on_in_pieces(backend, sink):
    size = 5 << 20
    started = time.monotonic()
    launch(backend, PLAN, python(f"print('y' * {size}, end='')"), sink, ranks=[0])
    assert time.monotonic() - started < 5
    pieces = sink.of(0)
    assert len(pieces) > 1
    assert b"".join(pieces) == b"y" * size


@pytest.mark.usefixtures("short_grace")
@pytest.mark.parametrize("doing", ["sleep 60", "yes still here"], ids=["quiet", "talkative"])
def test_grandchildren_that_hold_the_pipe_do_not_hang_it(backend, sink, doing):
    started = time.monotonic()
    outcome = launch(backend, PLAN, shell(f"({doing}) & echo mine; printf partial >&2"), sink, ranks=[0])
    assert time.monotonic() - started < 20
    assert outcome == LaunchOutcome(0, None, {0: 0})
    assert b"mine" in sink.of(0)
    assert sink.of(0, "stderr")[0] == b"partial"


def test_a_rank_that_cannot_start_stops_those_before_it(sink):
    backend = LocalBackend(refused={1})
    with pytest.raises(NodeError, match="node 1"):
        launch(backend, PLAN, ["sleep", "60"], sink)
    assert backend.processes[0].returncode == -signal.SIGTERM
    assert 2 not in backend.processes


def test_an_error_of_the_sink_stops_all(backend):
    def broken(rank, stream, line):
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        launch(backend, PLAN, shell("echo hello; exec sleep 60"), broken)
    assert all(process.returncode == -signal.SIGTERM for process in backend.processes.values())


def test_no_file_stays_open(backend, sink):
    before = os.listdir("/proc/self/fd")
    launch(backend, PLAN, shell("echo $RANK"), sink)
    assert len(os.listdir("/proc/self/fd")) == len(before)


# While it runs: ticks


@pytest.fixture
def quick_ticks(monkeypatch):
    monkeypatch.setattr(module, "TICK_SECONDS", 0.02)


class Ticks:
    """Counts ticks; from `last` on, they end the job."""

    def __init__(self, last=1_000_000, when=lambda: True):
        self.count, self.last, self.when = 0, last, when

    def __call__(self):
        self.count += 1
        return self.count >= self.last and self.when()


@pytest.mark.usefixtures("quick_ticks")
def test_ticks_come_while_it_runs_and_do_not_change_how_it_ends(backend, sink, awaited, tmp_path):
    """The third one lets the ranks end."""

    def third():
        (tmp_path / "third").touch()
        return False

    tick = Ticks(last=3, when=third)
    started = time.monotonic()
    outcome = launch(backend, PLAN, shell(f"{awaited('third')}; echo done"), sink, tick=tick)
    assert time.monotonic() - started < 15, "the ranks have given up"
    assert tick.count >= 3
    assert outcome == LaunchOutcome(0, None, {0: 0, 1: 0, 2: 0})
    assert [sink.of(rank) for rank in range(3)] == [[b"done"]] * 3


@pytest.mark.usefixtures("quick_ticks")
def test_output_does_not_make_ticks_more_frequent(backend, sink, monkeypatch):
    monkeypatch.setattr(module, "TICK_SECONDS", 60)
    tick = Ticks()
    launch(backend, PLAN, shell("for i in {1..50}; do echo $i; sleep 0.01; done"), sink, tick=tick)
    assert tick.count == 1


@pytest.mark.usefixtures("quick_ticks")
def test_a_tick_ends_the_job_and_that_is_no_failure(backend, sink):
    tick = Ticks(last=2)
    outcome = launch(backend, PLAN, shell("exec sleep 60"), sink, tick=tick)
    assert outcome == LaunchOutcome(0, None, dict.fromkeys(range(3), 128 + signal.SIGTERM), cut=True)
    assert tick.count == 2, "there is none after it"


@pytest.mark.usefixtures("quick_ticks")
def test_exit_codes_after_the_cut_are_no_failures_and_a_rank_that_ignores_it_is_killed(backend, sink):
    script = """
    if [[ $RANK == 0 ]]; then trap 'echo going; exit 3' TERM; fi
    if [[ $RANK == 1 ]]; then trap '' TERM; fi
    echo ready; while :; do sleep 0.05; done
    """
    outcome = launch(backend, PLAN, shell(script), sink, tick=Ticks(when=lambda: len(sink.lines) == 3, last=1))
    assert (outcome.code, outcome.failed_rank, outcome.cut) == (0, None, True)
    assert outcome.codes == {0: 3, 1: 128 + signal.SIGKILL, 2: 128 + signal.SIGTERM}
    assert b"going" in sink.of(0)


@pytest.mark.usefixtures("quick_ticks")
def test_a_failure_before_the_cut_is_the_failure(backend, sink, awaited):
    """The other ranks end slowly; meanwhile there are no ticks."""

    def tick():
        return (0, "stdout", b"stopping") in sink.lines

    script = f"""
    if [[ $RANK == 1 ]]; then {awaited("0", "2")}; exit 7; fi
    trap 'echo stopping; sleep 0.5; exit 9' TERM; >"$HERE/$RANK"; sleep 60 & wait
    """
    outcome = launch(backend, PLAN, shell(script), sink, tick=tick)
    assert [sink.of(rank) for rank in range(3)] == [[b"stopping"], [], [b"stopping"]]
    assert (outcome.code, outcome.failed_rank, outcome.cut) == (7, 1, False)
    assert outcome.codes == {0: 9, 1: 7, 2: 9}


@pytest.mark.usefixtures("quick_ticks")
def test_an_error_of_a_tick_stops_all(backend, sink):
    def tick():
        raise NodeError(2, "observe", "it is gone")

    with pytest.raises(NodeError, match="it is gone"):
        launch(backend, PLAN, shell("exec sleep 60"), sink, tick=tick)
    assert all(process.returncode == -signal.SIGTERM for process in backend.processes.values())


@pytest.mark.parametrize("until", ["first", 1])
def test_the_rank_that_is_waited_for_ends_the_others_and_that_is_no_failure(backend, sink, awaited, until):
    script = f'if [[ $RANK != 1 ]]; then echo > "$HERE/$RANK"; exec sleep 300; fi; {awaited("0", "2")}'
    started = time.monotonic()
    outcome = launch(backend, PLAN, shell(script), sink, until=until)
    assert outcome == LaunchOutcome(0, None, {0: 143, 1: 0, 2: 143}, cut=True)
    assert outcome.stopped == 2
    assert time.monotonic() - started < 30


def test_the_end_of_another_rank_than_until_names_ends_nobody(backend, sink):
    outcome = launch(backend, PLAN, shell("[[ $RANK = 0 ]] && sleep 0.5; echo $RANK"), sink, until=0)
    assert outcome == LaunchOutcome(0, None, {0: 0, 1: 0, 2: 0}, cut=outcome.cut)
    assert sink.of(0) == [b"0"]


def test_a_failure_ends_the_job_whatever_until_says(backend, sink):
    outcome = launch(backend, PLAN, shell("[[ $RANK = 2 ]] && exit 3; exec sleep 300"), sink, until="first")
    assert (outcome.code, outcome.failed_rank, outcome.stopped) == (3, 2, 2)


def test_a_timeout_ends_the_job(backend, sink, awaited):
    script = "trap 'echo asked; exit 0' TERM; [[ $RANK = 0 ]] && exit 0; sleep 300 & wait"
    started = time.monotonic()
    outcome = launch(backend, PLAN, shell(script), sink, timeout=1.5)
    assert 1.5 <= time.monotonic() - started < 30
    assert outcome == LaunchOutcome(124, None, {0: 0, 1: 0, 2: 0}, cut=True, unended=(1, 2))
    assert sink.of(1) == sink.of(2) == [b"asked"]


def test_a_job_that_ends_before_the_timeout_is_not_affected(backend, sink):
    assert launch(backend, PLAN, ["true"], sink, timeout=60) == LaunchOutcome(0, None, {0: 0, 1: 0, 2: 0})


# Ranks that are away


class Scenario:
    """A sink that writes absences as a player does, when a line comes."""

    def __init__(self, tmp_path, backend):
        self.path, self._backend, self.lines = tmp_path / "net.away", backend, []
        self.file, self._writer = AwayFile(self.path), AwayFile(self.path)
        self.steps = {}

    def on(self, line, *happens):
        self.steps[line] = happens

    def __call__(self, rank, stream, line):
        self.lines.append((rank, line))
        for what, whom, *until in self.steps.pop((rank, line), ()):
            of = "kill" if what == "back" else None
            self._writer.write(AwayLine(time.time(), whom, what, time.time() + until[0] if until else None, of))
            if what == "kill":
                with suppress(ProcessLookupError):
                    os.killpg(self._backend.processes[whom].pid, signal.SIGKILL)

    def written(self):
        return [(line["what"], line["rank"]) for line in map(json.loads, self.path.read_text().splitlines())]


@pytest.fixture
def absent(tmp_path, backend):
    return Scenario(tmp_path, backend)


def test_a_rank_that_a_scenario_kills_is_no_failure_and_starts_again(backend, absent, awaited):
    """Rank 0 ends when rank 2 has come back."""
    script = f"""
    echo "began ${{HARNESS_RESTART:-0}}"
    if [[ $RANK == 2 && -n $HARNESS_RESTART ]]; then >"$HERE/back"; elif [[ $RANK == 2 ]]; then exec sleep 300; fi
    {awaited("back")}; echo over
    """
    absent.on((2, b"began 0"), ("kill", 2, 60), ("back", 2))
    outcome = launch(backend, PLAN, shell(script), absent, away=absent.file)
    assert outcome == LaunchOutcome(0, None, {0: 0, 1: 0, 2: 0})
    assert [line for rank, line in absent.lines if rank == 2] == [b"began 0", b"began 1", b"over"]
    assert absent.written() == [("kill", 2), ("back", 2), ("restarted", 2)]


def test_a_rank_that_stays_away_is_not_waited_for(backend, absent):
    absent.on((1, b"began"), ("kill", 1, 500))
    script = "echo began; [[ $RANK == 1 ]] && exec sleep 300; sleep 1"
    started = time.monotonic()
    outcome = launch(backend, PLAN, shell(script), absent, away=absent.file)
    assert outcome == LaunchOutcome(0, None, {0: 0, 1: 137, 2: 0}, away=(1,))
    assert outcome.stopped == 0
    assert time.monotonic() - started < 30


def test_a_job_whose_ranks_are_all_away_waits_for_those_that_will_be_back(backend, absent):
    script = "echo began $HARNESS_RESTART; [[ -n $HARNESS_RESTART ]] || exec sleep 300"
    absent.on((2, b"began"), ("kill", 0), ("kill", 1), ("kill", 2, 60))

    def tick():
        if absent.written()[-1:] == [("kill", 2)] and all(one.poll() is not None for one in backend.processes.values()):
            AwayFile(absent.path).write(AwayLine(time.time(), 2, "back", of="kill"))
        return False

    absent.path.touch()
    outcome = launch(backend, PLAN, shell(script), absent, away=absent.file, tick=tick, timeout=60)
    assert outcome == LaunchOutcome(0, None, {0: 137, 1: 137, 2: 0}, away=(0, 1))


def test_a_job_whose_ranks_all_stay_away_has_failed(backend, absent):
    absent.on((1, b"began"), ("kill", 0), ("kill", 1), ("kill", 2))
    outcome = launch(backend, PLAN, shell("echo began; exec sleep 300"), absent, away=absent.file)
    assert (outcome.code, outcome.failed_rank, outcome.away) == (137, 0, (0, 1, 2))


def test_a_rank_that_ended_with_0_is_not_restarted(backend, absent):
    script = "echo began; if [[ $RANK == 1 ]]; then exit 0; fi; sleep 1; echo later; sleep 1"
    absent.on((0, b"later"), ("kill", 1, 60), ("back", 1))
    outcome = launch(backend, PLAN, shell(script), absent, away=absent.file)
    assert outcome == LaunchOutcome(0, None, {0: 0, 1: 0, 2: 0})
    assert absent.lines.count((1, b"began")) == 1


def test_what_fails_because_another_rank_is_away_is_a_failure(backend, absent):
    script = "echo began; [[ $RANK == 1 ]] && exec sleep 300; sleep 1; exit $RANK"
    absent.on((1, b"began"), ("kill", 1, 60))
    outcome = launch(backend, PLAN, shell(script), absent, away=absent.file)
    assert (outcome.code, outcome.failed_rank, outcome.away) == (2, 2, (1,))


def test_other_ranks_can_continue_after_a_failure(backend, absent):
    script = "[[ $RANK == 1 ]] && exit 7; sleep 1; echo done"
    outcome = launch(backend, PLAN, shell(script), absent, on_failure="continue", away=absent.file)
    assert outcome == LaunchOutcome(7, 1, {0: 0, 1: 7, 2: 0})
    assert [rank for rank, line in absent.lines if line == b"done"] in ([0, 2], [2, 0])
    assert absent.written() == [("failed", 1)]


def test_a_paused_rank_is_woken_to_end(backend, awaited, tmp_path):
    def pause(rank, stream, line):
        if line == b"here":  # bash says later that its sleep was terminated
            os.killpg(backend.processes[rank].pid, signal.SIGSTOP)
            (tmp_path / f"paused-{rank}").touch()

    script = f"""
    if [[ $RANK == 0 ]]; then {awaited("paused-1", "paused-2")}; exit 3; fi
    trap 'exit 9' TERM; echo here; while :; do sleep 0.05; done
    """
    assert launch(backend, PLAN, shell(script), pause).codes == {0: 3, 1: 9, 2: 9}
