"""Which collectives ran, when and for how long: from torch's flight recorder and torch's profiler, which both stay as
they are. docs/runs.md describes what is written.

flight_recorder (called when, how large, by which group) and profiler (from when to when), joined by times; log writes
collectives-R.jsonl; watch does so in any job, which harness/job_hook starts.
"""
