"""Recorded traces as CSV, as various tools write them."""

import pytest

from harness.errors import InputError
from harness.scenario.trace_file import read_trace


def read(tmp_path, text):
    path = tmp_path / "t.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_trace(path)


def test_a_trace(tmp_path):
    points, seconds = read(tmp_path, "time_s,rate_mbit,delay_ms,loss_percent\n5,12.5,40,0\n5.1,0,42,1\n5.2,9,,\n")
    assert points == [
        (0.0, {"rate": "12.5Mbit", "delay": "40ms", "loss": "0%"}),
        (pytest.approx(0.1), {"rate": "8bit", "delay": "42ms", "loss": "1%"}),
        (pytest.approx(0.2), {"rate": "9Mbit"}),
    ]
    assert seconds == pytest.approx(0.3)


def test_byte_order_mark_crlf_semicolons_decimal_commas_and_blank_lines(tmp_path):
    text = "\ufefftime_ms;rate_kbit\r\n# from a phone\r\n\r\n0;12,5\r\n100;13\r\n"
    assert read(tmp_path, text)[0] == [(0.0, {"rate": "12.5kbit"}), (0.1, {"rate": "13kbit"})]
    assert read(tmp_path, 'time_s\t"delay_us"\n0\t250\n')[0] == [(0.0, {"delay": "250us"})]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "a trace has a heading and at least one line"),
        ("time_s,rate_mbit\n", "a trace has a heading"),
        ("time_s,rate\n0,1\n", "t.csv:1: column 'rate' is unknown; .*rate_"),
        ("rate_mbit\n1\n", "write one time and at least one value"),
        ("time_s,rate_mbit\n0,1\n0,2\n", "t.csv:3: time 0 is not after the one before"),
        ("time_s,rate_mbit\n0,fast\n", "t.csv:2: 'fast' is not a number"),
        ("time_s,rate_mbit\n0,-1\n", "'-1' is negative"),
        ("time_s,rate_mbit\n1e400,1\n", "'1e400' is not a number"),
        ("time_s,rate_mbit\n0\n", "1 cells under a heading of 2"),
        ("time_s,loss_percent\n0,200\n", "loss_percent: 200% is not between"),
        ("time_s,rate_mbit\n0,\n", "no line has a value"),
        (",rate_mbit\n", "a heading"),
    ],
)
def test_wrong_files(tmp_path, text, words):
    with pytest.raises(InputError, match=words):
        read(tmp_path, text)
