"""Calls in the main thread, from another one."""

import os
import threading

import pytest

from harness.training.collectives.watch import MainThread


def from_a_thread(work):
    """The result or error of a call, while the main thread runs Python."""
    main, answers = MainThread(), []

    def ask():
        try:
            answers.append(main(work, threading.Event()))
        except ValueError as error:
            answers.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    while thread.is_alive():
        thread.join(0.01)
    return answers[0]


def test_it_is_called_in_the_main_thread():
    found = []
    assert from_a_thread(lambda: found.append(threading.current_thread())) is True
    assert found == [threading.main_thread()]


def test_its_error_is_raised_where_it_was_asked_for():
    def fail():
        raise ValueError("no")

    assert str(from_a_thread(fail)) == "no"


def test_nothing_is_called_any_more_once_it_is_forgotten_or_stopped():
    main, stopped, called = MainThread(), threading.Event(), []
    stopped.set()
    thread = threading.Thread(target=lambda: main(lambda: called.append(1), stopped))
    main._call = type(main._call)(lambda _: 0)  # the main thread is blocked: nothing that is pending is called
    thread.start()
    thread.join()
    main.forget()
    main._run(None)
    assert called == []


def test_a_child_that_is_forked_while_a_call_is_pending_does_not_call():
    """A worker of torch's DataLoader would stop its copy of the profiler, and crash."""
    main, read, write = MainThread(), *os.pipe()
    main._work = lambda: os.write(write, b"called")
    if (child := os.fork()) == 0:
        main._run(None)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    os.set_blocking(read, False)
    with pytest.raises(BlockingIOError):
        os.read(read, 10)
    main._run(None)
    assert os.read(read, 10) == b"called"
    os.close(read)
    os.close(write)
