"""The cluster's address, and what is said where none is there."""

import socket
import subprocess
import sys
import time

import pytest

from harness.errors import InputError, UnavailableError
from harness.experiment.campaign import cluster
from harness.experiment.campaign.cluster import connected, read_on


@pytest.mark.parametrize(
    ("text", "environ", "address"),
    [
        ("ray", {}, "auto"),
        ("auto", {}, "auto"),
        ("ray", {"RAY_ADDRESS": "ray://lab:10001"}, "ray://lab:10001"),
        ("ray://lab:10001", {"RAY_ADDRESS": "other:1"}, "ray://lab:10001"),
        ("10.0.0.7:6379", {}, "10.0.0.7:6379"),
        ("ray://[fd00::1]:10001", {}, "ray://[fd00::1]:10001"),
    ],
)
def test_addresses_are_as_users_of_ray_write_them(text, environ, address):
    assert read_on(text, environ) == address


@pytest.mark.parametrize("text", ["slurm", "ray://lab", "lab", "", "http://lab:80/x"])
def test_what_is_no_address_is_refused(text):
    with pytest.raises(InputError, match=r"write ray .* ray://HOST:10001 or HOST:6379"):
        read_on(text, {})


def test_without_ray_it_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UnavailableError, match=r"needs Ray .*\[ray\]"), connected("127.0.0.1:1"):
        pass


@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_where_nothing_answers_it_says_so_soon(scheme, monkeypatch):
    assert cluster._ANSWER_SECONDS < 10
    monkeypatch.setattr(cluster, "_ANSWER_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as server:  # it never says a word
        address = f"{scheme}127.0.0.1:{server.getsockname()[1]}"
        began = time.monotonic()
        with pytest.raises(UnavailableError, match=f"--on {address}: no Ray cluster answers there"), connected(address):
            pass
        assert time.monotonic() - began < 15


@pytest.mark.parametrize(("end", "said"), [("os._exit(1)", b"harness: error: gone: --resume\n"), ("sys.exit(1)", b"")])
def test_a_command_that_ray_ends_has_a_last_word(end, said):
    code = (
        "import os, sys; from harness.experiment.campaign.cluster import last_word\n"
        f"with last_word('gone: --resume'): {end}"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=30)
    assert (done.returncode, done.stderr) == (1, said)
