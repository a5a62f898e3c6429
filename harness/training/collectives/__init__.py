"""Records which collectives ran, when and for how long, by torch's flight recorder and profiler (docs/runs.md).

flight_recorder has time, size and group of each call, profiler its duration; times joins both; log writes
collectives-R.jsonl; watch does so in any job, where harness/job_hook starts it.
"""
