"""A job that a scenario kills and starts again."""

import asyncio
import os
import signal

import pytest

from harness.agent.own_job import OwnJob

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
ENV = {"PATH": "/usr/bin:/bin"}
SCRIPT = 'echo began ${HARNESS_RESTART:-0}; [ -n "$HARNESS_RESTART" ] && exit 0; exec sleep 300'


def play(*scenes):
    """The job's exit code and its reports of being away; each scene gets the job once it runs, or is away."""
    told = []

    async def performance():
        job = OwnJob(3, ["sh", "-c", SCRIPT], ENV, told.append)
        task = asyncio.ensure_future(job.run())
        for scene in scenes:
            while job.pid is None and not task.done() and told[-1:] != [True]:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.2)
            scene(job)
        return await asyncio.wait_for(task, 30)

    return asyncio.run(performance()), told


def kill(job):
    job.will_be_killed()
    os.killpg(job.pid, signal.SIGKILL)


def test_it_starts_again_when_it_is_back(capfd):
    assert play(kill, lambda job: job.restart()) == (0, [True, False])
    assert capfd.readouterr().out == "[3] began 0\n[3] began 1\n"


def test_a_kill_and_a_return_at_once(capfd):
    def both(job):
        kill(job)
        job.restart()

    assert play(both)[0] == 0
    assert "began 1" in capfd.readouterr().out


def test_it_ends_as_killed_where_all_end_while_it_is_away():
    assert play(kill, lambda job: job.stop()) == (137, [True])


def test_what_kills_it_otherwise_is_a_failure():
    assert play(lambda job: os.killpg(job.pid, signal.SIGKILL)) == (137, [])


def test_a_return_without_a_kill_starts_nothing(capfd):
    assert play(lambda job: job.restart(), lambda job: os.killpg(job.pid, signal.SIGTERM)) == (143, [])
    assert capfd.readouterr().out == "[3] began 0\n"
