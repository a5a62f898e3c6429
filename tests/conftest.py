"""What every test run needs: a state folder of its own, skips that say what is missing, and no silent skips in CI."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import uuid
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

import pytest

from harness.errors import HarnessError

pytest.register_assert_rewrite("tests.support")  # so that its assertions say what they compared
TESTS = Path(__file__).parent
ALLOWED_SKIPS = TESTS / "allowed-skips.txt"


@pytest.fixture(scope="session", autouse=True)
def state_folder(tmp_path_factory):
    """Keep the user's networks out of reach of tests and of what they start; mark the processes of this run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARNESS_STATE_DIR", str(tmp_path_factory.mktemp("state")))
        patch.setenv("HARNESS_TEST_RUN", uuid.uuid4().hex)
        yield


# Markers


_MISSING = {
    "netem": ("netem", "run the tests under scripts/with-netem"),
    "nfqueue": ("userspace", "see harness doctor"),
}
"""Marker -> the engine that its tests need, and what to do where it does not work."""


_DOCKER = {
    "info": "no Docker daemon answers: run the tests under scripts/with-docker",
    "compose version": "Docker has no Compose v2: run the tests under scripts/with-docker",
    "image inspect harness-node": "there is no image harness-node: run scripts/build-image",
}
"""What tests of containers need, as words to docker, and what to do where that fails."""


def _succeeds(*argv):
    try:
        return subprocess.run(argv, capture_output=True, timeout=60).returncode == 0
    except OSError:
        return False


@cache
def _features():
    from harness.shaping.detect import features

    return features()


@cache
def _lacking(marker):
    """Why tests with that marker cannot run here, or an empty string."""
    if marker == "torch":
        return "" if importlib.util.find_spec("torch") else "PyTorch is missing: run scripts/setup"
    if marker == "docker":
        return next((remedy for words, remedy in _DOCKER.items() if not _succeeds("docker", *words.split())), "")
    namespaces = next(feature for feature in _features() if feature.name == "namespaces")
    if not namespaces.ok:
        return f"no network namespaces: {namespaces.detail}; {namespaces.remedy}"
    engine, remedy = _MISSING.get(marker, ("", ""))
    if marker == "links":
        from harness.shaping.detect import choose_engine

        wanted = os.environ.get("HARNESS_ENGINE", "auto")
        try:
            choose_engine(wanted, _features())
        except HarnessError as problem:
            return f"--engine {wanted} does not work here: {problem}"
    if missing := [feature for feature in _features() if engine in feature.needed_by and not feature.ok]:
        told = ", ".join(f"{feature.name} ({feature.detail})" for feature in missing)
        return f"this kernel lacks {told}: {remedy}"
    return ""


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    for marker in ("namespaces", "links", "netem", "nfqueue", "torch", "docker"):
        if item.get_closest_marker(marker) and (reason := _lacking(marker)):
            pytest.skip(reason)


def pytest_collection_modifyitems(items):
    """Tests about containers or about netem are in folders of their own, and pure logic takes no time."""
    for item in items:
        if item.path.is_relative_to(TESTS / "unit") and item.get_closest_marker("timing"):
            raise pytest.UsageError(f"{item.nodeid}: what measures time belongs into tests/contract or tests/live")
        for folder, marker in (("docker", "backend"), ("netem", "engine")):
            if item.path.is_relative_to(TESTS / folder):
                item.add_marker(marker)


# Skips in CI


def _allowed_skips():
    """The globs of tests/allowed-skips.txt; every line needs a reason."""
    globs = []
    for number, line in enumerate(ALLOWED_SKIPS.read_text().splitlines(), 1):
        glob, _, reason = (part.strip() for part in line.partition("#"))
        if glob and not reason:
            raise pytest.UsageError(f"{ALLOWED_SKIPS}:{number}: give a reason: {glob}  # why this may be skipped in CI")
        if glob:
            globs.append(glob)
    return globs


def pytest_configure(config):
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        if signal.getsignal(number) is signal.SIG_IGN:  # started by `... &` or nohup: commands would inherit it
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    if os.environ.get("CI") == "true":
        config.pluginmanager.register(SkipWatch(_allowed_skips()), "skip-watch")


class SkipWatch:
    """Makes a run with a skip that is not allowed a failed one."""

    def __init__(self, allowed):
        self._allowed = allowed
        self._skips = {}

    def pytest_runtest_logreport(self, report):
        allowed = any(fnmatchcase(report.nodeid, glob) for glob in self._allowed)
        if report.skipped and not hasattr(report, "wasxfail") and not allowed:
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
            self._skips[report.nodeid] = reason.removeprefix("Skipped: ")

    def pytest_collectreport(self, report):
        self.pytest_runtest_logreport(report)

    def pytest_sessionfinish(self, session):
        if self._skips and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter):
        if self._skips:
            terminalreporter.section("skipped, which is a failure in CI", red=True)
            for nodeid, reason in self._skips.items():
                terminalreporter.line(f"{nodeid}: {reason}")
            terminalreporter.line(f"fix the cause, or allow it with a reason in {ALLOWED_SKIPS}")


# The command line


@pytest.fixture
def harness(request, tmp_path):
    """The harness command; what it left up is removed. On a Docker daemon, tests remove what they made themselves."""
    from tests.support.cli import Command

    docker = request.node.get_closest_marker("docker") is not None
    command = Command(tmp_path / "state", docker)
    yield command
    if not docker and any(Path(command.env["HARNESS_STATE_DIR"]).glob("*.json")):
        command("down", "--all")
