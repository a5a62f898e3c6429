"""A job as the example's that torchrun starts again, of which rank 0 then comes late: a script for torchrun.

As on a machine or over a link where one rank takes longer. Rank 1 must not connect to where rank 0 was before.

    late_rank.py EXAMPLE --folder FOLDER ...
"""

import os
import runpy
import sys
import time
from pathlib import Path

sys.argv = sys.argv[1:]
folder = Path(sys.argv[sys.argv.index("--folder") + 1])  # each node may have its own
if os.environ["RANK"] == "0" and (folder / "snapshot.pt").exists():
    time.sleep(4)
runpy.run_path(sys.argv[0], run_name="__main__")
