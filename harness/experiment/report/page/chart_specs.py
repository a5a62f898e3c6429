"""The charts by Altair; this module alone imports it. theme.py has the colours of the styles that charts name.

Every function returns a Vega-Lite specification with named data. Layers are combined here, and channels are objects,
not strings: Altair validates and copies its own layers and strings, which took five times as long for nine runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

import altair as alt

from harness.experiment.report.page.theme import DASHES, SERIES

Spec = dict[str, Any]
HEIGHT: Final = 230
ROW: Final = 42
"""Height of a bar with the text above it, in pixels."""
LOWER: Final = 9
"""Distance of a bar below, and of its text above, the middle of the row."""
STRIP: Final = 15
"""Height of an edge's strip."""
_SINCE: Final = "seconds"
_LABEL: Final = alt.Tooltip("label:N", title="strategy")


@lru_cache
def loss(labels: tuple[str, ...], field: str, title: str, kind: str, log: bool, several: bool, legend: bool) -> Spec:
    """Loss over seconds or bytes: a mean and band over seeds, or a line per run; the target, and where it was reached.

    A logarithmic axis leaves out points at 0, before the first step: with them, Vega draws all points at its left.

    Args:
        labels: all strategies, in the order of their colours.
        field: ``seconds`` or ``bytes``.
        title: of the x axis.
        kind: title of the y axis.
        log: whether the x axis is logarithmic.
        several: whether strategies have several seeds: then there is a band, and a run's line is thinner.
        legend: whether the chart has a legend.
    """
    x, y, colour = _loss_x(field, title, log), alt.Y("loss:Q", **_losses(kind)), _colour(labels, legend)
    dashes = [DASHES[place // SERIES % len(DASHES)] for place in range(len(labels))]
    dash = alt.StrokeDash("label:N", scale=alt.Scale(domain=list(labels), range=dashes), legend=None)
    mean, curve, hits = _named("mean"), _named("curve"), _named("hits")
    if log:
        mean = mean.transform_filter(f"datum.step > 0 && datum.{field} > 0")
        curve = curve.transform_filter(f"datum.step > 0 && datum.{field} > 0")
        hits = hits.transform_filter(f"datum.{field} > 0")
    width, opacity = (1.3, 0.8) if several else (2, 1)
    line = curve.mark_line(strokeWidth=width, opacity=opacity, clip=True)
    band = mean.mark_area(opacity=0.18, clip=True)
    low, at = alt.Y("low:Q", **_losses(kind)), alt.Y("loss:Q")
    tips, mean_tips = _loss_tips()
    return _spec(
        HEIGHT,
        *([band.encode(x=x, y=low, y2=alt.Y2("high:Q"), color=colour)] if several else []),
        mean.mark_line(strokeWidth=2, clip=True).encode(x=x, y=y, color=colour, strokeDash=dash),
        line.encode(x=x, y=y, color=colour, strokeDash=dash, detail=alt.Detail("seed:N")),
        _named("target").mark_rule(style="target").encode(y=at),
        _named("target")
        .mark_text(style="target-name", dx=4, dy=-3)
        .encode(y=at, x=alt.value(0), text=alt.Text("text:N")),
        hits.mark_point(filled=True, size=50, opacity=1).encode(x=x, y=y, color=colour, tooltip=tips),
        mean.mark_point(opacity=0, size=120).encode(x=x, y=y, tooltip=mean_tips),
        curve.mark_point(opacity=0, size=120).encode(x=x, y=y, tooltip=tips),
    )


def _loss_x(field: str, title: str, log: bool) -> alt.X:
    """The axis of seconds or bytes."""
    short = "format(datum.value, '~s')" if field == "bytes" else "format(datum.value, '~r')"
    scale = alt.Scale(type="log", nice=False) if log else alt.Scale(nice=False, zero=True)
    axis = alt.Axis(labelExpr=short, tickCount=5)
    return alt.X(f"{field}:Q", title=title + (", log scale" if log else ""), axis=axis, scale=scale)


def _losses(kind: str) -> dict[str, Any]:
    """The axis of losses."""
    return {"title": kind, "scale": alt.Scale(zero=False), "axis": alt.Axis(tickCount=5)}


def _loss_tips() -> tuple[list[alt.Tooltip], list[alt.Tooltip]]:
    """What a point of a run shows, and a point of a mean."""
    shared = [
        alt.Tooltip("step:Q"),
        alt.Tooltip("seconds:Q", title="wall time (s)", format=".4~r"),
        alt.Tooltip("bytes:Q", title="bytes sent", format=".4~s"),
        alt.Tooltip("loss:Q", format=".4~r"),
    ]
    run = [_LABEL, alt.Tooltip("seed:N"), *shared]
    mean = [
        _LABEL,
        alt.Tooltip("seeds:Q", title="mean of seeds"),
        *shared,
        alt.Tooltip("low:Q", title="least loss", format=".4~r"),
        alt.Tooltip("high:Q", title="largest loss", format=".4~r"),
    ]
    return run, mean


def target(order: Sequence[str], labels: tuple[str, ...], longest: float, legend: bool) -> Spec:
    """Time to the target: bars of medians, whiskers over seeds, and a text where it was not reached.

    ``order``: strategies from top to bottom; ``longest``: seconds on the axis, 0 where the target was not reached.
    """
    scale = alt.Scale(domain=[0, longest * 1.03 or 1], nice=False)
    x = alt.X("median:Q", title="seconds", scale=scale, axis=alt.Axis(tickCount=5, format="~r", labels=longest > 0))
    tips = [
        _LABEL,
        alt.Tooltip("text:N", title="time to target"),
        alt.Tooltip("low:Q", title="fastest seed (s)", format=".4~r"),
        alt.Tooltip("high:Q", title="slowest seed (s)", format=".4~r"),
    ]
    y = _rows(order)
    return _spec(
        ROW * len(order),
        _bars("times").encode(y=y, x=x, color=_colour(labels, legend), tooltip=tips),
        _named("times").mark_rule(style="whisker", yOffset=LOWER).encode(y=y, x=alt.X("low:Q"), x2=alt.X2("high:Q")),
        _named("seeds").mark_point(style="seed", yOffset=LOWER).encode(y=y, x=alt.X("seconds:Q")),
        _words("times", y),
    )


def share(order: Sequence[str], longest: float, legend: bool) -> Spec:
    """Computing and waiting of a step in ms; the axis ends at ``longest``."""
    scale = alt.Scale(domain=[0, longest * 1.03 or 1], nice=False)
    axis = alt.Axis(tickCount=5, format="~r")
    parts = alt.Scale(domain=["computing", "waiting"], range="ordinal")
    shown = alt.Legend(title=None, orient="top") if legend else None
    tips = [_LABEL, alt.Tooltip("part:N"), alt.Tooltip("ms:Q", title="ms per step", format=".4~r")]
    y = _rows(order)
    bars = _bars("share").encode(
        y=y,
        x=alt.X("ms:Q", title="ms per step", scale=scale, axis=axis, stack="zero"),
        color=alt.Color("part:N", scale=parts, legend=shown),
        order=alt.Order("order:Q"),
        tooltip=tips,
    )
    return _spec(ROW * len(order), bars, _words("share", y))


def bandwidth(order: Sequence[str], labels: tuple[str, ...], legend: bool) -> Spec:
    """Bus bandwidth as a share of the bound, with the figures above each bar."""
    axis = alt.Axis(format="%", values=[0, 0.25, 0.5, 0.75, 1])
    x = alt.X("share:Q", title="of the bound", scale=alt.Scale(domain=[0, 1]), axis=axis)
    tips = [_LABEL, alt.Tooltip("text:N", title="bus bandwidth of bound")]
    y = _rows(order)
    bars = _bars("bus").encode(y=y, x=x, color=_colour(labels, legend), tooltip=tips)
    return _spec(ROW * len(order), bars, _words("bus", y))


@lru_cache
def timeline(table: str, field: str, who: str, series: str, title: str, unit: str, legend: bool, named: bool) -> Spec:
    """One value of a run over time: a line per edge, rank or flow, and a mark per reshape.

    Args:
        table: of run_data; ``links``, ``tcp`` and ``flows`` have lines per attempt, ``steps`` per part of a rank.
        field: the column of values.
        who, series: the columns by which lines and colours differ.
        title, unit: of the value.
        legend: whether the chart has a legend.
        named: whether its time axis has a title.
    """
    x_title = _SINCE if named else None
    x = alt.X("seconds:Q", title=x_title, scale=alt.Scale(nice=False, zero=False), axis=alt.Axis(format="~r"))
    axis = alt.Axis(tickCount=3, format=",.4~r", minExtent=44, maxExtent=44)
    y = alt.Y(f"{field}:Q", title=(unit or title) if legend else None, axis=axis)
    shown = alt.Legend(title=None, orient="top", columns=8) if legend else None
    tips = [
        alt.Tooltip("seconds:Q", format=".4~r"),
        alt.Tooltip(f"{who}:N"),
        alt.Tooltip(f"{field}:Q", title=f"{title} ({unit})" if unit else title, format=".4~r"),
    ]
    line = _named(table).mark_line(strokeWidth=1.4, clip=True)
    parts = {"links": "attempt", "tcp": "attempt", "flows": "attempt", "steps": "part"}
    apart = [alt.Detail(f"{name}:N") for name in (who, parts.get(table)) if name]
    line = line.encode(x=x, y=y, color=alt.Color(f"{series}:N", sort=None, legend=shown), detail=apart)
    if table == "links":
        ways = alt.Scale(domain=["up", "down"], range=[[1, 0], [4, 3]])
        line = line.encode(strokeDash=alt.StrokeDash("way:N", scale=ways, legend=None))
    points = _named(table).mark_point(opacity=0, size=60).encode(x=x, y=y, tooltip=tips)
    return _spec(120, _bands("traffic", "cross traffic"), _bands("away", "away"), line, *_changes(), points)


@lru_cache
def heat_strips(title: str, legend: bool) -> Spec:
    """The use of each edge over time: a strip per edge, darker where it carried more of its rate."""
    axis = alt.Axis(format="~r")
    x = alt.X("start:Q", title=_SINCE if legend else None, scale=alt.Scale(nice=False, zero=False), axis=axis)
    rows = alt.Axis(minExtent=44, ticks=False, domain=False)
    y = alt.Y("edge:N", sort=None, title=None, axis=rows, scale=alt.Scale(paddingInner=0.15))
    full = alt.Scale(type="sqrt", domain=[0, 1], clamp=True, range=[0.05, 1])  # not a colour: a page's are variables
    shown = alt.Legend(title=title, orient="top", format="%", values=[0, 0.5, 1]) if legend else None
    tips = [
        alt.Tooltip("edge:N"),
        alt.Tooltip("start:Q", title="from (s)", format=".4~r"),
        alt.Tooltip("end:Q", title="to (s)", format=".4~r"),
        alt.Tooltip("share:Q", title=title, format=".3~%"),
    ]
    strips = (
        _named("use")
        .mark_rect(style="strip", clip=True)
        .encode(x=x, x2=alt.X2("end:Q"), y=y, opacity=alt.Opacity("share:Q", scale=full, legend=shown), tooltip=tips)
    )
    fit = {"type": "fit-x", "contains": "padding"}
    return {**_spec(0, strips, *_changes()), "height": {"step": STRIP}, "autosize": fit}


def _changes() -> list[alt.Chart]:
    """A numbered mark per reshape."""
    when = alt.X("seconds:Q")
    changed = [alt.Tooltip("seconds:Q", format=".4~r"), alt.Tooltip("text:N", title="links changed")]
    marks = _named("changes")
    return [
        marks.mark_rule(style="change").encode(x=when, tooltip=changed),
        marks.mark_text(style="change-name", dx=3).encode(x=when, y=alt.value(0), text=alt.Text("number:N")),
    ]


def _bands(name: str, title: str) -> alt.Chart:
    """A band for each load of cross traffic or absence; ``name``: of the table, of its column and of the style."""
    tips = [
        alt.Tooltip("begun:Q", title="from (s)", format=".4~r"),
        alt.Tooltip("over:Q", title="to (s)", format=".4~r"),
        alt.Tooltip(f"{name}:N", title=title),
    ]
    bands: alt.Chart = _named(name).mark_rect(style=name, clip=True)
    return bands.encode(x=alt.X("begun:Q"), x2=alt.X2("over:Q"), tooltip=tips)


def _named(name: str) -> alt.Chart:
    return alt.Chart(alt.NamedData(name=name))


def _colour(labels: tuple[str, ...], legend: bool) -> alt.Color:
    """The colour of a strategy, by its index among all labels: the same in every chart."""
    shown = alt.Legend(title=None, orient="top", columns=3, symbolOpacity=1) if legend else None
    return alt.Color("label:N", scale=alt.Scale(domain=list(labels)), legend=shown)


def _rows(order: Sequence[str]) -> alt.Y:
    """One row per strategy without an axis; names are above the bars, where they have room on a phone too."""
    return alt.Y("label:N", sort=list(order), scale=alt.Scale(domain=list(order)), axis=None)


def _bars(table: str) -> alt.Chart:
    bars: alt.Chart = _named(table).mark_bar(height={"band": 0.32}, yOffset=LOWER, opacity=0.9)
    return bars


def _words(table: str, y: alt.Y) -> alt.Chart:
    """The column ``line`` (name and figures) above each bar, cut where the chart ends."""
    text = _named(table).mark_text(style="note", dy=-LOWER, limit=alt.ExprRef("width"))
    words: alt.Chart = text.encode(y=y, x=alt.value(0), text=alt.Text("line:N"))
    return words


def _spec(height: int, *layers: alt.Chart) -> Spec:
    """The layers as one chart, as wide as its container."""
    bare = [layer.to_dict(validate=False) for layer in layers]
    stacked = [{key: value for key, value in layer.items() if key not in ("$schema", "config")} for layer in bare]
    return {"$schema": alt.SCHEMA_URL, "width": "container", "height": height, "layer": stacked}
