"""The report's page of 192 runs: its size, how long it takes to make, and when Chromium first paints it.

    python -m benchmarks page

The runs are made up (tests/support/runs.py): 4 profiles x 2 topologies x 6 strategies x 4 seeds of 4 nodes and 200
steps, with flows ten times a second and every collective. Needs Chromium, its driver and selenium.
"""

from __future__ import annotations

import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from benchmarks.report import Row, table
from harness.experiment.report.analysis import analyse
from harness.experiment.report.image_export import vega_program
from harness.experiment.report.load import load_experiment
from harness.experiment.report.page.page import make_page
from harness.model.format import format_size, format_time
from tests.support.runs import DDP, DILOCO, SPARTA, Strategy, make_experiment

RUNS: Final = 192
TURNS: Final = 5
SIZE, PAINT = 3_000_000, 1.0
_OTHERS: Final = [Strategy(name, name, {}, every=5, pace=50) for name in ("fedavg", "gossip", "slowmo")]
_PAINT: Final = "return performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
_DRAWN: Final = "return document.documentElement.dataset.charts === 'drawn' && performance.now()"


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as made:
        page, seconds = make(Path(made))
        size = page.stat().st_size
        rows = [
            Row("read, analyse and write the page", format_time(seconds)),
            Row("size of the page", format_size(size), f"< {format_size(SIZE)}", size < SIZE),
        ]
        if shutil.which("chromium") and shutil.which("chromedriver"):
            paint, drawn = (statistics.median(times) for times in zip(*show(page), strict=True))
            rows.append(Row("first paint", format_time(paint), f"< {format_time(PAINT)}", paint < PAINT))
            rows.append(Row("all charts that are shown at first are drawn", format_time(drawn)))
        table(f"Report of {RUNS} runs", rows)


def make(folder: Path) -> tuple[Path, float]:
    """The page, and the seconds that it took from the records to the file."""
    make_experiment(
        folder / "large-1",
        profiles=("local", "datacenter", "wan", "mobile"),
        topologies=("ring", "star"),
        strategies=(DDP, DILOCO, SPARTA, *_OTHERS),
        seeds=(0, 1, 2, 3),
        nodes=4,
        steps=200,
        sampled=True,
    )
    began = time.perf_counter()
    analysis = analyse(load_experiment(folder / "large-1"))
    assert len(analysis.runs) == RUNS
    page = folder / "report.html"
    page.write_text(make_page(analysis, vega_program()))
    return page, time.perf_counter() - began


def show(page: Path) -> list[tuple[float, float]]:
    """Of each turn the seconds until Chromium had painted something, and until the charts were drawn."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1400,1000"):
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))
    driver.set_page_load_timeout(120)
    try:
        return [_turn(driver, page) for _ in range(TURNS)]
    finally:
        driver.quit()


def _turn(driver: Any, page: Path) -> tuple[float, float]:
    driver.get("about:blank")
    driver.get(page.as_uri())
    while not (drawn := driver.execute_script(_DRAWN)):
        time.sleep(0.05)
    return driver.execute_script(_PAINT) / 1e3, drawn / 1e3
