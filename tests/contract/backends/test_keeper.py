"""The keeper of a network whose command has been ended before the keeper could answer."""

import os
import subprocess
import sys

import pytest

from harness.backends.netns import keeper_process

pytestmark = [pytest.mark.namespaces]


def test_who_waits_for_no_answer_is_told_nothing():
    reader, writer = os.pipe()
    os.close(reader)
    files = os.memfd_create("names")
    os.pwrite(files, b"{}", 0)
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", str(keeper_process._KEEPER), "2", str(files), ""],
        stdin=subprocess.DEVNULL,
        stdout=writer,
        stderr=subprocess.PIPE,
        pass_fds=[files],
        start_new_session=True,
    )
    os.close(writer)
    os.close(files)
    assert process.communicate(timeout=30)[1] == b""  # of both of its stages
