"""What strategies say that they send, against what the interfaces of real nodes counted: all of them in one network.

TCP's part is known. Of each frame 66 bytes are headers: 14 Ethernet, 20 IP, 32 TCP with time stamps (a packet that the
kernel hands over whole counts them once); acknowledgements are nothing else. What is left is what gloo wrote to its
sockets: the payload, and for each message (gloo/transport/tcp/pair.cc at commit 70dc360; a preamble has 48 bytes) one
preamble in front of it, one that announces it, and one for a message that is awaited. On idle machines that is what
is counted, to a few bytes. What may come on top is bounded by what it comes from:

* gloo cuts a tensor into segments of whole elements, so a rank's share is some bytes above or below the mean;
* a machine that stalls makes TCP send segments again (counted by the kernel), which others answer with SACK options:
  one lost in a burst makes a rank repeat them, of at most 28 bytes beside time stamps, in its every packet meanwhile;
* a frame or two of the interface's own (neighbour discovery).
"""

import json
import math
from pathlib import Path

import pytest

from harness.networks.launch import launch
from harness.training.strategies.catalogue import TABLE
from tests.support.live import needs, network, up
from tests.support.plans import shape

pytestmark = [*needs(), pytest.mark.torch]

NODES = 3
STEPS = 8
FRAME, PREAMBLE, SEGMENT, ELEMENT, SACK, STRAY = 66, 48, 1448, 4, 28, 100
ALL_REDUCE = 2 * (NODES - 1) * 2
"""Messages that a rank sends, and gets, for an all_reduce: n - 1 chunks twice, each in two segments under 1 MiB."""
ALL_GATHER = 2 * (NODES - 1)
BARRIER = math.ceil(math.log2(NODES))
PROGRAM = Path(__file__).parents[1] / "support" / "strategy_bytes.py"
LINE = [[1], [0, 2], [1]]
"""The topology has links between all; gossip is told only of these, so that ranks differ."""

H = {"H": 4}
CASES = {
    "local": ("local", {}, 0),
    "ddp": ("ddp", {}, STEPS * ALL_REDUCE),
    "ddp fp16": ("ddp", {"compress": "fp16"}, STEPS * ALL_REDUCE),
    "ddp bf16": ("ddp", {"compress": "bf16"}, STEPS * ALL_REDUCE),
    "ddp powersgd": ("ddp", {"compress": "powersgd", "rank": 4}, STEPS * 3 * ALL_REDUCE),
    "fedavg": ("fedavg", H, 2 * ALL_REDUCE),
    "diloco": ("diloco", H, 2 * ALL_REDUCE),
    "streaming": ("streaming-diloco", H, 2 * 2 * ALL_REDUCE),
    "streaming int8": ("streaming-diloco", {**H, "quantise": "int8"}, 2 * 2 * ALL_GATHER),
    "streaming int4": ("streaming-diloco", {**H, "quantise": "int4"}, 2 * 2 * ALL_GATHER),
    "streaming e3m0": ("streaming-diloco", {**H, "quantise": "e3m0"}, 2 * 2 * ALL_GATHER),
    "sparta": ("sparta", {"p": 0.2}, STEPS * ALL_REDUCE),
    "demo": ("demo", {"chunk": 16, "topk": 32}, STEPS * ALL_GATHER),
    "gossip": ("gossip", {"H": 2}, STEPS // 2 * 2),
}
"""Strategy, options, and the most messages that a rank sends in STEPS steps."""


@pytest.fixture(scope="module")
def counted(tmp_path_factory):
    """Of each case what every rank said and its interface counted."""
    cases = [
        {"name": name, "strategy": strategy, "options": options, "neighbours": LINE, "warm": 4, "steps": STEPS}
        for name, (strategy, options, _) in CASES.items()
    ]
    found, lines = {name: {} for name in CASES}, []

    def sink(rank, stream, line):
        lines.append(f"{rank} {stream} {line.decode()}")
        if stream == "stdout":
            told = json.loads(line)
            found[told["name"]][rank] = told

    plan = network("fully_connected", NODES, shape(delay="1ms", rate="200mbit"))
    with up(plan, folder=tmp_path_factory.mktemp("state")) as net:
        argv = [net.backend.python, "-c", PROGRAM.read_text(), json.dumps(cases)]
        outcome = launch(net.backend, plan, argv, sink)
    assert outcome.code == 0, "\n".join(lines)
    return found


def test_every_strategy_that_ships_is_counted():
    assert {strategy for strategy, _, _ in CASES.values()} == set(TABLE), "see CASES above"


@pytest.mark.parametrize("name", CASES)
def test_interfaces_count_what_a_strategy_says_it_sends(counted, name):
    messages = CASES[name][2] + BARRIER
    assert sorted(counted[name]) == list(range(NODES))
    total = sum(told["again"] for told in counted[name].values())
    for told in counted[name].values():
        written = told["sent"] - FRAME * told["packets"]
        again = told["again"] * SEGMENT
        answers = SACK * told["packets"] if total > told["again"] else 0
        most = told["said"] + messages * (3 * PREAMBLE + ELEMENT) + again + answers + STRAY
        assert told["said"] <= written <= most, told
