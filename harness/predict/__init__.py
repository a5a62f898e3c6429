"""Predicts how fast a job will be on a network.

exchanges     what a strategy sends, when, and how many later steps hide it
prediction    time per step, compute utilisation, bytes, and the rate that a utilisation needs
price         dollars per gigabyte, and the cost of bytes
"""
