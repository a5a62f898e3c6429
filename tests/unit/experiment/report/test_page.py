"""The HTML page: valid charts, nothing fetched, nothing unescaped."""

import base64
import gzip
import json
import re
import zlib
from html import unescape

import pytest

from harness.experiment.report.analysis import analyse
from harness.experiment.report.analysis.groups import SeedSpread, format_spread
from harness.experiment.report.load import load_experiment
from harness.experiment.report.page.rendering import inline_safe, render
from harness.experiment.report.page.sections import context
from harness.experiment.report.page.theme import COLOURS, config, literal, variable
from harness.experiment.report.page.topology import positions, topology_svg
from harness.model.format import format_number, format_share, format_time
from harness.model.plan_options import PlanOptions
from tests.support.runs import DDP, DILOCO, Strategy, make_experiment, read_lines, write_lines

EVIL = "</script><script>alert(1)</script> & \"quoted\" <img src=x onerror='alert(2)'>"
VEGA = "window.vegaEmbed = async () => {};"


def made(folder, **options):
    return analyse(load_experiment(make_experiment(folder, **{"nodes": 3, "steps": 40, "limit": None, **options})))


def unpacked(text):
    """What the page unpacks."""
    return json.loads(gzip.decompress(base64.b64decode(text)))


def section(name, analysis):
    """One section of the page, with plain spaces."""
    return render(f"{name}.html.j2", **context(analysis)).replace("\u00a0", " ")


def test_text_is_escaped_and_numbers_stay_with_their_units(tmp_path):
    folder = tmp_path / "x-1"
    made(folder, profiles=("wan",), strategies=(Strategy("evil", EVIL),))
    page = render("runs.html.j2", **context(analyse(load_experiment(folder))))
    assert EVIL not in page
    assert "&lt;/script&gt;&lt;script&gt;alert(1)&lt;/script&gt; &amp; &#34;quoted&#34;" in page
    assert re.search(r">[\d.]+\u00a0kB<|>[\d.]+\u00a0MB<", page)


def test_programs_cannot_end_their_element():
    assert inline_safe("a='</script>';b='<!--'") == "a='<\\/script>';b='\\x3c!--'"


def test_the_page_has_no_address_and_no_text_of_the_data_as_markup(tmp_path):
    pytest.importorskip("altair", reason="the extra 'report' is not installed")
    from harness.experiment.report.page.page import make_page

    folder = tmp_path / "evil-1"
    made(folder, profiles=("wan",), strategies=(DDP, Strategy("evil", EVIL)))
    slug = "wan.ring.evil.seed0"
    end = {"status": "failed", "time": 1, "seconds": 1, "code": 1, "failed_rank": 2, "last_lines": [EVIL]}
    write_lines(folder / slug / "end.json", [end])
    page = make_page(analyse(load_experiment(folder)), VEGA)
    assert page.count("<script>") == 2
    assert "<img" not in page
    data = re.search(r'<script type="application/json" id="data">(.*?)</script>', page)[1]
    assert "<" not in data
    scenario, *_ = map(unpacked, json.loads(data)["scenarios"])
    assert EVIL in scenario["curve"]["label"]
    first, evil = unpacked(json.loads(data)["panels"])
    assert EVIL not in evil
    assert "ddp" in first
    assert "rank 2 ended with exit code 1" in page
    assert not re.search(r'(?:src|href)="(?!#|data:,)', page)
    assert "url(" not in page
    assert "default-src 'none'" in unescape(page)


def test_every_chart_is_valid_vega_lite(tmp_path):
    alt = pytest.importorskip("altair", reason="the extra 'report' is not installed")
    from harness.experiment.report.page.charts import scenario_charts
    from harness.experiment.report.page.timelines import timeline_charts

    analysis = made(tmp_path / "x-1", profiles=("wan",), strategies=(DDP, DILOCO), seeds=(0, 1))
    (of_scenario,) = scenario_charts(analysis, legend=True)
    assert list(of_scenario) == ["time", "bytes", "target", "share", "bandwidth"]
    for chart in [*of_scenario.values(), *timeline_charts(0)]:
        alt.Chart.from_dict({**chart.spec, "datasets": {}}, validate=True)


def test_every_chart_names_tables_and_columns_that_there_are(tmp_path):
    pytest.importorskip("altair", reason="the extra 'report' is not installed")
    from harness.experiment.report.page.charts import scenario_charts
    from harness.experiment.report.page.timelines import data_tables, timeline_charts

    analysis = made(tmp_path / "x-1", profiles=("wan",), strategies=(DDP,), sampled=True)
    tables = data_tables(analysis)
    for chart in [*scenario_charts(analysis)[0].values(), *timeline_charts(0)]:
        for layer in chart.spec["layer"]:
            columns = tables[chart.data[layer["data"]["name"]]].columns
            channels = [one for many in layer["encoding"].values() for one in _listed(many)]
            assert {one["field"] for one in channels if "field" in one} <= set(columns)


def test_lines_of_links_are_not_joined_across_attempts(tmp_path):
    vl_convert = pytest.importorskip("vl_convert", reason="the extra 'report' is not installed")
    from harness.experiment.report.image_export import VEGA_LITE, image_spec
    from harness.experiment.report.page.timelines import data_tables, timeline_charts

    analysis = resumed(tmp_path / "x-1")
    tables = data_tables(analysis)
    for chart in timeline_charts(0, "x"):
        if not {"links", "tcp"} & chart.data.keys():
            continue
        svg = vl_convert.vegalite_to_svg(image_spec(chart, tables), vl_version=VEGA_LITE)
        lines = re.findall(r'<path aria-label="seconds[^"]*"[^>]* d="(M[^"]*)"', svg)
        assert len([line for line in lines if "L" in line]) == (3 if chart.data.get("tcp") else 6) * 2, chart.kind


def resumed(folder):
    """A run of three nodes that was resumed once, and an attempt that did no step; a change in each."""
    made(folder, profiles=("wan",), strategies=(DDP,))
    run = folder / "wan.ring.ddp.seed0"
    samples = read_lines(run / "links.jsonl")[:6]
    for number, one in enumerate(samples):
        one["tcp"] = {rank: {"sent_segments": 9 * number, "retransmitted_segments": number} for rank in one["tcp"]}
        for edge in one["edges"]:
            edge.update(sent_bytes=1000 * number, dropped=number)
    later = [{**one, "time": one["time"] + 600.0 * more, "attempt": 1 + more} for more in (1, 2) for one in samples]
    write_lines(run / "links.jsonl", [*samples, *later])
    for rank in range(3):
        lines = read_lines(run / f"rank-{rank}.jsonl")
        write_lines(
            run / f"rank-{rank}.jsonl",
            [{**one, "time": one.get("time", 0.0) + 600 * (one.get("step", 0) > 20)} for one in lines],
        )
    at = samples[3]["time"] + 0.1
    changes = [{"asked": at + more - 0.1, "acknowledged": at + more, "edges": []} for more in (0, 600, 1200)]
    write_lines(run / "changes.jsonl", changes)
    return analyse(load_experiment(folder))


def test_a_resumed_runs_links_are_on_the_clock_of_training(tmp_path):
    text = section("links", resumed(tmp_path / "x-1"))
    assert "TCP retransmitted 45 of 450 segments (10 %)" in text
    assert "No step of attempt 3 counts, so no chart shows its links" in text
    items = re.findall(r"<li>([^<]*)</li>", text)
    assert [item.split(",")[0] for item in items] == ["at 1.1 s", "at 1.1 s", "in attempt 3"]
    assert "attempt" not in section("links", made(tmp_path / "y-1", profiles=("wan",), strategies=(DDP,)))


@pytest.mark.parametrize("topology", ["ring", "fully_connected"])
def test_what_dashes_mean_is_true_of_few_links_and_of_many(tmp_path, topology):
    from harness.experiment.report.page.run_data import links_table

    analysis = made(tmp_path / "x-1", profiles=("wan",), strategies=(DDP,), topologies=(topology,), nodes=5, steps=100)
    rows = links_table(analysis.runs[0]).records()
    few = topology == "ring"
    assert {row["way"] for row in rows} == ({"up", "down"} if few else {"up"})
    words = " ".join(section("links", analysis).split())
    assert "Of up to 8 links each has a colour" in words
    assert "dashed the way back; of more, each rank that sends has a colour, and all lines are solid" in words


def test_a_logarithmic_axis_shows_the_curves(tmp_path):
    vl_convert = pytest.importorskip("vl_convert", reason="the extra 'report' is not installed")
    from harness.experiment.report.image_export import VEGA_LITE, image_spec
    from harness.experiment.report.page.charts import scenario_charts
    from harness.experiment.report.page.timelines import data_tables

    seldom = Strategy("diloco", "diloco H=40", {"H": 40}, every=40, pace=46)
    analysis = made(tmp_path / "x-1", profiles=("wan",), strategies=(DDP, seldom), steps=80, target=1.0)
    (of_scenario,) = scenario_charts(analysis)
    chart = of_scenario["bytes"]
    assert "log scale" in json.dumps(chart.spec)
    svg = vl_convert.vegalite_to_svg(image_spec(chart, data_tables(analysis)), vl_version=VEGA_LITE)
    lines = re.findall(r'<path aria-label="bytes sent[^"]*"[^>]* d="(M[^"]*)"', svg)
    lines = [line for line in lines if line.count("L") > 5]
    assert len(lines) == 2
    for line in lines:
        across = [float(at) for at in re.findall(r"[ML](-?[\d.]+)", line)]
        assert len({round(at) for at in across}) > 5, line
        assert all(0 <= at <= 640 for at in across)


def test_a_linear_axis_shows_what_was_before_the_first_step(tmp_path):
    pytest.importorskip("altair", reason="the extra 'report' is not installed")
    from harness.experiment.report.page.charts import scenario_charts
    from harness.experiment.report.page.timelines import data_tables

    analysis = made(tmp_path / "x-1", profiles=("wan",), strategies=(DDP,))
    assert "transform" not in json.dumps(scenario_charts(analysis)[0]["time"].spec)
    assert data_tables(analysis)["curve-0"].records()[0]["step"] == 0


def test_an_accuracy_is_no_line_in_a_chart_of_losses(tmp_path):
    pytest.importorskip("altair", reason="the extra 'report' is not installed")
    from harness.experiment.report.page.charts import scenario_charts
    from harness.experiment.report.page.timelines import data_tables

    analysis = made(tmp_path / "x-1", profiles=("wan",), strategies=(DDP,), steps=80, target={"accuracy": 0.9})
    tables = data_tables(analysis)
    assert tables["target-0"].rows == ()
    assert len(tables["hits-0"].rows) == 1
    assert scenario_charts(analysis)[0]["target"].title == "wan: time to accuracy 90 %"
    assert "accuracy 90 %" in section("winners", analysis)


def test_charts_of_places_whose_names_are_alike_have_ids_of_their_own(tmp_path):
    pytest.importorskip("altair", reason="the extra 'report' is not installed")
    from harness.experiment.report.page.charts import file_names, scenario_charts

    folder = make_experiment(tmp_path / "x-1", profiles=("wan", "local"), strategies=(DDP,), nodes=2, steps=10)
    for slug, profile in (("wan", "a b"), ("local", "a-b")):
        path = folder / f"{slug}.ring.ddp.seed0" / "run.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "profile": profile}))
    ids = [
        chart.id for of_scenario in scenario_charts(analyse(load_experiment(folder))) for chart in of_scenario.values()
    ]
    assert len(set(ids)) == len(ids)
    assert file_names(["a b", "a-b", "A-B", "a-b-2", "c"]) == ["a-b", "a-b-1", "A-B-2", "a-b-2-3", "c"]


def test_a_run_that_no_rank_ended_blames_none(tmp_path):
    folder = tmp_path / "x-1"
    made(folder, profiles=("wan",), strategies=(DDP,))
    end = {"status": "failed", "code": 70, "failed_rank": None, "last_lines": ["the network is gone"]}
    write_lines(folder / "wan.ring.ddp.seed0" / "end.json", [end])
    text = " ".join(section("runs", analyse(load_experiment(folder))).split())
    assert "ended after 40 steps, without the failure of a rank:" in text
    assert "<pre>the network is gone</pre>" in text
    assert "a rank ended" not in text


def test_what_happened_in_a_run_stands_at_the_top_and_at_the_run(tmp_path):
    folder = tmp_path / "x-1"
    assert "Something happened" not in section("answer", made(folder, profiles=("wan",), strategies=(DDP, DILOCO)))
    end = {"status": "finished", "notes": ["the engine's <process> was started again"]}
    write_lines(folder / "wan.ring.ddp.seed0" / "end.json", [end])
    analysis = analyse(load_experiment(folder))
    answer = " ".join(section("answer", analysis).split())
    assert "Something happened in wan, ddp, seed 0, which may have affected results" in answer
    assert "engine&#39;s &lt;process&gt; was started again" in section("runs", analysis)


def again(folder, **about):
    path = folder / "experiment.json"
    kept = {key: value for key, value in json.loads(path.read_text()).items() if key not in ("source", "home")}
    path.write_text(json.dumps(kept | about))
    (command,) = re.findall(
        "<pre>(harness experiment run .*)</pre>", section("about", analyse(load_experiment(folder)))
    )
    return unescape(command).removeprefix("harness experiment run ")


def test_the_command_that_makes_the_runs_again_names_the_file_itself_and_where_they_were_made(tmp_path):
    folder = tmp_path / "x-1"
    made(folder, profiles=("wan",), strategies=(DDP,), nodes=2)
    assert again(folder) == str(folder / "experiment.yaml")
    home = {"runtime": "netns", "engine": "auto", "congestion-control": "cubic", "image": None, "volume": []}
    assert again(folder, source="/a b/x.yaml", home=home) == "'/a b/x.yaml'"
    home = {
        "runtime": "docker",
        "engine": "netem",
        "congestion-control": "bbr",
        "image": "mine",
        "subnet": "10.1.0.0/16",
    }
    options = "--runtime docker --engine netem --congestion-control bbr --image mine"
    volumes = {"volume": ["/a:/b", "/c:/d:ro"], "subnet6": "fd77::/64"}
    assert again(folder, source="/x.yaml", home=home | volumes) == (
        f"/x.yaml {options} --volume /a:/b --volume /c:/d:ro --subnet 10.1.0.0/16"
    )


def _listed(value):
    return value if isinstance(value, list) else [value]


def first_pixel(png):
    """Red, green, blue and, where there is one, alpha: no filter of a PNG changes the first pixel."""
    place, data, channels = 8, b"", 0
    while place < len(png):
        length = int.from_bytes(png[place : place + 4], "big")
        kind, chunk = png[place + 4 : place + 8], png[place + 8 : place + 8 + length]
        channels = {2: 3, 6: 4}[chunk[9]] if kind == b"IHDR" else channels
        data += chunk if kind == b"IDAT" else b""
        place += 12 + length
    return tuple(zlib.decompress(data)[1 : 1 + channels])


@pytest.mark.parametrize(("ending", "start"), [("png", b"\x89PNG"), ("svg", b"<svg"), ("pdf", b"%PDF")])
def test_images_need_no_browser(tmp_path, ending, start):
    pytest.importorskip("vl_convert", reason="the extra 'report' is not installed")
    from harness.experiment.report.image_export import write_images

    analysis = made(tmp_path / "x-1", profiles=("wan",), strategies=(DDP,), nodes=2)
    written = list(write_images(analysis, "x-", tmp_path, ending))
    names = [path.name for path in written]
    assert {f"x-loss-time-wan.{ending}", f"x-topology-wan-ring-seed0.{ending}"} <= set(names)
    for path in written:
        image = path.read_bytes()
        assert image.startswith(start), path.name
        assert len(image) > 900, path.name
        if ending == "png":
            assert set(first_pixel(image)) == {255}, path.name
        if ending == "svg":
            assert re.search(rb'<rect[^>]*fill="(#ffffff|white)"', image), path.name


@pytest.mark.parametrize(
    ("topology", "nodes"),
    [("ring", 8), ("star", 8), ("line", 8), ("tree", 8), ("grid", 8), ("islands", 8), ("fully_connected", 4)],
)
def test_labels_of_a_drawing_do_not_overlap(topology, nodes):
    svg = str(topology_svg(PlanOptions(nodes, topology, "mobile", None, 0, None, None).plan(), literal("light")))
    texts = [
        (float(x), float(y), unescape(text)) for x, y, text in re.findall(r'<text x="(.*?)" y="(.*?)">(.*?)<', svg)
    ]
    nodes_at, labels = texts[:nodes], texts[nodes:]
    edges = svg.count("<line ")
    assert len(labels) == 2 * edges
    boxes = [(x, y, len(text) * 7.2, 13) for x, y, text in labels]
    boxes += [(x, y, 32, 32) for x, y, _ in nodes_at]
    for place, (x, y, wide, high) in enumerate(boxes):
        for a, b, width, height in boxes[place + 1 :]:
            assert abs(x - a) * 2 >= wide + width or abs(y - b) * 2 >= high + height, (x, y, a, b)


def test_a_legend_has_as_many_columns_as_have_room(tmp_path):
    pytest.importorskip("altair", reason="the extra 'report' is not installed")
    from harness.experiment.report.figure_names import Paper
    from harness.experiment.report.image_export import image_spec
    from harness.experiment.report.page.charts import scenario_charts
    from harness.experiment.report.page.timelines import data_tables

    long = Strategy("diloco", "diloco H=20 with a rather long name")
    analysis = made(tmp_path / "x-1", profiles=("wan",), strategies=(DDP, long))
    chart, tables = scenario_charts(analysis, legend=True)[0]["time"], data_tables(analysis)

    def columns(paper):
        layers = image_spec(chart, tables, paper)["layer"]
        return {layer["encoding"]["color"]["legend"]["columns"] for layer in layers if "color" in layer["encoding"]}

    assert columns(Paper(width=240)) == {1}
    assert columns(Paper(width=500)) == {2}
    assert columns(Paper(width=500, font=14)) == {1}


def test_loss_charts_of_a_row_have_one_kind_of_axis(tmp_path):
    pytest.importorskip("altair", reason="the extra 'report' is not installed")
    from harness.experiment.report.page.charts import scenario_charts

    seldom = Strategy("diloco", "diloco H=40", {"H": 40}, every=40, pace=46)
    analysis = made(tmp_path / "x-1", profiles=("local", "poor"), strategies=(DDP, seldom), target=1.0)
    spans = []
    for scenario in analysis.scenarios:
        ends = [run.curve.points[-1].seconds for run in scenario.runs]
        spans.append(max(ends) / min(ends) > 20)
    assert spans == [False, True]
    specs = [json.dumps(charts["time"].spec) for charts in scenario_charts(analysis)]
    assert ["log scale" in spec for spec in specs] == [True, True]


def test_several_seeds_are_a_mean_and_a_band_at_the_steps_that_all_have(tmp_path):
    pytest.importorskip("altair", reason="the extra 'report' is not installed")
    from harness.experiment.report.image_export import image_spec
    from harness.experiment.report.page.charts import scenario_charts
    from harness.experiment.report.page.timelines import data_tables

    analysis = made(tmp_path / "x-1", profiles=("wan",), strategies=(DDP,), seeds=(0, 1, 2))
    losses = [[point.loss for point in run.curve.points if point.step == 20] for run in analysis.runs]
    tables = data_tables(analysis)
    (row,) = [row for row in tables["mean-0"].records() if row["step"] == 20]
    values = [loss for (loss,) in losses]
    assert row["seeds"] == 3
    assert [row[key] for key in ("low", "loss", "high")] == [
        pytest.approx(one, rel=5e-4) for one in (min(values), sum(values) / 3, max(values))
    ]
    spec = image_spec(scenario_charts(analysis)[0]["time"], tables)
    assert spec["datasets"]["curve"] == []
    assert "area" in [layer["mark"]["type"] for layer in spec["layer"]]
    one = made(tmp_path / "y-1", profiles=("wan",), strategies=(DDP,))
    spec = image_spec(scenario_charts(one)[0]["time"], data_tables(one))
    assert spec["datasets"]["mean"] == []
    assert len(spec["datasets"]["curve"]) > 2


def test_the_page_says_whether_seeds_share_a_network(tmp_path):
    pytest.importorskip("altair", reason="the extra 'report' is not installed")
    from harness.experiment.report.page.page import make_page

    folder = tmp_path / "x-1"
    assert "a network per seed" in make_page(made(folder, profiles=("wan",), strategies=(DDP,), seeds=(0, 1)), VEGA)
    for path in folder.glob("*/run.json"):
        path.write_text(json.dumps({**json.loads(path.read_text()), "network_seed": 7}))
    assert "one network for all seeds" in make_page(analyse(load_experiment(folder)), VEGA)
    one = make_page(made(tmp_path / "y-1", profiles=("wan",), strategies=(DDP,)), VEGA)
    assert "network per seed" not in one
    assert "network for all seeds" not in one


def test_links_of_many_runs_have_fewer_points_each(tmp_path):
    from harness.experiment.report.page.downsample import LEAST_POINTS
    from harness.experiment.report.page.run_data import links_table

    analysis = made(
        tmp_path / "x-1", profiles=("poor",), strategies=(DDP,), topologies=("ring",), steps=60, limit=200.0
    )
    whole = links_table(analysis.runs[0])
    few = links_table(analysis.runs[0], 6 * LEAST_POINTS)
    assert len(whole.rows) > len(few.rows)
    assert len(few.rows) <= 6 * LEAST_POINTS


def test_colours_have_contrast():
    def luminance(colour):
        parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    def contrast(one, other):
        low, high = sorted((luminance(one), luminance(other)))
        return (high + 0.05) / (low + 0.05)

    for colours in COLOURS.values():
        for name in ("ink", "soft", "link", "good", "bad"):
            assert contrast(colours[name], colours["paper"]) >= 4.5, name
            assert contrast(colours[name], colours["panel"]) >= 4.5, name
        for name in ("compute", "wait", *(f"c{number}" for number in range(8))):
            assert contrast(colours[name], colours["paper"]) >= 3, name


def test_both_themes_have_the_same_names():
    assert COLOURS["light"].keys() == COLOURS["dark"].keys()
    assert json.dumps(config(variable)).replace("var(--", "").count("#") == 0
    assert config(literal("dark"))["range"]["category"][0] == COLOURS["dark"]["c0"]


@pytest.mark.parametrize("topology", ["ring", "star", "grid", "tree", "islands", "line", "fully_connected"])
@pytest.mark.parametrize("nodes", [2, 4, 7, 12])
def test_ranks_do_not_lie_on_each_other(topology, nodes):
    plan = PlanOptions(nodes, topology, "wan", None, 0, None, None).plan()
    places = positions(plan)
    assert sorted(places) == list(range(nodes))
    for rank, (x, y) in places.items():
        assert 16 <= x <= 444
        assert 16 <= y <= 344
        assert all((x - a) ** 2 + (y - b) ** 2 > 32**2 for other, (a, b) in places.items() if other != rank)


def test_a_drawing_has_the_values_of_edges():
    svg = topology_svg(PlanOptions(2, "ring", "wan", None, 0, None, None).plan(), literal("light")).replace(
        "\u00a0", " "
    )
    assert re.findall(r">([^<>]+)</text>", svg) == ["0", "1", "767 Mbit/s", "24.1 ms · 0.1 %"]


@pytest.mark.parametrize(
    ("value", "form", "text"),
    [
        (SeedSpread(12.3, 11.9, 12.6, 0.3, 3), format_time, "12.3 s (11.9 – 12.6)"),
        (SeedSpread(1.2, 0.9, 1.3, 0.2, 3), format_time, "1.2 s (900 ms – 1.3 s)"),
        (SeedSpread(90, 70, 150, 0.2, 3), format_time, "1 min 30 s (1 min 10 s – 2 min 30 s)"),
        (SeedSpread(5.0, 5.0, 5.0, 0.0, 3), format_time, "5 s"),
        (SeedSpread(5.0, 5.0, 5.0, None, 1), format_time, "5 s"),
        (SeedSpread(0.3734, 0.371, 0.375, 0.1, 2), format_number, "0.373 (0.371 – 0.375)"),
        (SeedSpread(0.12, 0.1, 0.14, 0.1, 2), format_share, "12 % (10 – 14)"),
        (None, format_time, "–"),
    ],
)
def test_a_spread_over_seeds(value, form, text):
    assert format_spread(value, form) == text
