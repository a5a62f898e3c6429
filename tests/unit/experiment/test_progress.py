"""How far a run is, from the lines that its ranks write."""

import json

import pytest

from harness.experiment.progress import RunProgress, Tail


def start(time=100.0, resumed=None, elapsed=0.0):
    return {"kind": "start", "time": time, "resumed_from": resumed, "elapsed": elapsed}


def step(number, loss=1.0, elapsed=2.0):
    return {"kind": "step", "step": number, "loss": loss, "elapsed": elapsed}


def evaluated(number, loss, accuracy=0.5):
    return {"kind": "eval", "step": number, "loss": loss, "accuracy": accuracy}


@pytest.fixture
def write(tmp_path):
    def append(rank, *lines):
        with (tmp_path / f"rank-{rank}.jsonl").open("a") as file:
            file.writelines(json.dumps(line) + "\n" for line in lines)

    return append


@pytest.fixture
def progress(tmp_path):
    def make(target=("loss", 0.4), ranks=2, since=90.0):
        made = RunProgress(tmp_path, ranks, target, since)
        made.update()
        return made

    return make


def test_whole_lines_only_and_each_once(tmp_path):
    path = tmp_path / "x.jsonl"
    tail = Tail(path)
    assert list(tail.lines()) == []
    path.write_text('{"a": 1}\n{"b"')
    assert list(tail.lines()) == [{"a": 1}]
    assert list(tail.lines()) == []
    with path.open("a") as file:
        file.write(': 2}\n{"cut off\n{"c": 3}\n')
    assert list(tail.lines()) == [{"b": 2}, {"c": 3}]


def test_nothing_is_known_while_ranks_connect(progress):
    made = progress()
    assert (made.step, made.value, made.reached_at, made.trained(500.0)) == (0, None, None, None)


def test_rank_0_tells_the_step_and_its_loss(progress, write):
    made = progress()
    write(0, start(time=100.0), step(1), step(2, 0.7, 3.5))
    write(1, start(time=104.0), step(1), step(2), step(3, 0.1, 9.0))
    made.update()
    assert (made.step, made.value, made.elapsed) == (2, 0.7, 3.5)
    assert made.trained(110.0) == 10.0
    write(0, step(3, None))
    made.update()
    assert (made.step, made.value) == (3, None)


def test_the_target_is_reached_by_the_mean_of_all_ranks(progress, write):
    made = progress()
    write(0, evaluated(10, 0.1), evaluated(20, 0.1))
    made.update()
    assert made.reached_at is None
    write(1, evaluated(10, 0.9), evaluated(20, 0.6))
    made.update()
    assert made.reached_at == 20


@pytest.mark.parametrize(("scores", "reached"), [((0.8, 0.8), None), ((0.85, 0.96), 10)])
def test_accuracy_is_reached_from_below(progress, write, scores, reached):
    made = progress(("accuracy", 0.9))
    for rank, accuracy in enumerate(scores):
        write(rank, evaluated(10, 5.0, accuracy))
    made.update()
    assert made.reached_at == reached


def test_a_loss_that_is_none_reaches_nothing(progress, write):
    made = progress()
    write(0, evaluated(10, None))
    write(1, evaluated(10, 0.0))
    made.update()
    assert made.reached_at is None


def test_without_a_target_nothing_is_reached(progress, write):
    made = progress(target=None)
    for rank in range(2):
        write(rank, evaluated(10, 0.0))
    made.update()
    assert made.reached_at is None


def test_a_resumed_run_keeps_what_holds_and_no_more(progress, write):
    for rank in range(2):
        write(rank, start(50.0), evaluated(10, 0.3), step(12), evaluated(20, 0.2), step(22))
    made = progress(since=90.0)
    assert made.reached_at == 10
    assert made.trained(95.0) is None, "this attempt has not begun"
    for rank in range(2):
        write(rank, start(100.0, resumed=15, elapsed=30.0))
    made.update()
    assert (made.reached_at, made.step, made.value) == (10, 15, None)
    assert made.trained(107.0) == 37.0


def test_a_run_that_begins_anew_takes_all_back(progress, write):
    for rank in range(2):
        write(rank, start(50.0), evaluated(10, 0.3))
    write(0, start(100.0))
    assert progress().reached_at is None


def logged(step, time=95.0, **values):
    return {"kind": "log", "time": time, "step": step, "values": values}


def test_what_an_own_command_logs(tmp_path, write):
    made = RunProgress(tmp_path, 2, ("accuracy", 0.9), 90.0, "accuracy")
    made.update()
    assert (made.name, made.step, made.value, made.trained(100.0)) == ("accuracy", 0, None, 10.0)
    write(1, logged(10, accuracy=0.8), logged(20, 99.0, accuracy=0.95))
    made.update()
    assert (made.step, made.value, made.elapsed, made.reached_at) == (20, 0.95, 9.0, 20)
    write(0, logged(10, accuracy=0.7))
    made.update()
    assert (made.step, made.value, made.reached_at) == (10, 0.7, None)
    write(0, logged(20, accuracy=0.9))
    made.update()
    assert (made.step, made.reached_at) == (20, 20)


def test_values_without_a_step_are_counted_and_what_makes_no_sense_is_passed_over(tmp_path, write):
    made = RunProgress(tmp_path, 1, ("loss", 0.4), 90.0, "loss")
    nonsense = [{"kind": "log"}, {"kind": "log", "values": 3}, logged(1, other=3), logged(1, loss="low"), 3, "x"]
    write(0, *nonsense, logged(None, loss=0.5), logged(None, loss=None), logged(None, loss=0.4))
    made.update()
    assert (made.step, made.value, made.reached_at, made.logging) == (3, 0.4, 3, {0: 3})


def test_a_value_without_a_step_after_those_with_one_is_passed_over(tmp_path, write):
    made = RunProgress(tmp_path, 1, ("loss", 0.4), 90.0, "loss")
    write(0, logged(10, loss=0.5), logged(None, loss=0.1))
    made.update()
    assert (made.step, made.value, made.reached_at) == (10, 0.5, None)


def test_a_value_that_is_no_number_reaches_nothing(tmp_path, write):
    made = RunProgress(tmp_path, 1, ("loss", 0.4), 90.0, "loss")
    write(0, logged(1, loss=None))
    made.update()
    assert (made.step, made.value, made.reached_at) == (1, None, None)


def test_logs_beside_a_strategy_are_not_its_loss(progress, write):
    made = progress()
    write(0, start(), step(1, 0.7), logged(5, loss=0.1))
    made.update()
    assert (made.step, made.value) == (1, 0.7)


def test_a_file_that_is_there_is_read_from_its_end_and_from_its_start_once_it_is_begun_anew(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text('{"old": 1}\n{"old": 2}\n')
    tail = Tail(path, from_end=True)
    assert list(tail.lines()) == []
    with path.open("a") as file:
        file.write('{"a": 1}\n')
    assert list(tail.lines()) == [{"a": 1}]
    path.write_text('{"b": 2}\n')
    assert list(tail.lines()) == [{"b": 2}]
    assert list(Tail(tmp_path).lines()) == []


def test_where_ranks_come_and_go_those_count_that_were_there(progress, write):
    made = progress()
    write(0, start() | {"members": [0, 1]}, evaluated(10, 0.5))
    write(1, start() | {"members": [0, 1]}, evaluated(10, 0.5), evaluated(20, 0.1))
    made.update()
    write(0, start(resumed=15) | {"members": [0]}, evaluated(20, 0.6))
    made.update()
    assert made.reached_at is None  # not the mean with what rank 1 did and nobody has
    write(0, evaluated(30, 0.3), step(31, 0.2))
    write(0, start(resumed=31) | {"members": [0, 1]})
    made.update()
    assert (made.reached_at, made.step, made.value) == (30, 31, 0.2)
