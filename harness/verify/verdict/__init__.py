"""Requested, applied, measured: three facts about each quantity of a link, and whether they agree. Pure.

A verdict compares twice. What the engine holds must be what was requested, up to rounding. What was
measured must lie in an interval around what the engine holds, made of a tolerance (what the machine may add) and of the
sampling error of that measurement at the given confidence:

    rtt     max(0.5 ms, 2 %), and the standard error of the median, of the mean where the delays are skewed (pareto, or
            cut at zero); one way as well
    jitter  15 %, the standard error of a standard deviation, and above that 0.3 ms for the path's own noise
    loss    no tolerance: the exact binomial interval, for losses in bursts with fewer effective packets
    rate    92 % to 103 %, and what the timers' lateness may shift in the time that the estimate spans

RTT and jitter are wider upwards on a slow or busy machine: up to twice what it adds itself (how late its sleeps end,
of which a packet meets several, and a packet's way over its loopback, measured beside them), but by no more than 1 ms
or the tolerance, whichever is larger. A row is machine-bound where the machine itself adds more than that, or only
twice what it adds explains the value; a value beyond even that is off. So is a rate that is too low, unless the
sender could not send it or the reader not read it: a busy CPU alone is no excuse.

Units: seconds, shares between 0 and 1, bit/s on the wire.
"""

from harness.verify.stats import shared_confidence
from harness.verify.verdict.judge import judge
from harness.verify.verdict.row import Quantity, Verdict

__all__ = ["Quantity", "Verdict", "judge", "shared_confidence"]
