"""Published measurements, done again on this machine: what was measured, under which network, and what came out.

published_file     a file: source, tolerance, cells
cell               one figure: its network, full size or scaled, its bound, and how ours compares
"""
