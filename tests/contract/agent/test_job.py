"""The job of a node: its user, its output, and its end."""

import asyncio
import os
import signal
import tempfile
import time
from pathlib import Path

import pytest

from harness.agent import job as module
from harness.agent.job import NOBODY, Job, make_run_folder, user_of
from harness.backends.netns.namespaces import start_time
from harness.errors import InputError
from tests.support.cli import wait_for

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
ENV = {"PATH": "/usr/bin:/bin"}


def run(*argv, after=None):
    """The exit code of a job; ``after`` is called with the job once it runs."""

    async def scene():
        job = Job(7, argv, ENV)
        task = asyncio.ensure_future(job.run())
        if after:
            while job.pid is None:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.3)
            after(job)
        return await asyncio.wait_for(task, 30)

    return asyncio.run(scene())


def test_every_line_has_its_rank_and_its_stream(capfd):
    assert run("sh", "-c", "echo one; echo two; printf three; echo oh >&2") == 0
    told = capfd.readouterr()
    assert told.out == "[7] one\n[7] two\n[7] three\n"
    assert told.err == "[7] oh\n"


def test_lines_stay_whole_whatever_the_pieces(capfd):
    assert run("sh", "-c", "printf a; sleep 0.2; printf b; sleep 0.2; echo c") == 0
    assert capfd.readouterr().out == "[7] abc\n"


def test_where_nobody_reads_its_output_it_waits_and_its_agent_does_not():
    """When Docker's daemon has died nobody reads it; the agent must still end."""
    lines = b"".join(b"%d\n" % number for number in range(30_000))

    async def scene():
        (source, feed), (log, target) = os.pipe(), os.pipe()
        job = Job(7, ["true"], ENV)
        with open(source, "rb") as pipe, open(feed, "wb") as job_end, open(log, "rb") as read:
            writing = asyncio.get_running_loop().run_in_executor(None, job_end.write, lines)
            pump = asyncio.ensure_future(job._pump(pipe, target))
            for _ in range(5):
                await asyncio.sleep(0.05)
            assert not pump.done()
            reading = asyncio.get_running_loop().run_in_executor(None, read.read)
            await writing
            job_end.close()
            await pump
            os.close(target)
            return await reading

    said = asyncio.run(asyncio.wait_for(scene(), 30))
    assert said == b"".join(b"[7] %d\n" % number for number in range(30_000))


def test_it_is_nobody_with_nothing(capfd):
    assert run("sh", "-c", "id -u; id -g; id -G; grep -E 'Cap(Prm|Eff|Inh|Amb)' /proc/self/status") == 0
    uid, gid, groups, *capabilities = capfd.readouterr().out.replace("[7] ", "").splitlines()
    assert (uid, gid, groups) == (str(NOBODY), str(NOBODY), str(NOBODY))
    assert [line.split()[1] for line in capabilities] == ["0" * 16] * 4


@pytest.mark.parametrize(
    ("script", "code"), [("exit 7", 7), ("kill -KILL $$", 137), ("kill -TERM $$", 143)], ids=["code", "KILL", "TERM"]
)
def test_its_exit_code_is_a_shells(script, code):
    assert run("sh", "-c", script) == code


@pytest.mark.parametrize(("program", "code"), [("/nonexistent", 127), ("/etc/passwd", 126)])
def test_a_program_that_cannot_be_started_is_told(capfd, program, code):
    assert run(program) == code
    assert f"[7] cannot start '{program}'" in capfd.readouterr().err


def test_it_is_asked_to_end_and_may_say_goodbye(capfd):
    script = "trap 'echo goodbye; exit 5' TERM; while :; do sleep 0.1; done"
    assert run("sh", "-c", script, after=lambda job: job.stop()) == 5
    assert "[7] goodbye" in capfd.readouterr().out


def test_it_is_killed_where_it_does_not_listen(monkeypatch):
    monkeypatch.setattr(module, "GRACE_SECONDS", 0.5)
    assert run("sh", "-c", "trap '' TERM; while :; do sleep 0.1; done", after=lambda job: job.stop()) == 137


def test_it_has_time_to_end_by_itself_where_it_gets_some():
    assert run("sh", "-c", "sleep 0.8; exit 3", after=lambda job: job.stop(5.0)) == 3


def test_what_it_leaves_behind_ends_with_it_and_does_not_hold_us(capfd):
    began = time.monotonic()
    assert run("sh", "-c", "sleep 60 & echo $!") == 0
    assert time.monotonic() - began < 5
    left = int(capfd.readouterr().out.replace("[7] ", ""))
    wait_for(lambda: not start_time(left), 5)


def test_a_flood_of_output_arrives_whole(capfd):
    code = "import sys\nfor i in range(20000): print(i, 'x' * 80)"
    assert run("python3", "-c", code) == 0
    lines = capfd.readouterr().out.splitlines()
    assert lines == [f"[7] {i} {'x' * 80}" for i in range(20000)]


def test_signals_are_for_its_whole_group(capfd):
    def stop(job):
        os.killpg(job.pid, signal.SIGTERM)

    assert run("sh", "-c", "sleep 60 & wait", after=stop) == 143


# Where results go


@pytest.fixture
def theirs():
    """A folder of another user, inside one that all may enter."""
    with tempfile.TemporaryDirectory() as name:
        os.chown(name, 1234, 1235)
        yield Path(name)


def test_programs_run_as_who_owns_the_folder_for_results(theirs):
    assert user_of(theirs) == (1234, 1235)
    folder = make_run_folder("now", theirs)
    assert (folder.stat().st_uid, folder.stat().st_gid) == (1234, 1235)
    assert make_run_folder("now", theirs) == folder, "every rank makes it"


def test_in_roots_folder_everybody_may_write(tmp_path):
    assert user_of(tmp_path) == (NOBODY, NOBODY)
    folder = make_run_folder("now", tmp_path)
    assert folder.stat().st_mode & 0o7777 == 0o1777
    assert make_run_folder("now", tmp_path) == folder


def test_without_a_folder_for_results_there_is_none(tmp_path):
    assert user_of(tmp_path / "none") == (NOBODY, NOBODY)
    assert make_run_folder("now", tmp_path / "none") is None


def test_a_folder_that_cannot_be_made_is_one_clear_error(theirs):
    theirs.chmod(0o500)
    with pytest.raises(InputError, match=r"now cannot be made: .*Permission denied"):
        make_run_folder("now", theirs)
