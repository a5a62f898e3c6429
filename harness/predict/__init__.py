"""How fast a job will be on a network, before it runs: what strategies send, and how long that takes.

exchanges     what a strategy sends, when, and how much of it later steps hide
prediction    time per step, compute utilisation, bytes, the rate for a utilisation, the price of what is sent
price         dollars per gigabyte, and what a prediction costs
"""
