"""A field of a link is declared once, in LinkShape: each place that cannot be derived from that has every field."""

import json
import re
from dataclasses import fields, replace
from pathlib import Path
from typing import get_args

import pytest
import typer
from typer.main import get_command

from harness.api.edges import ShapeTexts
from harness.cli import link as link_command
from harness.model.link import LINK_FIELDS, UNSHAPED, LinkShape
from harness.model.node_plan import PlannedEdge, Port
from harness.model.profile import Profile
from harness.model.profile_file import load_profile
from harness.model.status import EdgeStatus, Stats
from harness.shaping import tc_messages
from harness.shaping.qdisc import Branch, Netem
from harness.shaping.shape_branch import branch_of, shape_of
from harness.shaping.userspace.link_queue import LinkQueue
from harness.verify.verdict.row import Quantity
from tests.support.plans import SHAPES

TEXTS = {
    "rate": "10mbit",
    "delay": "20ms",
    "jitter": "2ms",
    "distribution": "normal",
    "loss": "1%",
    "loss_correlation": "25%",
    "gilbert_elliott": "1%,20%",
    "duplicate": "1%",
    "corrupt": "1%",
    "reorder": "1%",
    "limit": "50",
    "burst": "64KiB",
    "queue": "codel",
    "buffer": "100ms",
    "overhead": "24",
    "delivery": str(Path("tests/support/traces/walk.up").absolute()),
}
"""By field, something that a user may write."""
NEEDS = {
    "jitter": {"delay"},
    "distribution": {"delay", "jitter"},
    "reorder": {"delay"},
    "loss_correlation": {"loss"},
    "burst": {"rate"},
    "queue": {"rate"},
    "buffer": {"rate"},
    "overhead": {"rate"},
}
"""Fields that another one makes no sense without."""
VERDICTS = {
    "rate": "rate",
    "delay": "rtt",
    "jitter": "jitter",
    "distribution": "jitter",
    "loss": "loss",
    "loss_correlation": "loss",
    "gilbert_elliott": "loss",
    "duplicate": "duplicate",
    "corrupt": "loss",  # the receiver's kernel drops what has a wrong checksum
    "reorder": "reorder",
    "limit": "loss",  # what finds the queue full is lost
    "burst": "rate",
    "queue": "loss",
    "buffer": "loss",
    "overhead": "rate",
    "delivery": "rate",
}
"""The quantity of ``harness verify`` that shows whether a field is kept."""


def made(*names):
    return LinkShape(**{name: LINK_FIELDS[name].read(TEXTS[name]) for name in names})


def branch(of):
    port = Port(PlannedEdge(0, 1, of), 1, (1,))
    return branch_of(port, 0)


def test_every_field_is_declared():
    assert list(LINK_FIELDS) == [one.name for one in fields(LinkShape)]
    assert TEXTS.keys() == VERDICTS.keys() == LINK_FIELDS.keys(), "write an example and a quantity above"
    assert len({one.json for one in LINK_FIELDS.values()}) == len(LINK_FIELDS)


def test_link_set_has_an_option_for_each_with_its_help():
    app = typer.Typer()
    app.callback()(lambda: None)
    link_command.register(app)
    options = {one.name: one for one in get_command(app).commands["link"].commands["set"].params}
    for name, one in LINK_FIELDS.items():
        assert options[name].opts == [f"--{name.replace('_', '-')}"]
        assert options[name].help == one.help


def test_python_has_a_keyword_for_each():
    assert set(ShapeTexts.__annotations__) == set(LINK_FIELDS), "see ShapeTexts in harness/api/edges.py"


def test_a_profile_has_a_range_for_each():
    assert [one.name for one in fields(Profile) if one.name in LINK_FIELDS] == list(LINK_FIELDS)
    document = Profile("p").to_json()
    assert {one.json for one in LINK_FIELDS.values()} <= document.keys()


@pytest.mark.parametrize("name", LINK_FIELDS)
def test_a_profile_in_a_file_reads_it(name, tmp_path):
    wanted = {*NEEDS.get(name, ()), name}
    texts = {key: {"p": "1%", "r": "20%"} if key == "gilbert_elliott" else TEXTS[key] for key in wanted}
    path = tmp_path / "p.yaml"
    path.write_text(json.dumps(texts))
    assert load_profile(str(path)).sample(0, 0, 1) == made(*wanted)


@pytest.mark.parametrize("name", LINK_FIELDS)
def test_json_has_it_and_gives_it_back(name):
    of = made(*NEEDS.get(name, ()), name)
    document = json.loads(json.dumps(of.to_json()))
    assert document[LINK_FIELDS[name].json] != UNSHAPED.to_json()[LINK_FIELDS[name].json]
    assert LinkShape.from_json(document) == of
    assert EdgeStatus.from_json(EdgeStatus(of, Stats()).to_json()).applied == of


def test_json_from_before_a_field_existed_is_read():
    document = UNSHAPED.to_json()
    assert LinkShape.from_json({"delay_s": 0.0}) == UNSHAPED
    with pytest.raises(KeyError):
        LinkShape.from_json({key: value for key, value in document.items() if key != "delay_s"})


@pytest.mark.parametrize("name", LINK_FIELDS)
def test_people_are_shown_it(name):
    needed = NEEDS.get(name, ())
    assert made(*needed, name).describe() != made(*needed).describe()


@pytest.mark.parametrize("name", LINK_FIELDS)
def test_the_engines_make_it(name):
    needed = NEEDS.get(name, ())
    assert branch(made(*needed, name)) != branch(made(*needed))


@pytest.mark.parametrize("name", LINK_FIELDS)
def test_it_is_read_back(name):
    tree = branch(made(*NEEDS.get(name, ()), name))
    again = branch(shape_of(tree))  # with the limit that was computed, as if the user had given it
    bounds = {"queue_bytes": tree.netem.queue_bytes, "queue_packets": tree.netem.queue_packets}
    assert replace(again, netem=replace(again.netem, **bounds)) == tree


def test_the_suite_of_all_engines_has_shapes_with_each():
    """Except what netem cannot make: newer kernels allow no duplicating netem beside others."""
    tried = {name for one in SHAPES.values() for name in one.effects}
    assert LINK_FIELDS.keys() - tried == {"delivery", "duplicate"}, "see SHAPES in tests/support/plans.py"


@pytest.mark.parametrize(
    ("make", "others"),
    [
        (lambda netem: tc_messages.netem(netem, fresh=False), {"queue_bytes", "queue_packets"}),
        (lambda netem: LinkQueue(7, Branch(1, netem), [0, 0, 0]), {"queue_packets"}),
    ],
    ids=["the kernel's message", "the user-space queue"],
)
def test_each_parameter_of_netem_is_used(make, others):
    used = set()

    class Watched(Netem):
        def __getattribute__(self, name):
            used.add(name)
            return super().__getattribute__(name)

    make(Watched(delay_ns=10**7, jitter_ns=10**6, distribution="normal", reorder=1, gap=1, rate_byte_s=10**6))
    assert {one.name for one in fields(Netem)} - used == others


def test_verify_has_a_quantity_for_each():
    assert set(VERDICTS.values()) == set(get_args(Quantity))


def test_the_documents_name_each():
    """With its meaning, in the docstring of LinkShape."""
    assert re.findall(r"^        (\w+): ", LinkShape.__doc__, re.MULTILINE) == list(LINK_FIELDS)
