"""``harness predict``: predicts how fast a job will be on a network, and can compare that with a measurement."""

from __future__ import annotations

import importlib.util
import re
from typing import Annotated, Any, Final

import typer

from harness.cli import options
from harness.cli.output import print_json, say, show, status, table
from harness.cli.rank_result import rank_result
from harness.cli.up import prepare, start
from harness.errors import InputError, UnavailableError, quoted
from harness.installed import INSTALL_TORCH
from harness.model.format import count, format_rate, format_share, format_size, format_time
from harness.model.plan import NetworkPlan
from harness.model.plan_options import OPTIONS, NetworkOptions
from harness.model.units import Time, parse_duration
from harness.predict.exchanges import exchanges
from harness.predict.prediction import UTILISATIONS, Prediction, predict, rate_for
from harness.predict.price import Price

EPILOG = options.examples(
    "harness predict --parameters 124M --step-time 0.2s --strategy diloco -o H=100 -n 4 -p wan",
    "harness predict --parameters 1M --step-time 26ms -n 4 -p none --uplink 100mbit --measure",
    "harness predict --parameters 1B --step-time 1s -t regions:aws -n 8 --price 0.09USD/GB",
)
_NUMBER: Final = re.compile(r"(\d+(?:\.\d+)?)([kKMB]?)", re.ASCII)
_SCALES: Final = {"": 1, "k": 10**3, "K": 10**3, "M": 10**6, "B": 10**9}
_MEASURABLE: Final = 50_000_000
"""The most parameters that --measure takes: each rank holds three copies."""


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("predict", epilog=EPILOG)(predict_job)


@options.network_options(*OPTIONS)
def predict_job(
    parameters: Annotated[str, typer.Option(help="Number of parameters, each a float32, e.g. 124M or 1.3B.")],
    step_time: Annotated[str, typer.Option(help="Computing time of a step, without waiting, e.g. 26ms.")],
    chosen: NetworkOptions,
    strategy: Annotated[str, typer.Option(help="A strategy that ships; see docs/strategies.md.")] = "ddp",
    option: Annotated[
        list[str] | None, typer.Option("--option", "-o", help="Option of the strategy, NAME=VALUE; may be repeated.")
    ] = None,
    price: Annotated[
        str | None,
        typer.Option(help="Price of traffic that leaves a region, or without regions a node, e.g. 0.09USD/GB."),
    ] = None,
    measure: Annotated[
        bool, typer.Option("--measure", help="Run the job with a model that computes nothing, and compare.")
    ] = False,
    name: options.NameOption = options.DEFAULT_NAME,
    json_: options.JsonOption = False,
) -> None:
    """Predict time per step, compute utilisation, bytes, the rate for a utilisation and the price of a job.

    It uses the delays, rates, shared capacities and losses of the plan, and gloo's algorithms; see docs/predict.md.
    """
    made, placement = prepare(name, chosen)
    if made.size < 2:
        raise InputError("a job on one node sends nothing: give --nodes")
    size, compute, cost = _parameters(parameters), _step(step_time), price and Price.parse(price)
    given = _given(option or [])
    sends = exchanges(strategy, given, size, made.size)
    found = predict(made, sends, compute)
    rates = {share: rate_for(made, sends, compute, share) for share in UTILISATIONS} if sends else {}
    measured = None
    if measure:
        _check_measurable(size, placement.runtime)
        network = start(name, made, placement, transient=True)
        try:
            words = ["--parameters", str(size), "--step-time", f"{compute:.9f}", "--strategy", strategy]
            words += [word for item in given.items() for word in ("--option", "=".join(item))]
            with status("measuring: PyTorch starts on every node, then some periods of the strategy"):
                measured = rank_result(network, "harness.training.pace", words)
        finally:
            network.down()
    document = {
        "strategy": strategy,
        "options": given,
        "parameters": size,
        **found.to_json(),
        "rates_bit_s": {f"{share:g}": rate for share, rate in rates.items()},
        "measured": measured,
    }
    if json_:
        print_json(document)
        return
    _show(made, strategy, found, measured)
    _show_rates(found, rates)
    _show_price(found, cost)


def _parameters(text: str) -> int:
    found = _NUMBER.fullmatch(text)
    number = round(float(found[1]) * _SCALES[found[2]]) if found else 0
    if not number:
        raise InputError(f"--parameters {quoted(text)}: write a number of them, e.g. 124M or 1.3B")
    return number


def _step(text: str) -> float:
    try:
        fine = text.strip().lower().endswith(("ms", "us"))
        seconds = Time.parse(text).seconds if fine else parse_duration(text)
    except InputError as error:
        raise InputError(f"--step-time: {error}") from None
    if seconds <= 0:
        raise InputError(f"--step-time {quoted(text)}: write a time over 0, e.g. 26ms")
    return seconds


def _given(words: list[str]) -> dict[str, str]:
    found = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not (key and equals):
            raise InputError(f"--option {quoted(word)}: write NAME=VALUE, like H=20")
        found[key] = value
    return found


def _check_measurable(parameters: int, runtime: str) -> None:
    if parameters > _MEASURABLE:
        raise InputError(
            f"--measure takes at most {count(_MEASURABLE, 'parameter')}: scale the model and the rates down together"
        )
    if runtime == "netns" and importlib.util.find_spec("torch") is None:
        raise UnavailableError(f"--measure needs PyTorch, which this Python lacks: {INSTALL_TORCH}")


def _show(made: NetworkPlan, strategy: str, found: Prediction, measured: dict[str, Any] | None) -> None:
    title = f"{strategy} on {count(made.size, 'node')}, {made.topology}, profile {made.profile}, seed {made.seed}"
    columns = ["predicted>", *(["measured>", "measured / predicted>"] if measured else [])]
    rows = table(title, "", *columns)
    for words, key, value, text in (
        ("time per step", "seconds_per_step", found.step, format_time),
        ("  computing", "seconds_compute", found.compute, format_time),
        ("  waiting for others", "seconds_waiting", found.waiting, format_time),
        ("compute utilisation", "utilisation", found.utilisation, format_share),
    ):
        told = [text(value)]
        if measured:
            told += [text(measured[key]), f"{measured[key] / value:.2f}" if value else ""]
        rows.add_row(words, *told)
    rows.add_row("sent per step, all ranks", format_size(found.sent), *([""] * 2 if measured else []))
    for one in dict.fromkeys(found.exchanges):
        often = "every step" if one.exchange.every == 1 else f"every {one.exchange.every} steps"
        what = f"{one.exchange.collective} of {format_size(one.exchange.size)}, {often}"
        rows.add_row(what, format_time(one.seconds), *([""] * 2 if measured else []))
    show(rows)


def _show_rates(found: Prediction, rates: dict[float, float | None]) -> None:
    if not rates:
        return
    say("")
    rows = table("Rate of every link for a compute utilisation", "utilisation", "rate>")
    for share, rate in rates.items():
        rows.add_row(format_share(share), "no rate: delay or loss" if rate is None else format_rate(rate))
    show(rows)


def _show_price(found: Prediction, price: Price | str | None) -> None:
    if isinstance(price, Price):
        hour = found.leaving * 3600 / found.step
        say("")
        say(
            f"price of traffic: {price.cost(found.leaving * 1000)} per 1,000 steps, {price.cost(hour)} per hour"
            f" ({format_size(found.leaving)} per step)"
        )
