"""netem's jitter tables, against iproute2's generators and the files that it ships."""

import math
import re
import time
from glob import glob
from pathlib import Path

import pytest

from harness.model.distribution import SCALE, form, moments, table


def slow_normal():
    """netem/normal.c as it stands: walk the grid and keep the last x of every rounded share."""
    last, x = {}, -10.0
    while x < 10.05:
        last[round(16384 * (0.5 + 0.5 * math.erf(x / math.sqrt(2))))] = x
        x += 0.00005
    return tuple(max(-32768, min(32767, round(last[i] * SCALE))) for i in range(0, 16384, 4))


def test_the_normal_table_is_what_iproute2s_loop_gives():
    assert table("normal") == slow_normal()


@pytest.mark.parametrize("distribution", ["normal", "pareto", "paretonormal"])
def test_tables_equal_the_files_that_iproute2_ships(distribution):
    file = next(
        (
            f
            for d in ("/usr/lib/tc", "/usr/lib64/tc", "/lib/tc", *glob("/usr/lib/*/tc"))
            if (f := Path(d, f"{distribution}.dist")).exists()
        ),
        None,
    )
    if file is None:
        pytest.skip("iproute2's distribution files are not on this machine")
    lines = [line for line in file.read_text().splitlines() if not line.startswith("#")]
    assert table(distribution) == tuple(int(word) for line in lines for word in re.findall(r"-?\d+", line))


def test_paretonormal_mixes_three_quarters_of_pareto():
    values = table("paretonormal")
    assert values[2048] == int((table("normal")[2048] + 3 * table("pareto")[2048]) / 4)
    assert values[0] == -12305, "the normal part is mixed before it is cut to 16 bits"
    assert list(values) == sorted(values)


def test_pareto_by_hand():
    values = table("pareto")
    assert len(values) == 4096
    assert values[0] == round(-0.5 * 4 / 3 * SCALE)
    assert values[2048] == round((2 ** (1 / 3) - 1.5) * 4 / 3 * SCALE)
    assert values[-1] == 32767


def test_the_uniform_table_spreads_over_the_jitter_and_no_further():
    values = table("uniform")
    assert (len(values), values[0], values[-1]) == (1024, -SCALE, SCALE)
    assert sum(values) == 0


def test_moments_in_units_of_the_jitter():
    assert moments("uniform") == (0, 1 / math.sqrt(3))
    mean, std = moments("normal")
    assert mean == pytest.approx(0, abs=0.002)
    assert std == pytest.approx(1, abs=0.005)
    mean, std = moments("pareto")
    assert mean == pytest.approx(0, abs=0.05)
    assert 0.7 < std < 1.1


def test_the_form_bounds_every_value():
    assert form("pareto").low == pytest.approx(-2 / 3, abs=1e-3)
    assert form("normal").span == pytest.approx(8, abs=0.6)
    assert form("uniform").span == 2
    assert form("normal").kurtosis == pytest.approx(3, abs=0.1)


def test_a_table_is_made_in_milliseconds_once():
    table.cache_clear()
    start = time.process_time()
    table("normal"), table("pareto")
    assert time.process_time() - start < 0.1
    assert table("normal") is table("normal")
