"""Charts and drawings as PNG, SVG and PDF files, drawn from the page's specifications by vl-convert."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import vl_convert

from harness.experiment.report.analysis import Analysis
from harness.experiment.report.figure_names import Paper
from harness.experiment.report.page.chart_data import DataTable
from harness.experiment.report.page.charts import Chart, file_names, scenario_charts
from harness.experiment.report.page.links import distinct_plans
from harness.experiment.report.page.run_data import logged_names
from harness.experiment.report.page.theme import COLOURS, config, literal
from harness.experiment.report.page.timelines import MARKS, data_tables, timeline_charts
from harness.experiment.report.page.topology import topology_svg

VEGA_LITE: Final = "6.4"
"""The version of Vega-Lite that Altair 6 writes; vl-convert has several."""
_WIDTH: Final = 640
_FONT: Final = 11
"""Of labels and titles, as in theme.py."""
_DRAWING_FONT: Final = 13
_LETTER, _SYMBOL, _AXIS, _LABEL_LIMIT = 6.2, 28, 70, 240
"""Pixels of a letter of a legend, of its symbol with margins, of an axis, and of the longest label."""
_PPI: Final = {False: 144, True: 300}
"""Pixels per inch of a PNG, by whether it is for a paper."""
_SIZE: Final = re.compile(r'<svg [^>]*?viewBox="0 0 ([\d.]+) ([\d.]+)"[^>]*>')


def vega_program() -> str:
    """Vega, Vega-Lite and vega-embed as one program for a page; it defines `vegaEmbed`. Takes 2 s."""
    return str(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", vl_version=VEGA_LITE))


def write_images(
    analysis: Analysis, prefix: str, folder: Path, ending: str = "png", figure: str = "", paper: Paper | None = None
) -> Iterator[Path]:
    """Write one file per chart and topology; yields each file when it is there.

    Args:
        analysis: to be drawn.
        prefix: of the files' names.
        folder: of the files.
        ending: ``png``, ``svg`` or ``pdf``.
        figure: name of the only figure, or of the only kind; empty: all.
        paper: their size in a paper, without titles; None: images with titles.
    """
    unit = "pt" if ending == "svg" else ""  # vl-convert makes 1 point of 1 pixel
    for name, svg in _drawings(analysis, figure, paper, unit):
        path = folder / f"{prefix}{name}.{ending}"
        path.write_bytes(_encoded(svg, ending, paper is not None))
        yield path


def _encoded(svg: str, ending: str, paper: bool) -> bytes:
    if ending == "svg":
        return svg.encode()
    return bytes(vl_convert.svg_to_pdf(svg) if ending == "pdf" else vl_convert.svg_to_png(svg, ppi=_PPI[paper]))


def _drawings(analysis: Analysis, figure: str, paper: Paper | None, unit: str) -> Iterator[tuple[str, str]]:
    """(name, SVG) of every chosen figure with data."""
    tables = data_tables(analysis)
    for chart in _charts(analysis):
        if figure in ("", chart.figure, chart.id) or (figure == "logged" and chart.figure.startswith("logged-")):
            spec = image_spec(chart, tables, paper)
            if spec:
                svg = vl_convert.vegalite_to_svg(spec, vl_version=VEGA_LITE)
                yield chart.id, _sized(svg, unit, paper.font / _FONT) if paper else svg
    plans = distinct_plans(analysis)[0]
    names = file_names([f"topology-{plan.profile}-{plan.topology}-seed{plan.seed}" for plan in plans])
    for plan, name in zip(plans, names, strict=True):
        if figure in ("", "topology", name):
            svg = str(topology_svg(plan, literal("light"), paper=True))
            yield name, _sized(svg, unit, paper.font / _DRAWING_FONT, paper.width) if paper else svg


def _charts(analysis: Analysis) -> Iterator[Chart]:
    for of_scenario in scenario_charts(analysis, legend=True):
        yield from of_scenario.values()
    for number, run in enumerate(analysis.runs):
        yield from timeline_charts(number, run.run.slug, logged_names(analysis))


def _sized(svg: str, unit: str, scale: float, widest: float = math.inf) -> str:
    """The drawing with its size set, so many times as large, or as large as fits the width."""

    def sized(match: re.Match[str]) -> str:
        width, height = float(match[1]), float(match[2])
        times = min(scale, widest / width)
        bare = re.sub(r' (?:width|height)="[^"]*"', "", match[0])
        return bare.replace("<svg", f'<svg width="{width * times:g}{unit}" height="{height * times:g}{unit}"', 1)

    return _SIZE.sub(sized, svg, count=1)


def image_spec(chart: Chart, tables: Mapping[str, DataTable], paper: Paper | None = None) -> dict[str, Any] | None:
    """A specification with its data and light colours, and, except on paper, a title; None: no data."""
    datasets = {inside: tables[name].records() for inside, name in chart.data.items()}
    if "mean" in datasets:  # of several seeds the mean and its band, else every run's curve
        several = any(row["seeds"] != 1 for row in datasets["mean"])
        datasets["curve" if several else "mean"] = []
    layers = [layer for layer in chart.spec["layer"] if datasets[layer["data"]["name"]]]
    values = [row[chart.kind] for rows in datasets.values() for row in rows if chart.kind in row]
    if all(layer["data"]["name"] in MARKS for layer in layers) or (values and not any(values)):
        return None
    size: dict[str, Any] = {"title": chart.title, "width": _WIDTH, "padding": 16}
    if paper:
        fit = {"type": "fit-x", "contains": "padding"}
        size = {"width": paper.width * _FONT / paper.font, "padding": 1, "autosize": fit}
    return {
        **chart.spec,
        "layer": [_legend_fits(layer, datasets, size["width"]) for layer in layers],
        "datasets": datasets,
        **size,
        "config": {**config(literal("light")), "background": COLOURS["light"]["paper"]},
    }


def _legend_fits(layer: dict[str, Any], datasets: Mapping[str, list[dict[str, Any]]], width: float) -> dict[str, Any]:
    """The layer with as many columns in its legend as have room."""
    colour = layer["encoding"].get("color", {})
    if "columns" not in (colour.get("legend") or {}):
        return layer
    texts = {str(row.get(colour["field"], "")) for rows in datasets.values() for row in rows}
    longest = min(_LABEL_LIMIT, _LETTER * max(map(len, texts), default=0))
    columns = max(1, int((width - _AXIS) / (longest + _SYMBOL)))
    legend = {**colour["legend"], "columns": columns}
    return {**layer, "encoding": {**layer["encoding"], "color": {**colour, "legend": legend}}}
