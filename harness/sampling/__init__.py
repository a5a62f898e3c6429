"""Samples links and TCP connections while a job runs, and writes links.jsonl and flows.jsonl (docs/runs.md)."""
