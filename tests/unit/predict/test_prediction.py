"""Time per step, utilisation, rates and prices."""

import math

import pytest

from harness.errors import InputError
from harness.model.plan_edit import set_down
from harness.model.plan_options import PlanOptions
from harness.predict.exchanges import Exchange, exchanges
from harness.predict.prediction import predict, rate_for
from harness.predict.price import Price

DILOCO = 30_846_720


@pytest.fixture
def lan(tmp_path):
    profile = tmp_path / "lan.yaml"
    profile.write_text("delay: 0.2ms\n")
    return lambda uplink: PlanOptions(nodes=4, profile=str(profile), uplink=uplink).plan()


@pytest.mark.parametrize(
    ("H", "uplink", "percent"),
    [
        (1, "1gbit", 1.74),
        (1, "5gbit", 7.76),
        (8, "1gbit", 12.35),
        (8, "5gbit", 40.24),
        (32, "1gbit", 36.01),
        (32, "5gbit", 68.10),
        (128, "1gbit", 71.52),
        (128, "5gbit", 87.00),
    ],
)
def test_compute_utilisation_of_diloco_as_others_measured_it(lan, H, uplink, percent):
    """Adnan082/diloco-measured, results/raw: four nodes, 26 ms of computing a step, NCCL over TCP."""
    found = predict(lan(uplink), exchanges("diloco", {"H": H}, DILOCO, 4), 0.026)
    assert found.utilisation * 100 == pytest.approx(percent, rel=0.08)


def test_hidden_exchanges_add_no_waiting(lan):
    seen = predict(lan("100mbit"), [Exchange("all_reduce", 4e6, 10)], 0.1)
    hidden = predict(lan("100mbit"), [Exchange("all_reduce", 4e6, 10, hidden=9)], 0.1)
    assert hidden.waiting == 0 < seen.waiting
    assert hidden.exchanges[0].seconds == seen.exchanges[0].seconds


def test_a_rate_for_a_utilisation_gives_it(lan):
    made, sends = lan("100mbit"), [Exchange("all_reduce", 4e6, 10)]
    rate = rate_for(made, sends, 0.1, 0.9)
    capped = predict(lan(f"{round(rate)}bit"), sends, 0.1).utilisation
    assert capped == pytest.approx(0.9, abs=0.01)
    assert rate_for(made, [Exchange("all_reduce", 4e6, 1)], 1e-5, 0.9) is None  # delays alone take longer


def test_a_link_that_is_down_is_infinity_and_no_number_in_json(lan):
    made = lan("100mbit")
    found = predict(set_down(made, made.edges, True), [Exchange("all_reduce", 4e6)], 0.1)
    assert found.step == math.inf
    assert found.to_json()["seconds_per_step"] is None
    assert found.utilisation == 0


def test_the_bytes_that_leave_a_region_are_counted():
    made = PlanOptions(nodes=4, topology="regions:2").plan()  # ranks 0, 1 and 2, 3: of four hops two cross
    found = predict(made, [Exchange("all_reduce", 4e6)], 0.1)
    assert found.leaving == pytest.approx(found.sent / 2)
    flat = predict(PlanOptions(nodes=4).plan(), [Exchange("all_reduce", 4e6)], 0.1)
    assert flat.leaving == flat.sent == pytest.approx(4 * 1.5 * 4e6)


@pytest.mark.parametrize(
    "text", ["", "0.09", "0.09/GB", "USD/GB", "-1USD/GB", "0.09USD/Gbit", "0.09usd/GB", "1e9USD/GB"]
)
def test_a_wrong_price_is_refused(text):
    with pytest.raises(InputError, match=r"write e\.g\. 0\.09USD/GB"):
        Price.parse(text)


def test_a_price_without_a_currency_says_so():
    with pytest.raises(InputError, match="a currency is missing"):
        Price.parse("0.09/GB")


@pytest.mark.parametrize(
    ("text", "size", "cost"),
    [("0.09USD/GB", 10e9, "0.90 USD"), ("100 EUR/TiB", 2**40, "100.00 EUR"), ("0.09USD/GB", 1e6, "9e-05 USD")],
)
def test_a_price(text, size, cost):
    assert Price.parse(text).cost(size) == cost


def test_a_strategy_that_cannot_be_predicted_is_refused():
    with pytest.raises(InputError, match="powersgd"):
        exchanges("ddp", {"compress": "powersgd"}, 1000, 4)
    with pytest.raises(InputError, match="cannot be predicted; did you mean 'diloco'"):
        exchanges("diloc", {}, 1000, 4)
    with pytest.raises(InputError, match="has no option 'K'"):
        exchanges("diloco", {"K": "3"}, 1000, 4)
