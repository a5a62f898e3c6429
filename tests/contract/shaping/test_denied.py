"""Root that lacks a capability, as in a container, is told which."""

import os
import subprocess
import sys

import pytest

pytestmark = [pytest.mark.namespaces, pytest.mark.skipif(os.geteuid() != 0, reason="drops a capability of root's")]


@pytest.mark.parametrize("words", [["run", "-n", "2", "-p", "wan", "--", "true"], ["up", "-n", "2", "-p", "wan"]])
def test_root_without_net_admin(words, tmp_path):
    argv = ["setpriv", "--bounding-set", "-net_admin", "--inh-caps", "-net_admin", sys.executable, "-m", "harness"]
    env = {**os.environ, "HARNESS_STATE_DIR": str(tmp_path)}
    done = subprocess.run([*argv, *words], env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 77, done.stderr
    assert "root lacks CAP_NET_ADMIN here" in done.stderr
    assert "modprobe" not in done.stderr
