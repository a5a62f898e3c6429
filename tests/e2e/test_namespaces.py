"""The command line on networks of namespaces: who may make them."""

import json
import os
import re
import sys
import tempfile
from pathlib import Path

import pytest

from tests.support.cli import own_processes, wait_for

pytestmark = [pytest.mark.links, pytest.mark.namespaces]


AS_NOBODY = """
if ! setpriv --reuid 65534 --clear-groups test -x "$1/bin"; then  # a Python below /root, say: show it to everybody here
    top=/$(echo "$1" | cut -d/ -f2)
    mount --bind "$1" /mnt && mount -t tmpfs -o mode=755 none "$top" && mkdir -p "$1" && mount --bind /mnt "$1"
fi
shift
exec setpriv --reuid 65534 --regid 65534 --clear-groups --no-new-privs "$@"
"""


AWAY = "events: [{at: 200ms, for: 200ms, pause: {node: 1}}, {at: 600ms, kill: {node: 2}, back: 100ms}]"


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_another_user_needs_no_root(harness):
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        os.chown(folder, 65534, 65534)
        harness.env["HARNESS_STATE_DIR"] = folder
        harness.wrapper = ["unshare", "-m", "sh", "-ec", AS_NOBODY, "sh", sys.base_prefix]
        harness("up", "-n", "3", "-t", "line", "-p", "wan")
        harness("link", "set", "0-1", "--delay", "40ms", "--jitter", "0")
        told = harness("exec", "0", "--", "ping", "-U", "-c", "8", "-i", "0.3", "10.77.0.2").stdout
        assert re.search(r"time=8\d[. ]", told), told
        shown = json.loads(harness("link", "show", "--json").stdout)
        assert all(one["mismatch"] is None for one in shown)
        assert shown[0]["applied"]["delay_s"] == 0.04
        harness("traffic", "start", "0-2", "--rate", "1mbit")
        harness("traffic", "start", "0-2", "--flows", "1", "--cc", "reno", "--both")
        wait_for(lambda: all(one["received_bytes"] for one in json.loads(harness("traffic", "show", "--json").stdout)))
        harness("down")
        assert not own_processes("traffic/holder.py", folder)
        Path(folder, "s.yaml").write_text(AWAY)
        ran = ["-n", "3", "-t", "line", "-p", "wan", "--record", "--runs", f"{folder}/runs"]
        harness("run", *ran, "--scenario", f"{folder}/s.yaml", "--", "sleep", "1")
        (away,) = Path(folder).glob("runs/*/away.jsonl")
        told = [json.loads(line)["what"] for line in away.read_text().splitlines()]
        assert told == ["pause", "back", "kill", "back", "restarted"]
        (links,) = Path(folder).glob("runs/*/links.jsonl")
        assert len(json.loads(links.read_text().splitlines()[0])["edges"]) == 4, "the sampler is in the nodes"
        harness.wrapper = []
    assert not own_processes("keeper.py")
