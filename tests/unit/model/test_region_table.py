"""Ranks in real regions."""

import pytest

from harness.errors import TopologyError
from harness.model.plan_options import PlanOptions
from harness.model.region_table import load_regions, shipped_tables
from harness.model.units import Rate, Time

MINE = """description: two sites
regions: {here: Delft, there: Kyoto}
delay:
  here: [~, 120ms]
  there: [130ms, ~]
rate:
  here: [~, 50mbit]
  there: [20mbit, ~]
"""


@pytest.fixture
def load(tmp_path):
    def write_and_load(text):
        (tmp_path / "mine.yaml").write_text(text)
        return load_regions(str(tmp_path / "mine.yaml"))

    return write_and_load


def test_the_shipped_table_has_the_published_numbers():
    aws = load_regions("aws")
    assert "aws" in shipped_tables()
    assert len(aws.regions) == 14
    assert len(aws.delays) == 13 * 12 + 2 * 9
    assert aws.delays["us-east-1", "ap-northeast-1"] == Time(73_000_000)
    assert aws.delays["us-west-2", "ap-southeast-1"] == Time(84_000_000)
    assert aws.delays["ap-southeast-1", "us-west-2"] == Time(81_000_000)
    assert aws.rates["us-east-2", "eu-west-1"] == aws.rates["eu-west-1", "us-east-2"] == Rate(1_140_000_000)


def test_an_edge_has_the_numbers_of_its_two_regions_and_the_rest_from_the_profiles():
    plan = PlanOptions(
        topology="regions:aws", place="us-west-2,ap-southeast-1,us-west-2", profile="none", between="wan"
    ).plan()
    assert (plan.edges[0, 1].shape.delay, plan.edges[1, 0].shape.delay) == (Time(84_000_000), Time(81_000_000))
    assert plan.edges[0, 1].shape.rate == Rate(341_000_000)
    assert float(plan.edges[0, 1].shape.loss) == pytest.approx(0.001)
    assert plan.edges[0, 1].shape.jitter == Time(8_400_000)
    assert plan.edges[0, 2].shape.is_unshaped
    assert plan.regions == {"us-west-2": (0, 2), "ap-southeast-1": (1,)}
    unknown = PlanOptions(topology="regions:aws", place="sa-east-1,us-east-1", between="wan").plan()
    assert 80_000_000 <= unknown.edges[0, 1].shape.rate.bit_s <= 800_000_000


def test_placement():
    aws = load_regions("aws")
    assert aws.placed(None, None) == ["us-east-1", "us-west-2", "eu-west-1", "ap-northeast-1"]
    assert aws.placed(16, None)[14:] == ["us-east-1", "us-west-2"]
    assert aws.placed(3, "eu-west-1, us-east-1") == ["eu-west-1", "us-east-1", "eu-west-1"]


def test_a_table_of_ones_own(load):
    topology = load(MINE).topology(3)
    assert topology.edge(0, 1).forward.rate == Rate(50_000_000)
    assert topology.edge(0, 1).backward.rate == Rate(20_000_000)
    assert (topology.edge(0, 2).tier, topology.edge(0, 1).tier) == (0, 1)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"place": "mars"}, "--place: there is no region 'mars'"),
        ({"place": "us-east-1,eu-west-1", "nodes": 1}, "--place names 2 regions, but --nodes is 1"),
        ({"place": "us-east-2,sa-east-1"}, "knows no delay from us-east-2 to sa-east-1; place ranks 0 and 1 elsewhere"),
        ({"topology": "regions:nowhere"}, "there is no table of regions 'nowhere'"),
        ({"topology": "ring", "place": "us-east-1"}, "--place is for topologies with real regions"),
        ({"topology": "regions:2", "place": "us-east-1"}, "--place is for topologies with real regions"),
    ],
)
def test_what_makes_no_sense(options, words):
    with pytest.raises(TopologyError, match=words):
        PlanOptions(**{"topology": "regions:aws", **options}).plan()


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("120ms", "120", r"mine.yaml:4: delay.here\[1\]: '120' is not a time"),
        ("[~, 120ms]", "[~]", "mine.yaml:4: delay.here: 1 values for 2 regions"),
        ("  there: [130ms, ~]", "  theer: [130ms, ~]", "mine.yaml:5: delay: unknown key 'theer'"),
        ("regions: {here: Delft, there: Kyoto}", "", "regions is missing"),
    ],
)
def test_wrong_files(load, old, new, words):
    with pytest.raises(TopologyError, match=words):
        load(MINE.replace(old, new, 1))
