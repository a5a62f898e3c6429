"""Results, or the error of the rank that failed first, from ranks' output and exit codes."""

import pickle
import signal

import pytest

from harness.api.failures import RankError
from harness.api.output import RankOutput
from harness.api.result_lines import pieces
from harness.networks.launch import LaunchOutcome

MARKER = "m" * 32


class Unreadable:
    def __reduce__(self):
        return int, ("no number",)


def value(of):
    return {"ok": True, "value": pickle.dumps(of)}


def failed(what, error=None, trace="Traceback: here\n"):
    return {"ok": False, "what": what, "trace": trace, "error": error and pickle.dumps(error)}


def feed(answers, rank, answer):
    for piece in pieces(MARKER.encode(), pickle.dumps(answer)):
        for line in piece[:-1].split(b"\n"):
            answers(rank, "stdout", line)


def outcome(**codes):
    """Of ranks r0, r1, ...; the first that is not 0 failed first."""
    by_rank = {int(name[1:]): code for name, code in codes.items()}
    first = next((rank for rank, code in by_rank.items() if code), None)
    return LaunchOutcome(by_rank[first] if first is not None else 0, first, dict(sorted(by_rank.items())))


def test_results_are_in_the_order_of_ranks_and_not_of_answers():
    answers = RankOutput(MARKER, (2, 0, 1))
    for rank in (1, 0, 2):
        feed(answers, rank, value(f"from {rank}"))
    assert answers.results(outcome(r0=0, r1=0, r2=0)) == ["from 2", "from 0", "from 1"]


def test_output_is_printed_with_the_rank_and_without_answers(capsys):
    answers = RankOutput(MARKER, tuple(range(11)))
    answers(3, "stdout", b"out")
    feed(answers, 3, value(1))
    answers(10, "stderr", b"err \xff")
    answers(10, "stdout", b"")
    answers(10, "stdout", b"end")
    assert capsys.readouterr() == ("[ 3] out\n[10] \n[10] end\n", "[10] err \N{REPLACEMENT CHARACTER}\n")


def test_the_first_rank_that_reports_an_error_failed_first():
    answers = RankOutput(MARKER, (0, 1, 2))
    feed(answers, 1, failed("ValueError: mine", ValueError("mine")))
    feed(answers, 0, failed("ConnectionError: peer gone", ConnectionError("peer gone")))
    with pytest.raises(RankError, match=r"^rank 1: ValueError: mine\n") as raised:
        answers.results(outcome(r0=1, r1=1, r2=143))
    assert (raised.value.rank, raised.value.exit_code) == (1, 70)
    assert raised.value.__notes__ == ["in the node of rank 1:\nTraceback: here"]
    assert repr(raised.value.__cause__) == "ValueError('mine')"


def test_a_rank_that_died_without_an_answer_failed_first():
    answers = RankOutput(MARKER, (0, 1, 2))
    answers(2, "stderr", b"out of memory")
    feed(answers, 0, failed("ConnectionError: peer gone"))
    with pytest.raises(RankError, match=r"^rank 2: it was killed by SIGKILL before it answered\n") as raised:
        answers.results(outcome(r2=128 + signal.SIGKILL, r0=1, r1=143))
    assert raised.value.__notes__ == ["the last lines of rank 2:\nout of memory"]
    assert raised.value.__cause__ is None


@pytest.mark.parametrize(
    ("code", "words"), [(0, "exit code 0"), (3, "exit code 3"), (139, "killed by SIGSEGV"), (254, "exit code 254")]
)
def test_the_error_says_how_the_rank_ended(code, words):
    answers = RankOutput(MARKER, (0, 1))
    feed(answers, 0, value(None))
    with pytest.raises(RankError, match=rf"^rank 1: it .*{words} before it answered$"):
        answers.results(outcome(r0=0, r1=code))


def test_a_rank_that_crashes_after_its_answer_failed():
    answers = RankOutput(MARKER, (0,))
    feed(answers, 0, value(1))
    with pytest.raises(RankError, match="SIGABRT after it had answered"):
        answers.results(outcome(r0=134))


def test_a_cause_that_cannot_be_read_here_is_left_out():
    answers = RankOutput(MARKER, (0,))
    feed(answers, 0, failed("TheirError: x", Unreadable()))
    with pytest.raises(RankError, match="TheirError: x") as raised:
        answers.results(outcome(r0=1))
    assert raised.value.__cause__ is None


def test_a_result_that_cannot_be_unpickled_here_is_an_error():
    answers = RankOutput(MARKER, (0,))
    feed(answers, 0, value(Unreadable()))
    with pytest.raises(RankError, match="rank 0: its result cannot be read here: ValueError"):
        answers.results(outcome(r0=0))


def test_only_the_last_lines_are_kept():
    answers = RankOutput(MARKER, (0,))
    for number in range(100):
        answers(0, "stdout", str(number).encode())
    with pytest.raises(RankError) as raised:
        answers.results(outcome(r0=9))
    assert raised.value.__notes__[0].splitlines()[1:] == [str(number) for number in range(80, 100)]


def test_a_rank_error_survives_pickling():
    error = pickle.loads(pickle.dumps(RankError(3, "it broke")))
    assert (str(error), error.rank) == ("rank 3: it broke", 3)
