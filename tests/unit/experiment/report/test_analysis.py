"""harness.experiment.report.analysis: who won and by how much, in sentences that claim no more than the data show."""

import math
from dataclasses import replace
from pathlib import Path

import pytest

from harness.experiment.report.analysis import analyse
from harness.experiment.report.analysis.sentences import headline, margin, sentence
from harness.experiment.report.json_export import document
from harness.experiment.report.load import load_experiment
from harness.experiment.report.load.rank_records import Eval, Rank, RecordedStep
from harness.experiment.report.load.records import RecordedExperiment, RecordedRun, RunEnd, Target
from harness.experiment.report.page.chart_data import bus_table, share_table
from harness.experiment.report.page.rendering import render
from harness.experiment.report.page.sections import context
from harness.experiment.report.table import reasons_table, winners_table
from tests.support.runs import DDP, make_experiment, write_lines

HALF = Target("loss", 0.5)


def evaluation(step, elapsed, loss, accuracy=None):
    return Eval(step, 100.0 + elapsed, elapsed, loss, accuracy)


def a_step(number, elapsed, *, loss=1.0, compute=0.25, comm=0.75, sent=100):
    return RecordedStep(number, 100.0 + elapsed, elapsed, loss, compute + comm, compute, comm, sent, sent)


def run(label, times, *, seed=0, profile="wan", topology="ring", status="finished", target: float | None = 0.5, n=2):
    """A run whose loss falls by 0.1 from 1.0 at each evaluation, at these times; one step before each."""
    evals = tuple(evaluation(step, at, 1.0 - 0.1 * step, 0.15 * step) for step, at in enumerate(times, 1))
    steps = tuple(a_step(step, at) for step, at in enumerate(times, 1))
    ranks = tuple(Rank(rank, steps, evals) for rank in range(n))
    name = label.split()[0]
    slug = f"{profile}.{topology}.{name}.seed{seed}"
    end = None if status == "unfinished" else RunEnd(status)
    wanted = None if target is None else Target("loss", target)
    return RecordedRun(slug, profile, topology, n, seed, name, label, wanted, "netem", {}, None, ranks, end=end)


def flat(label, times, *, at=3.0):
    """A run whose loss is never below what it was before the first step."""
    made = run(label, times, target=None)
    evals = tuple(evaluation(step, 0.0 if not step else times[step - 1], at) for step in range(len(times) + 1))
    return replace(made, ranks=(Rank(0, made.ranks[0].steps, evals),))


def before_training(made, loss=2.0):
    """The same run with an evaluation before the first step."""
    ranks = (replace(rank, evals=(evaluation(0, 6e-5, loss), *rank.evals)) for rank in made.ranks)
    return replace(made, ranks=tuple(ranks))


def analysed(*runs):
    return analyse(RecordedExperiment("x-1", "x", Path("x"), None, tuple(runs)))


def sentences(*runs):
    analysis = analysed(*runs)
    return [sentence(analysis, scenario) for scenario in analysis.scenarios]


def every(seconds, count=6):
    return [seconds * number for number in range(1, count + 1)]


def test_time_and_bytes_to_the_target_are_those_of_the_first_evaluation_at_it_or_under_it():
    analysis = analysed(run("ddp", every(1.0)))
    (group,) = analysis.scenarios[0].groups
    assert group.seconds is not None
    assert group.bytes is not None
    assert (group.seconds.median, group.seconds.std) == (5.0, None)
    assert group.bytes.median == 5 * 100 * 2  # five steps of two nodes


def test_a_runs_loss_is_the_mean_over_ranks_at_the_latest_ranks_time():
    ranks = (
        Rank(0, evals=(evaluation(5, 1.0, 0.2, 0.9), evaluation(10, 2.0, 0.1))),
        Rank(1, evals=(evaluation(5, 1.5, 0.4, 0.7),)),
    )
    made = replace(run("ddp", []), ranks=ranks)
    (point,) = analysed(made).runs[0].curve.points
    assert (point.step, point.seconds) == (5, 1.5)
    assert point.loss == pytest.approx(0.3)
    assert point.accuracy == pytest.approx(0.8)


def test_without_evaluations_the_training_loss_is_smoothed():
    steps = tuple(a_step(number, float(number), loss=float(number % 2)) for number in range(1, 41))
    made = RecordedRun("s", "wan", "ring", 1, 0, "ddp", "ddp", None, "netem", {}, None, (Rank(0, steps),))
    curve = analysed(made).runs[0].curve
    assert curve.kind == "training loss"
    assert [point.loss for point in curve.points[9:]] == [pytest.approx(0.5)] * 31


def test_points_without_a_finite_loss_are_left_out_and_the_step_is_recorded():
    ranks = (Rank(0, evals=(evaluation(1, 1.0, 0.9), evaluation(2, 2.0, math.nan), evaluation(3, 3.0, math.inf))),)
    made = RecordedRun("s", "wan", "ring", 1, 0, "ddp", "ddp", HALF, "netem", {}, None, ranks, end=RunEnd("finished"))
    curve = analysed(made).runs[0].curve
    assert [point.step for point in curve.points] == [1]
    assert curve.diverged == 2
    assert curve.reached(HALF) is None


def test_a_clear_win_over_seeds():
    text = sentences(
        *(run("ddp", every(5.0 + seed), seed=seed) for seed in range(3)),
        *(run("diloco H=20", every(1.0 + 0.1 * seed), seed=seed) for seed in range(3)),
    )
    assert text == [
        "On wan, diloco H=20 reached loss 0.5 in 5.5 s (5 – 6 over 3 seeds), "
        "5.45 times as fast as ddp (median of 3 seeds compared pairwise: 5 – 5.83)."
    ]


def test_a_lead_is_the_median_of_the_factors_of_each_seed():
    """Every seed draws another network: the ratio of the medians, 8.4, belongs to no network."""
    ddp, diloco = {0: 2.02, 1: 1.68, 2: 0.61}, {0: 0.2, 1: 0.3, 2: 0.1}
    runs = [run("ddp", every(time), seed=seed) for seed, time in ddp.items()]
    runs += [run("diloco", every(time), seed=seed) for seed, time in diloco.items()]
    analysis = analysed(*runs)
    lead = analysis.scenarios[0].win.baseline
    assert (lead.factor, lead.pairs) == (pytest.approx(6.1), 3)
    assert (lead.factor_low, lead.factor_high) == (pytest.approx(5.6), pytest.approx(10.1))
    assert "6.1 times as fast as ddp (median of 3 seeds compared pairwise: 5.6 – 10.1)." in sentences(*runs)[0]
    assert margin(lead) == "6.1 × (5.6 – 10.1)"
    (scenario,) = document(analysis)["facets"]
    assert [scenario["baseline"][key] for key in ("pairs", "factor")] == [3, pytest.approx(6.1)]


def test_every_strategy_is_compared_with_the_winner_seed_by_seed():
    runs = [run("ddp", every(4.0)), run("fast", every(1.0)), run("mid", every(2.0)), run("mid", every(3.0), seed=1)]
    runs += [run("never", [1.0])]
    win = analysed(*runs).scenarios[0].win
    assert [win.lead_over(label).factor for label in ("ddp", "mid")] == [4.0, 2.0]
    assert win.lead_over("fast") is None
    assert not win.lead_over("never").reached
    (scenario,) = document(analysed(*runs))["facets"]
    assert {lead["label"] for lead in scenario["leads"]} == {"ddp", "mid", "never"}


def test_who_is_faster_with_each_seed_wins_though_its_median_is_larger():
    runs = [run("steady", every(time), seed=seed) for seed, time in enumerate((1.0, 5.0, 9.0))]
    runs += [run("lucky", every(time), seed=seed) for seed, time in enumerate((1.1, 4.9, 9.9))]
    win = analysed(*runs).scenarios[0].win
    assert (win.winner.label, win.next.factor, win.too_close) == ("steady", pytest.approx(1.1), True)


def test_a_seed_of_the_network_of_its_own_is_part_of_a_pair():
    runs = [replace(run("ddp", every(4.0), seed=1), network_seed=0), replace(run("ddp", every(9.0)), network_seed=1)]
    runs += [replace(run("diloco", every(2.0), seed=1), network_seed=0)]
    lead = analysed(*runs).scenarios[0].win.baseline
    assert (lead.factor, lead.pairs) == (2.0, 1)


def test_strategies_without_a_seed_in_common_are_compared_by_their_medians_and_the_answer_says_so():
    (text,) = sentences(run("ddp", every(4.0), seed=0), run("diloco", every(2.0), seed=1))
    assert text.endswith(", 2 times as fast as ddp (a ratio of medians, since no seed ran with both).")


def test_a_lower_bound_holds_with_every_seed():
    runs = [run("ddp", every(8.0, 3), status="limit", seed=seed) for seed in (0, 1)]
    runs += [run("diloco", every(time), seed=seed) for seed, time in enumerate((1.0, 4.0))]
    assert "more than 1.2 times as fast as ddp, which did not reach it." in sentences(*runs)[0]


def test_one_seed_says_that_spread_is_unknown():
    (text,) = sentences(run("ddp", every(5.0)), run("diloco", every(1.0)))
    assert text == "On wan, diloco reached loss 0.5 in 5 s (one seed: spread unknown), 5 times as fast as ddp."


def test_where_ddp_wins_the_next_is_named():
    (text,) = sentences(run("ddp", every(1.0)), run("diloco", every(1.2)), run("sparta", every(2.0)))
    assert text.endswith("1.2 times as fast as diloco.")


def test_the_next_is_named_beside_ddp():
    (text,) = sentences(run("ddp", every(4.0)), run("diloco", every(1.0)), run("sparta", every(2.0)))
    assert text.endswith("4 times as fast as ddp and 2 times as fast as sparta.")


def test_who_is_not_ahead_with_every_seed_is_too_close_to_call():
    runs = [run("ddp", every(1.0 + 0.4 * seed), seed=seed) for seed in range(2)]
    runs += [run("diloco", every(1.1 + 0.1 * seed), seed=seed) for seed in range(2)]
    (text,) = sentences(*runs)
    assert text.endswith("diloco was not ahead of ddp with every seed: too close to call.")
    assert headline(analysed(*runs)).endswith("on wan (too close to call).")


def test_a_strategy_that_did_not_reach_the_target_gives_a_lower_bound():
    (text,) = sentences(run("ddp", every(8.0, 3), status="limit"), run("diloco", every(1.0)))
    assert text.endswith("more than 4.8 times as fast as ddp, which did not reach it.")


def test_a_strategy_that_had_less_time_than_the_winner_needed_gives_no_factor():
    (text,) = sentences(run("ddp", every(1.0, 3), status="limit"), run("diloco", every(1.0)))
    assert text.endswith("while ddp did not reach it.")


@pytest.mark.parametrize("status", ["failed", "unfinished", "stopped"])
def test_runs_that_had_no_fair_time_count_neither_way(status):
    analysis = analysed(run("ddp", every(1.0, 3), status=status), run("diloco", every(1.0)))
    win = analysis.scenarios[0].win
    assert win is not None
    assert (win.winner.label, win.next, win.baseline) == ("diloco", None, None)


def test_a_failed_run_that_had_reached_the_target_counts():
    analysis = analysed(run("ddp", every(1.0), status="failed"), run("diloco", every(2.0)))
    assert analysis.scenarios[0].win.winner.label == "ddp"


def test_who_reached_it_with_every_seed_is_before_who_did_with_some():
    analysis = analysed(
        run("fast", every(1.0), seed=0),
        run("fast", every(1.0, 3), seed=1),
        run("sure", every(2.0), seed=0),
        run("sure", every(2.0), seed=1),
    )
    win = analysis.scenarios[0].win
    assert (win.winner.label, win.next.label, win.next.won_all) == ("sure", "fast", False)


def test_nobody_reached_it():
    runs = (run("ddp", every(1.0, 2)), run("diloco", every(1.0, 2), status="unfinished"))
    assert sentences(*runs) == ["On wan no strategy reached loss 0.5 (1 of its 2 runs still to end)."]
    assert headline(analysed(*runs)) == "No strategy has reached its target."


def test_runs_that_recorded_nothing():
    empty = run("ddp", [], status="unfinished")
    assert headline(analysed(empty)) == "No run has recorded a loss yet."
    analysis = analysed(empty)
    assert analysis.runs[0].comm_share is None
    assert analysis.runs[0].step_p50 is None


def test_without_a_target_the_report_takes_the_loss_that_all_reached():
    analysis = analysed(
        run("ddp", every(1.0, 6), target=None),
        run("diloco", every(1.0, 4), target=None),
        run("broken", every(1.0, 1), target=None, status="failed"),
    )
    scenario = analysis.scenarios[0]
    assert scenario.target.value == pytest.approx(0.6)
    assert scenario.chosen
    assert sentence(analysis, scenario).endswith("this is the lowest loss that every strategy reached.")


def test_without_a_target_a_strategy_that_learns_nothing_does_not_make_everybody_win_at_once():
    learning = [
        before_training(run(label, every(time), target=None)) for label, time in (("ddp", 2.0), ("diloco", 1.0))
    ]
    analysis = analysed(*learning, flat("broken", every(1.0)))
    (scenario,) = analysis.scenarios
    assert scenario.target == Target("loss", pytest.approx(0.4))
    assert (scenario.win.winner.label, scenario.win.winner.seconds.median) == ("diloco", 6.0)
    assert [group.reached for group in scenario.groups] == [1, 1, 0]
    assert sentence(analysis, scenario).endswith("the lowest loss that every run reached whose loss fell at all.")


def test_where_nothing_is_learned_there_is_no_target():
    analysis = analysed(flat("ddp", every(1.0)), flat("diloco", every(1.0)))
    (scenario,) = analysis.scenarios
    assert (scenario.target, scenario.win) == (None, None)
    assert sentence(analysis, scenario) == "On wan no run that ran its full length lowered its loss."


def test_a_target_is_not_reached_before_the_first_step():
    analysis = analysed(before_training(run("ddp", every(1.0)), loss=0.4))
    assert analysis.scenarios[0].win.winner.seconds.median == 5.0


def test_an_accuracy_is_reached_from_below_as_the_mean_over_ranks():
    wanted = Target("accuracy", 0.6)
    runs = [replace(run(label, every(time)), target=wanted) for label, time in (("ddp", 2.0), ("diloco", 1.0))]
    assert sentences(*runs) == [
        "On wan, diloco reached accuracy 60 % in 4 s (one seed: spread unknown), 2 times as fast as ddp."
    ]
    (none,) = sentences(replace(runs[0], target=Target("accuracy", 0.95)))
    assert none == "On wan no strategy reached accuracy 95 %."
    unequal = (Rank(0, evals=(evaluation(1, 1.0, 0.1, 0.9),)), Rank(1, evals=(evaluation(1, 1.0, 0.1, 0.2),)))
    assert sentences(replace(runs[0], ranks=unequal)) == ["On wan no strategy reached accuracy 60 %."]
    assert analysed(replace(runs[0], ranks=(Rank(0, evals=(evaluation(1, 1.0, 0.1),)),))).scenarios[0].win is None


def test_a_strategy_that_reached_it_in_some_runs_is_not_said_to_have_failed():
    runs = [run("diloco", every(1.0 + 0.1 * seed), seed=seed) for seed in range(3)]
    runs += [run("fedavg", every(9.0, 3 if seed == 2 else 6), seed=seed) for seed in range(3)]
    analysis = analysed(*runs)
    win = analysis.scenarios[0].win
    assert (win.next.factor, win.next.reached, win.next.answered) == (None, 2, 3)
    assert sentence(analysis, analysis.scenarios[0]).endswith(", while fedavg reached it in 2 of 3 runs only.")
    assert margin(win.next) == "reached in 2 of 3"


def test_a_winner_of_which_one_seed_of_two_reached_it():
    (text,) = sentences(run("ddp", every(1.0), seed=0), run("ddp", every(1.0, 3), seed=1))
    assert text == "On wan, ddp reached loss 0.5 in 5 s (one of 2 seeds reached it)."


def test_the_table_has_the_winner_first_and_who_never_reached_it_last():
    analysis = analysed(
        run("never", every(0.1, 3)),
        *(run("most", every(1.0, 3 if seed == 0 else 6), seed=seed) for seed in range(3)),
        *(run("few", every(1.0, 6 if seed == 0 else 3), seed=seed) for seed in range(3)),
    )
    assert [row[1] for row in winners_table(analysis).rows] == ["most", "few", "never"]


@pytest.mark.parametrize("width", [80, 100, None])
def test_the_table_is_whole_at_80_columns(width):
    names = ("streaming_diloco", "fedavg H=10")
    analysis = analysed(*(run(name, every(1.0 + seed), seed=seed) for name in names for seed in range(3)))
    lines = winners_table(analysis).lines(width)
    assert all(len(line) <= 80 for line in lines) or width != 80
    assert all(any(name in line for line in lines) for name in names)
    assert any("fastest" in line for line in lines)
    assert ("no room for" in lines[-1]) == (width is not None)


def test_every_strategy_has_a_sentence_on_why_it_takes_so_long():
    failed = replace(run("ddp", every(1.0), seed=2), ranks=())
    analysis = analysed(*(run("ddp", every(1.0), seed=seed) for seed in range(2)), failed, run("local", []))
    rows = reasons_table(analysis).rows
    assert [row[:3] for row in rows] == [("wan", "ddp", "3"), ("", "local", "1")]
    assert rows[0][3].startswith("Unknown: ranks wait 750 ms of a step of 1 s")
    assert document(analysis)["runs"][0]["explanation"]["sentence"] == rows[0][3]


def test_scenarios_have_the_shortest_unambiguous_names():
    one = analysed(run("ddp", every(1.0)), run("ddp", every(1.0), profile="local"))
    assert [one.name(scenario) for scenario in one.scenarios] == ["wan", "local"]
    two = analysed(run("ddp", every(1.0)), run("ddp", every(1.0), topology="star", n=3))
    assert [two.name(scenario) for scenario in two.scenarios] == ["wan/ring/2 nodes", "wan/star/3 nodes"]


def test_the_headline_puts_the_places_of_a_winner_together():
    runs = [
        run("ddp", every(1.0 if profile == "local" else 9.0), profile=profile) for profile in ["local", "wan", "mobile"]
    ]
    runs += [run("diloco", every(2.0), profile=profile) for profile in ["local", "wan", "mobile"]]
    assert headline(analysed(*runs)) == "ddp was the fastest on local; diloco was the fastest on wan and mobile."


def test_nothing_is_the_fastest_where_nothing_is_compared():
    alone = headline(analysed(run("ddp", every(1.0)), run("ddp", every(1.0), profile="local")))
    assert alone.startswith("ddp took ")
    assert " on wan; ddp took " in alone
    assert "fastest" not in alone


def test_steps_and_shares():
    figures = analysed(run("ddp", every(1.0))).runs[0]
    assert (figures.steps, figures.comm_share, figures.step_p50) == (6, 0.75, 1.0)
    assert figures.sent_bytes == 6 * 100 * 2


def crashed(label, *, seed, status="failed"):
    """A run that ended in its third step, which was slow, and had been evaluated before the first step only."""
    made = run(label, [], seed=seed, status=status)
    steps = tuple(a_step(step, 9.0 * step, compute=1.0, comm=8.0, sent=900) for step in (1, 2, 3))
    return replace(made, ranks=tuple(Rank(rank, steps, (evaluation(0, 6e-5, 2.3, 0.1),)) for rank in range(2)))


@pytest.mark.parametrize("status", ["failed", "stopped", "unfinished"])
def test_runs_that_do_not_count_are_in_no_figure_of_their_strategy(status):
    runs = [run("ddp", every(1.0 + seed), seed=seed) for seed in (0, 1)]
    analysis = analysed(*runs, crashed("ddp", seed=2, status=status))
    (group,) = analysis.scenarios[0].groups
    assert (group.best_loss.low, group.best_loss.high) == (pytest.approx(0.4), pytest.approx(0.4))
    assert (group.accuracy.low, group.accuracy.count) == (pytest.approx(0.9), 2)
    assert (group.step_seconds.high, group.comm_share.high, group.sent_bytes.high) == (1.0, 0.75, 200.0)
    assert [row["ms"] for row in share_table(analysis.scenarios[0]).records()] == [250.0, 750.0]
    assert '<td class="number">2 of 3</td>' in render("winners.html.j2", **context(analysis))
    assert [row[-1] for row in winners_table(analysis).rows] == ["2 of 3"]
    (text,) = document(analysis)["facets"][0]["strategies"]
    assert (text["runs"], text["least_loss"]["count"], text["no_answer"]) == (3, 2, 1)


def test_a_run_that_failed_after_it_had_reached_the_target_is_in_the_figures():
    (group,) = (
        analysed(run("ddp", every(1.0), seed=0, status="failed"), run("ddp", every(2.0), seed=1)).scenarios[0].groups
    )
    assert group.step_seconds.count == group.best_loss.count == 2


def test_where_no_run_counts_yet_the_figures_are_of_all():
    analysis = analysed(*(run("ddp", every(1.0, 3), seed=seed, status="unfinished") for seed in range(2)))
    (group,) = analysis.scenarios[0].groups
    assert (group.best_loss.count, group.comm_share.count) == (2, 2)
    assert [row[-1] for row in winners_table(analysis).rows] == ["2"]
    (group,) = analysed(run("ddp", every(1.0, 3), target=None, status="unfinished")).scenarios[0].groups
    assert (group.target, group.best_loss.count) == (None, 1)


def test_a_seed_that_crashed_does_not_put_its_strategy_behind_others():
    better = [run("better", every(1.0, 4), seed=0, status="limit"), crashed("better", seed=1)]
    analysis = analysed(run("diloco", every(1.0)), *better, run("worse", every(1.0, 3), status="limit"))
    assert analysis.scenarios[0].win.next.label == "better"


def test_bus_bandwidth_is_of_the_runs_that_count(tmp_path):
    folder = make_experiment(tmp_path / "x-1", profiles=("wan",), strategies=(DDP,), seeds=(0, 1), nodes=2, steps=20)
    (before,) = bus_table(analyse(load_experiment(folder)).scenarios[0]).records()
    path = folder / "wan.ring.ddp.seed1"
    write_lines(path / "end.json", [{"status": "failed"}])
    analysis = analyse(load_experiment(folder))
    (after,) = bus_table(analysis.scenarios[0]).records()
    alone = next(one.bus.share for one in analysis.runs if one.run.seed == 0)
    assert after["share"] == pytest.approx(alone, rel=1e-4)
    assert after["share"] != before["share"]


def test_bytes_per_step_are_of_steps_that_all_ranks_recorded():
    made = run("ddp", every(1.0), status="limit")
    cut = replace(made.ranks[1], steps=made.ranks[1].steps[:-1])
    analysis = analysed(replace(made, ranks=(made.ranks[0], cut)))
    (group,) = analysis.scenarios[0].groups
    assert group.sent_bytes.median == 200.0
    assert analysis.runs[0].sent_bytes == 1100
