"""Changes of a shape as a user writes them."""

import pytest

from harness.errors import InputError, ShapeError
from harness.model.link_edit import ShapeEdit
from tests.support.plans import SHAPES, chain, shape


def edited(before, **texts):
    return ShapeEdit.parse(texts).apply(before)


def test_what_is_not_given_stays():
    before = SHAPES["everything"]
    assert edited(before, delay="50ms") == before.changed(delay=shape(delay="50ms").delay)


def test_jitter_as_a_share_is_of_the_new_delay():
    assert edited(shape(delay="10ms"), jitter="10%").jitter.ns == 1_000_000
    assert edited(shape(delay="10ms"), jitter="10%", delay="200ms").jitter.ns == 20_000_000


def test_one_kind_of_loss_replaces_the_other():
    assert edited(SHAPES["chain"], loss="1%") == shape(loss="1%")
    burst = edited(SHAPES["bursty"], gilbert_elliott="1%,20%,90%")
    assert burst.gilbert_elliott == chain("1%", "20%", loss_bad="90%")
    assert not burst.loss
    assert edited(SHAPES["bursty"], loss="0").is_unshaped


def test_what_takes_away_a_rate_takes_its_bucket_too():
    bucket = shape(rate="10mbit", burst="32KiB", queue="100ms")
    assert edited(bucket, burst="none") == shape(rate="10mbit")
    assert edited(bucket, rate="none").is_unshaped
    assert edited(bucket, buffer="auto") == shape(rate="10mbit", burst="32KiB")


def test_limit():
    assert edited(shape(rate="1mbit"), limit="50").limit == 50
    assert edited(shape(rate="1mbit", limit=50), limit="auto").limit is None


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        ({"delay": "5"}, "--delay: '5' is not a time"),
        ({"loss_correlation": "x"}, "--loss-correlation"),
        ({"limit": "many"}, "--limit: 'many' is not a number of packets"),
        ({"distribution": "gauss"}, "--distribution: 'gauss' is unknown; one of uniform"),
        ({"gilbert_elliott": "1%"}, "--gilbert-elliott: '1%' is not a chain"),
        ({"gilbert_elliott": "p=1%,h=2%"}, "--gilbert-elliott: 'p=1%,h=2%' is not a chain"),
        ({"gilbert_elliott": "p=1%,p=2%"}, "is not a chain"),
        ({"gilbert_elliott": "1%,2%,3%,4%,5%"}, "is not a chain"),
        ({"gilbert_elliott": "p=1%,20%"}, "is not a chain"),
        ({"gilbert_elliott": "p=1%,loss_bad=20%"}, "is not a chain"),
        ({"gilbert_elliott": "0,0"}, "--gilbert-elliott: .*never changes"),
    ],
)
def test_bad_texts_name_the_option(texts, words):
    with pytest.raises(InputError, match=words):
        ShapeEdit.parse(texts)


def test_contradictions():
    with pytest.raises(ShapeError, match="jitter"):
        edited(shape(delay="10ms", jitter="2ms"), delay="1ms")
