"""Charts and drawings as PNG, SVG and PDF files: the page's specifications, drawn without a browser by vl-convert."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import vl_convert

from harness.experiment.report.analysis import Analysis
from harness.experiment.report.page.chart_data import DataTable, data_tables
from harness.experiment.report.page.charts import Chart, file_names, scenario_charts, timeline_charts
from harness.experiment.report.page.links import distinct_plans
from harness.experiment.report.page.theme import COLOURS, Mode, config, literal
from harness.experiment.report.page.topology import topology_svg

VEGA_LITE: Final = "6.4"
"""The version of Vega-Lite that Altair 6 writes; vl-convert carries several."""
_WIDTH: Final = 640
_SCALE: Final = 2
_OF_CHART: Final[Mapping[str, Callable[[dict[str, Any]], bytes]]] = {
    "png": lambda spec: vl_convert.vegalite_to_png(spec, vl_version=VEGA_LITE, scale=_SCALE),
    "svg": lambda spec: vl_convert.vegalite_to_svg(spec, vl_version=VEGA_LITE).encode(),
    "pdf": lambda spec: vl_convert.vegalite_to_pdf(spec, vl_version=VEGA_LITE),
}
_OF_DRAWING: Final[Mapping[str, Callable[[str], bytes]]] = {
    "png": lambda svg: vl_convert.svg_to_png(svg, scale=_SCALE),
    "svg": str.encode,
    "pdf": vl_convert.svg_to_pdf,
}


def vega_program() -> str:
    """Vega, Vega-Lite and vega-embed as one program for a page; it defines `vegaEmbed`. Takes 2 s."""
    return str(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", vl_version=VEGA_LITE))


def write_images(analysis: Analysis, prefix: str, folder: Path, ending: str = "png") -> Iterator[Path]:
    """Write one file per chart and topology; yields each file when it is there.

    Args:
        analysis: what to draw.
        prefix: of the files' names.
        folder: where they are written.
        ending: ``png``, ``svg`` or ``pdf``.
    """
    tables = data_tables(analysis)
    charts = [chart for of_scenario in scenario_charts(analysis, legend=True) for chart in of_scenario.values()]
    for number, run in enumerate(analysis.runs):
        charts += timeline_charts(number, run.run.slug) if run.run.links else []
    for chart in charts:
        spec = image_spec(chart, tables, "light")
        if spec:
            path = folder / f"{prefix}{chart.id}.{ending}"
            path.write_bytes(_OF_CHART[ending](spec))
            yield path
    plans = distinct_plans(analysis)[0]
    names = file_names([f"topology-{plan.profile}-{plan.topology}-seed{plan.seed}" for plan in plans])
    for plan, name in zip(plans, names, strict=True):
        path = folder / f"{prefix}{name}.{ending}"
        path.write_bytes(_OF_DRAWING[ending](topology_svg(plan, literal("light"), paper=True)))
        yield path


def image_spec(chart: Chart, tables: dict[str, DataTable], mode: Mode) -> dict[str, Any] | None:
    """A specification with its data, colours and title in it; None where there is nothing to see."""
    datasets = {inside: tables[name].records() for inside, name in chart.data.items()}
    if "mean" in datasets:  # of several seeds the mean and its band, else every run's curve
        several = any(row["seeds"] != 1 for row in datasets["mean"])
        datasets["curve" if several else "mean"] = []
    layers = [layer for layer in chart.spec["layer"] if datasets[layer["data"]["name"]]]
    values = [row[chart.kind] for rows in datasets.values() for row in rows if chart.kind in row]
    if not layers or (values and not any(values)):
        return None
    return {
        **chart.spec,
        "layer": layers,
        "datasets": datasets,
        "title": chart.title,
        "width": _WIDTH,
        "padding": 16,
        "config": {**config(literal(mode)), "background": COLOURS[mode]["paper"]},
    }
