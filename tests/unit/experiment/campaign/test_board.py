"""What tasks say, and how they hear that they are to stop."""

from harness.experiment.campaign.board import Board


def test_all_events_and_the_latest_progress_are_read_once():
    board = Board()
    board.say("r", "begin", "id-a")
    board.say("r", "progress", None)
    board.say("r", "progress", 1)
    board.say("r", "progress", 2)
    board.say("r", "note", "hello")
    assert board.read() == [("r", "begin", "id-a"), ("r", "note", "hello"), ("r", "progress", 2)]
    assert board.read() == []


def test_whoever_says_something_hears_that_it_is_to_stop():
    board = Board()
    assert board.say("r", "progress", None) is None
    board.stop(15)
    assert board.say("r", "progress", None) == 15
