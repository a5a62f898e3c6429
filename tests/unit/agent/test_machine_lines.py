"""What rank 0 logs about machines."""

from dataclasses import replace

from harness.agent.machine_lines import machine_lines
from harness.model.machines import Machines, Path
from tests.support.plans import network, shape

PATH = Path(0.0032, 0.0002, 0.0004, 0.0005, 20, {"links": True, "manage": True})
PLAN = network("ring", 4, shape(delay="20ms"))
MTU = {rank: {"links": 1450, "manage": 1450} for rank in range(4)}


def machines(path=PATH):
    return Machines(["a", "a", "b", "b"], {("a", "b"): path}, MTU)


def test_clocks_and_paths_are_one_line_each():
    clocks, path = machine_lines(machines(), PLAN)
    assert clocks == "clocks: rank 2's machine is 3.2 ms (+-200 µs) ahead of rank 0's"
    assert path.startswith("path: between the machines of ranks 0 and 2 a round trip takes 400 µs (median")


def test_a_clock_that_is_hours_off_is_warned_of_with_the_fix():
    _, warning, _ = machine_lines(machines(replace(PATH, ahead=-7200.0)), PLAN)
    assert "by NTP (timedatectl set-ntp true)" in warning
    assert "round trips are not affected" in warning


def test_a_minute_later_only_a_clock_that_was_set_is_logged():
    before = machines()
    assert list(machine_lines(machines(replace(PATH, ahead=0.004)), PLAN, before)) == []
    (line,) = machine_lines(machines(replace(PATH, ahead=-0.1)), PLAN, before)
    assert "100 ms (+-200 µs) behind rank 0's" in line


def test_links_that_should_be_quicker_than_the_path_are_named_and_those_within_a_machine_are_not():
    plan = network("ring", 4, shape(delay="150us"))
    *_, line = machine_lines(machines(), plan)
    assert "shorter round trips than there are between the machines: 0-3 (300 µs of 400 µs), 1-2 (300 µs of" in line
    assert "0-1" not in line
    assert len(list(machine_lines(machines(), network("ring", 4)))) == 2, "an unshaped link asks for nothing"


def test_a_packet_that_does_not_pass_is_named_with_the_option():
    *_, line = machine_lines(machines(replace(PATH, passes={"links": False, "manage": True})), PLAN)
    assert "no packet of 1450 bytes, the MTU of links, passes between the machines of ranks 0 and 2" in line
    assert "--mtu" in line
