"""Reproduces published measurements on this machine.

published_file     a file: source, tolerance, cells
cell               one figure: its network, full size or scaled, its bound, and how ours compares
"""
