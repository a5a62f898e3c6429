"""Two clocks of a process that may be stopped at any moment."""

import itertools

import pytest

from harness.shaping.userspace.clock import CLOSE_NS, TRIES, ahead

AHEAD = 1_700_000_000_000_000_000
READING = 100


class Machine:
    """Its clocks, and how long it stops the process before each reading, ns."""

    def __init__(self, *stops):
        self._stops = itertools.chain(stops, itertools.repeat(0))
        self.now = 5_000

    def monotonic(self):
        self.now += next(self._stops) + READING
        return self.now

    def realtime(self):
        return self.monotonic() + AHEAD


def test_a_quiet_machine_is_asked_once():
    machine = Machine()
    now, found = ahead(machine.monotonic, machine.realtime)
    assert now == machine.now == 5_000 + 3 * READING
    assert AHEAD - 2 * READING <= found <= AHEAD


@pytest.mark.parametrize("stopped", range(2 * TRIES))
@pytest.mark.parametrize("stop", [CLOSE_NS, 1_500_000, 10**9])
def test_one_stop_neither_makes_packets_early_nor_late(stopped, stop):
    machine = Machine(*[stop if index == stopped else 0 for index in range(2 * TRIES)])
    now, found = ahead(machine.monotonic, machine.realtime)
    assert now == machine.now
    assert AHEAD - CLOSE_NS <= found <= AHEAD


def test_a_process_that_is_stopped_all_the_time_makes_them_late_by_the_shortest():
    machine = Machine(*[0, 900_000, 900_000, 80_000, 30_000] + [900_000] * 20)
    now, found = ahead(machine.monotonic, machine.realtime)
    assert now < machine.now
    assert AHEAD - 110_000 - 2 * READING <= found <= AHEAD
