"""The report's page in a real browser: it draws all its charts, asks the network for nothing, and fits a phone.

Needs Chromium and its driver (Debian: chromium, chromium-driver), selenium, and the extra `report`.
"""

import base64
import json
import shutil
import zlib

import pytest

from harness.experiment.report.analysis import analyse
from harness.experiment.report.load import load_experiment
from tests.support.runs import DDP, DILOCO, Strategy, make_experiment, read_lines, write_lines

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    CHROMIUM is None or DRIVER is None, reason="no Chromium: apt-get install chromium chromium-driver"
)
FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --disable-dev-shm-usage"
)
SIZES = {"desktop": (1400, 900, False), "tablet": (800, 1100, True), "phone": (390, 844, True)}
EVIL = Strategy("evil", "<img src=x onerror=alert(1)> & a rather long name of a strategy", {"H": 3}, every=3, pace=50)
SECONDS = 120
"""That a page may take to draw on a machine that does other things; it takes 2 s on one that does not."""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A page with all that it can have: a failure, a reshape, markup in names, a run that has not begun."""
    pytest.importorskip("altair", reason="the extra 'report' is not installed")
    from harness.experiment.report.image_export import vega_program
    from harness.experiment.report.page.page import make_page

    folder = tmp_path_factory.mktemp("runs") / "browser-1"
    of = {"profiles": ("wan", "mobile"), "strategies": (DDP, DILOCO, EVIL), "seeds": (0, 1), "steps": 100}
    make_experiment(folder, **of, sampled=True)
    (folder / "mobile.ring.diloco-H20.seed1" / "flows.jsonl").unlink()
    failed = {"status": "failed", "time": 1, "seconds": 1, "code": -9, "failed_rank": 2, "last_lines": ["<script>x"]}
    write_lines(folder / "wan.ring.ddp.seed1" / "end.json", [failed])
    reshaped = folder / "mobile.ring.ddp.seed0"
    shape = read_lines(reshaped / "run.json")[0]["plan"]["edges"][0]
    began = read_lines(reshaped / "links.jsonl")[0]["time"]
    edge = {"src": 0, "dst": 1, "before": shape, "after": {**shape, "delay_s": 0.3}}
    write_lines(reshaped / "changes.jsonl", [{"asked": began + 8, "acknowledged": began + 8.2, "edges": [edge]}])
    log = {"kind": "log", "step": None, "values": {"<img src=x onerror=alert(1)>": 2.0}}
    lines = read_lines(reshaped / "rank-0.jsonl")
    write_lines(reshaped / "rank-0.jsonl", [*lines, *({**log, "time": began + second} for second in (4, 9))])
    path = folder / "page.html"
    path.write_text(make_page(analyse(load_experiment(folder)), vega_program()))
    return path


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS.split(), f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    driver.set_page_load_timeout(SECONDS)
    driver.set_script_timeout(SECONDS)
    driver.get("about:blank")
    yield driver
    driver.quit()


def emulate(browser, scheme, size):
    """A user's screen of that size, and the colours that the user wants."""
    width, height, mobile = SIZES[size]
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile}
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)


def shown(browser, page, scheme, size):
    """The page, drawn; what the browser logged, and the addresses that it asked for."""
    emulate(browser, scheme, size)
    for log in ("browser", "performance"):
        browser.get_log(log)  # forgets what was before
    browser.get(page.as_uri())
    wait_drawn(browser)
    browser.execute_script("name = arguments[0]", f"{scheme} {size}")
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    return browser.get_log("browser"), asked


def screenshot(browser, path):
    """The whole page as a PNG; its bytes."""
    size = browser.execute_script("const e = document.documentElement; return [e.scrollWidth, e.scrollHeight]")
    clip = {"x": 0, "y": 0, "width": size[0], "height": size[1], "scale": 1}
    taken = browser.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True, "clip": clip})
    image = base64.b64decode(taken["data"])
    path.write_bytes(image)
    return image


def distinct_rows(image):
    """How many different lines of pixels a PNG has (as filtered): a blank one has very few."""
    place, data, width = 8, b"", 0
    while place < len(image):
        length = int.from_bytes(image[place : place + 4], "big")
        kind, chunk = image[place + 4 : place + 8], image[place + 8 : place + 8 + length]
        if kind == b"IHDR":
            width = int.from_bytes(chunk[:4], "big") * {2: 3, 6: 4}[chunk[9]]
        if kind == b"IDAT":
            data += chunk
        place += 12 + length
    raw = zlib.decompress(data)
    return len({raw[start : start + width + 1] for start in range(0, len(raw), width + 1)})


CONTRAST = """
const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
function rgb(colour) {
  canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
  return [...canvas.getImageData(0, 0, 1, 1).data];
}
function luminance([r, g, b]) {
  const [x, y, z] = [r, g, b].map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  return 0.2126 * x + 0.7152 * y + 0.0722 * z;
}
function behind(element) {
  for (let at = element; at; at = at.parentElement) {
    const colour = rgb(getComputedStyle(at).backgroundColor);
    if (colour[3] === 255) return colour;
  }
  return [255, 255, 255, 255];
}
const found = [];
for (const element of document.querySelectorAll('h1,h2,h3,p,li,th,td,figcaption,summary,a,button,select,pre,text')) {
  const own = [...element.childNodes].some(node => node.nodeType === 3 && node.data.trim());
  if (!own || element.getClientRects().length === 0) continue;
  const style = getComputedStyle(element);
  const front = rgb(element.tagName === 'text' ? style.fill : style.color);
  const [low, high] = [luminance(front), luminance(behind(element))].sort((a, b) => a - b);
  found.push([(high + 0.05) / (low + 0.05), element.textContent.slice(0, 40)]);
}
return found;
"""

MARKS = """
return [...document.querySelectorAll('.plot')].map(plot => [
  plot.dataset.chart,
  plot.querySelectorAll('svg .role-mark:is(.mark-line, .mark-rect, .mark-symbol) path').length,
  plot.querySelector('svg') ? plot.querySelector('svg').getBoundingClientRect().width : 0,
  plot.textContent,
]);
"""


TABLET = pytest.param("dark", "tablet", marks=pytest.mark.full)  # between the two others


@pytest.mark.parametrize(("scheme", "size"), [TABLET, ("dark", "phone"), ("light", "desktop")])
def test_the_page(browser, page, tmp_path, scheme, size):
    logged, asked = shown(browser, page, scheme, size)
    assert logged == []
    assert asked == [page.as_uri()]
    drawn = browser.execute_script(MARKS)
    assert len(drawn) == 2 * 5 + 10
    for chart, count, width, text in drawn:
        assert count > 0 or text == "None at all.", chart
        assert width > 250 or text == "None at all.", chart
    assert browser.execute_script("return document.documentElement.scrollWidth <= innerWidth")
    found = browser.execute_script(CONTRAST)
    assert len(found) > 200
    assert [entry for entry in found if entry[0] < 4.5] == []
    paper = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert paper == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 23, 28)"}[scheme]
    assert distinct_rows(screenshot(browser, tmp_path / f"{scheme}-{size}.png")) > 500


def wait_drawn(browser):
    from selenium.webdriver.support.ui import WebDriverWait

    drawn = "return document.documentElement.dataset.charts === 'drawn'"
    WebDriverWait(browser, SECONDS).until(lambda driver: driver.execute_script(drawn))


def on_desktop(browser, page, *, changed):
    """The page as it is when it is opened, in light colours on a desktop. It is drawn again only where it has to be.

    Args:
        changed: whether the test changes what is shown, and does not change it back.
    """
    if browser.current_url != page.as_uri() or browser.execute_script("return name") != "light desktop":
        shown(browser, page, "light", "desktop")
    emulate(browser, "light", "desktop")
    if changed:
        browser.execute_script("name = 'changed by a test'")


def rows(browser, table):
    """The first cells of the rows that are shown, from the top."""
    shown_rows = f"document.querySelectorAll('#{table} tbody tr:not([hidden])')"
    return browser.execute_script(f"return [...{shown_rows}].map(row => row.cells[0].innerText)")


def places(browser):
    """Of the charts that are shown, the captions."""
    figures = "document.querySelectorAll('figure[data-scenario]:not([hidden]) figcaption')"
    return set(browser.execute_script(f"return [...{figures}].map(caption => caption.innerText)"))


def marks(browser, chart, kind):
    """How many lines, areas or bars a chart has."""
    script = f"return document.querySelectorAll('[data-chart={chart}] .mark-{kind} path').length"
    return browser.execute_script(script)


def test_nothing_of_the_data_became_markup(browser, page):
    on_desktop(browser, page, changed=False)
    assert browser.execute_script("return document.images.length") == 0
    assert browser.execute_script("return document.querySelectorAll('script').length") == 3
    assert "<img src=x onerror=alert(1)>" in browser.execute_script("return document.body.textContent")


def test_the_colours_change_while_it_is_open(browser, page):
    on_desktop(browser, page, changed=False)
    line = "return getComputedStyle(document.querySelector('.plot .mark-line path')).stroke"
    before = browser.execute_script(line)
    dark = {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", dark)
    after = browser.execute_script(line)
    browser.find_element("id", "theme").click()
    assert (before, after, browser.execute_script(line)) == ("rgb(26, 86, 196)", "rgb(91, 156, 246)", before)


def test_a_run_is_switched_off_and_the_others_of_its_strategy_are_drawn_one_by_one(browser, page):
    on_desktop(browser, page, changed=False)
    points = "return document.querySelectorAll('[data-chart=loss-time-wan] .mark-symbol path').length"
    before = [marks(browser, "loss-time-wan", kind) for kind in ("line", "area")], browser.execute_script(points)
    box = browser.find_element("css selector", "#all-runs [aria-label='draw wan, diloco H=20, seed 0']")
    box.send_keys(" ")
    wait_drawn(browser)
    assert [marks(browser, "loss-time-wan", kind) for kind in ("line", "area")] == [3, 2]
    browser.execute_script("document.getElementById('every-run').click()")
    wait_drawn(browser)
    assert marks(browser, "loss-time-wan", "line") == 5
    browser.execute_script("document.getElementById('every-run').click()")
    box.send_keys(" ")
    wait_drawn(browser)
    after = [marks(browser, "loss-time-wan", kind) for kind in ("line", "area")], browser.execute_script(points)
    assert after == before


def test_a_strategy_and_a_place_are_switched_off(browser, page):
    from selenium.webdriver.support.ui import Select

    on_desktop(browser, page, changed=True)
    assert (marks(browser, "loss-time-wan", "line"), marks(browser, "communication-wan", "rect")) == (3, 6)
    assert (len(rows(browser, "figures")), len(rows(browser, "all-runs"))) == (6, 12)
    browser.find_element("css selector", ".toggle[data-toggle='1']").click()
    wait_drawn(browser)
    assert (marks(browser, "loss-time-wan", "line"), marks(browser, "communication-wan", "rect")) == (2, 4)
    assert len(rows(browser, "figures")) == 4
    Select(browser.find_element("id", "where")).select_by_visible_text("mobile")
    wait_drawn(browser)
    assert (len(rows(browser, "figures")), len(rows(browser, "all-runs"))) == (2, 4)
    assert places(browser) == {"mobile"}
    choices = "return [...document.querySelectorAll('#run option:not([hidden])')].map(option => option.text)"
    found = browser.execute_script(choices)
    assert len(found) == 4
    assert all(name.startswith("mobile, ") and "diloco" not in name for name in found)


def test_runs_are_found_and_sorted_and_drawn_one_by_one(browser, page):
    on_desktop(browser, page, changed=True)
    find = browser.find_element("css selector", "[data-find=all-runs]")
    find.send_keys("wan diloco seed")
    wait_drawn(browser)
    assert rows(browser, "all-runs") == ["wan, diloco H=20, seed 0", "wan, diloco H=20, seed 1"]
    column = "return [...document.querySelectorAll('#all-runs tbody tr')].map(row => Number(row.cells[3].dataset.sort))"
    head = browser.find_elements("css selector", "#all-runs thead button")[3]
    for backwards in (False, True):
        browser.execute_script("arguments[0].click()", head)
        times = browser.execute_script(column)
        assert times == sorted(times, reverse=backwards)
    assert [marks(browser, "loss-time-wan", kind) for kind in ("line", "area")] == [3, 3]
    browser.execute_script("document.getElementById('every-run').click()")
    wait_drawn(browser)
    assert [marks(browser, "loss-time-wan", kind) for kind in ("line", "area")] == [6, 0]


def test_why_a_run_took_so_long_leads_to_the_run(browser, page):
    from selenium.webdriver.support.ui import WebDriverWait

    on_desktop(browser, page, changed=True)
    assert len(rows(browser, "explained")) == 12
    browser.find_element("css selector", "[data-find=explained]").send_keys("mobile h=20")
    wait_drawn(browser)
    names = [f"mobile, diloco H=20, seed {seed}" for seed in (0, 1)]
    assert rows(browser, "explained") == names
    link = browser.find_element("link text", names[1])
    link.send_keys("\ue007")
    panel = "const p = document.querySelector('.run-panel:not([hidden])'); return p ? p.textContent : ''"
    WebDriverWait(browser, SECONDS).until(lambda driver: "seed 1" in driver.execute_script(panel))
    shown_charts = "return [...document.querySelectorAll('.part figure')].filter(f => f.checkVisibility()).length"
    WebDriverWait(browser, SECONDS).until(lambda driver: driver.execute_script(shown_charts) == 7)
    assert "TCP connections" not in browser.execute_script(panel)
    axes = "return [...document.querySelectorAll('.part [aria-label^=X-axis] .role-axis-label')]"
    labels = browser.execute_script(axes + ".filter(a => a.checkVisibility()).map(a => a.textContent)")
    assert len(labels) >= 4  # of charts that are not zero throughout
    assert len(set(labels)) == 1


@pytest.mark.parametrize(("seeds", "most"), [((0,), 2e6), pytest.param((0, 1, 2), 2.5e6, marks=pytest.mark.full)])
def test_a_large_experiment_is_a_page_that_one_can_read(browser, tmp_path, seeds, most):
    """32 or 96 runs on eight places: the first is shown, the others when they are chosen."""
    pytest.importorskip("altair", reason="the extra 'report' is not installed")
    from harness.experiment.report.image_export import vega_program
    from harness.experiment.report.page.page import make_page

    folder = tmp_path / "large-1"
    eight = {"profiles": ("local", "datacenter", "wan", "mobile"), "topologies": ("ring", "star")}
    others = [Strategy(name, name, {}, every=5, pace=50) for name in ("fedavg", "gossip")]
    make_experiment(folder, **eight, strategies=(DDP, DILOCO, *others), seeds=seeds, steps=40, nodes=4)
    path = folder / "page.html"
    path.write_text(make_page(analyse(load_experiment(folder)), vega_program()))
    shown(browser, path, "light", "desktop")
    assert places(browser) == {"local/ring"}
    assert browser.execute_script("return document.documentElement.scrollHeight") < 10_000
    assert path.stat().st_size < most


def test_another_run_is_chosen(browser, page):
    from selenium.webdriver.support.ui import Select, WebDriverWait

    on_desktop(browser, page, changed=True)
    words = "return document.querySelector('.run-panel:not([hidden])').textContent"
    marks = "return document.querySelectorAll('[data-chart=links-rate] .mark-rule.role-mark line').length"
    first = browser.execute_script(words)
    assert "delay 300\u00a0ms" in first
    assert browser.execute_script(marks) > 0
    Select(browser.find_element("id", "run")).select_by_visible_text("wan, diloco H=20, seed 1")
    WebDriverWait(browser, SECONDS).until(lambda driver: driver.execute_script(marks) == 0)
    assert browser.execute_script(words) != first
    plans = "return [...document.querySelectorAll('.plan-panel:not([hidden])')].map(p => p.textContent.slice(0, 60))"
    (text,) = browser.execute_script(plans)
    assert "profile wan, seed 1" in text
