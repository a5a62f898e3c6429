"""What a namespace has as its default needs no route's attribute, which would replace a program's own choice."""

from harness.linux.congestion_control import AVAILABLE, is_known, make_default


def test_a_default_that_is_there_or_can_be_made_is_no_matter_of_routes(tmp_path):
    switch = tmp_path / "tcp_congestion_control"
    switch.write_text("cubic\n")
    assert make_default("cubic", switch) == ""
    assert make_default("reno", switch) == ""
    assert switch.read_text() == "reno"


def test_where_it_cannot_be_set_routes_carry_it(tmp_path):
    assert make_default("bbr", tmp_path / "missing" / "switch") == "bbr"


def test_the_kernel_knows_its_names():
    assert all(is_known(name) for name in AVAILABLE.read_text().split())
    assert not is_known("warp9")
