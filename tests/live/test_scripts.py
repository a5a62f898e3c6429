"""Scripts for torchrun that know nothing of harness, on shaped links: the examples, as a user starts them."""

import importlib.util
import os
import re
import sys
from pathlib import Path

import pytest

from harness.networks.backends import DOCKER
from tests.support.live import addressing, needs, own, runtime_name

pytestmark = [*needs(), pytest.mark.torch]
EXAMPLES = Path(__file__).parents[2] / "examples"
SUPPORT = Path(__file__).parents[1] / "support"
SUBNETS = ["--subnet", str(addressing().ipv4_net), "--subnet6", str(addressing().ipv6_net)]
SLOW = os.environ.get("WITH_NETEM") == "uml"
"""One emulated CPU, where half a minute passes until torch is imported: one script stands for all."""


@pytest.fixture
def script(harness):
    """Run an example on a network with these options, by these words; its standard output.

    Torch finds every name there: it warns of none that cannot be retrieved.
    """
    harness.env |= {"HARNESS_NAME": own("scripts")}
    docker = runtime_name() == DOCKER
    python = "python" if docker else sys.executable

    def run(options, launcher, name, *arguments, home=EXAMPLES):
        folder = Path("/work/scripts") if docker else home
        volume = ["--volume", f"{home}:{folder}:ro", "--volume", f"{EXAMPLES}:{EXAMPLES}:ro"] if docker else []
        words = [*options, *SUBNETS, *volume, "--", python, *launcher, str(folder / name), *arguments]
        done = harness("run", *words)
        assert "cannot be retrieved" not in done.stderr, done.stderr
        return done.stdout

    yield run
    harness("down")


@pytest.fixture
def folder(tmp_path):
    """Where a script may write, as it sees it."""
    return "/tmp/snapshots" if runtime_name() == DOCKER else str(tmp_path / "snapshots")


TORCHRUN = ["-m", "torch.distributed.run"]


if SLOW or runtime_name() == DOCKER:  # elsewhere, the scripts below say as much

    @pytest.mark.backend
    def test_ranks_meet(script):
        printed = script(["-n", "2", "-p", "wan"], [], "which_job.py", home=SUPPORT)
        for rank in range(2):
            assert f"[{rank}] rank {rank} of 2, together 3" in printed


if not SLOW:

    def test_ddp(script):
        printed = script(["-n", "2", "-p", "wan"], [], "ddp.py")
        assert "[0] rank 0 of 2: good" in printed
        assert "[1] rank 1 of 2: good" in printed

    def test_fsdp(script):
        printed = script(["-n", "2", "-p", "datacenter"], [], "fsdp.py")
        for rank in range(2):
            assert f"[{rank}] rank {rank} of 2: " in printed
        assert printed.count(": good") == 2

    @pytest.mark.full
    def test_torchrun_in_every_node_with_two_processes_each(script, folder):
        launcher = [*TORCHRUN, "--nproc-per-node", "2"]
        printed = script(["-n", "2", "-p", "wan"], launcher, "elastic.py", "--folder", folder)
        for rank in range(4):
            assert f"[{rank // 2}] rank {rank} of 4: steps 0 to 20" in printed

    def test_torchrun_starts_a_job_again_over_the_links_and_waits_for_a_late_rank(script, folder):
        launcher = [*TORCHRUN, "--rdzv-backend", "c10d", "--max-restarts", "1"]
        job = [str(EXAMPLES / "elastic.py"), "--folder", folder, "--die-at", "10"]
        printed = script(["-n", "2", "-p", "datacenter"], launcher, "late_rank.py", *job, home=SUPPORT)
        assert "] rank 1: dies at step 10" in printed
        assert printed.count("of 2: steps 10 to 20") == 2

    def test_a_parameter_server_on_rank_0(script):
        printed = script(["-n", "2", "-p", "datacenter"], [], "rpc_parameter_server.py")
        assert re.search(r"\[1\] rank 1: loss .*: good", printed)

    PACKAGES = {
        "accelerate_ddp.py": ("accelerate", 3),
        "lightning_ddp.py": ("lightning", 3),
        "flower_fedavg.py": ("flwr", 1),
        "torchft_diloco.py": ("torchft", 3),
        "hivemind_peers.py": ("hivemind", 3),
    }

    @pytest.mark.full
    @pytest.mark.parametrize("name", PACKAGES)
    def test_a_recipe_for_a_package(script, name):
        package, good = PACKAGES[name]
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"needs {package}")
        assert script(["-n", "3", "-t", "star", "-p", "wan"], [], name).count(": good") == good

    @pytest.mark.full
    def test_an_mpi_job(script):
        if importlib.util.find_spec("mpi4py") is None:
            pytest.skip("needs mpi4py and openmpi")
        printed = script(["-n", "3", "-p", "wan"], [], "mpi_job.py")
        assert [f"MPI rank {rank} of 3 on node-{rank}: sum 6" in printed for rank in range(3)] == [True] * 3

    FORMS = [
        ("--nnodes 1", 1),
        ("--standalone", 1),
        ("--nnodes=1 --master_port=29611", 1),
        ("--rdzv-backend c10d --rdzv-endpoint localhost:0", 1),
        ("--master-addr localhost --master-port 29611", 1),
        ("--nnodes 2 --rdzv-backend c10d --rdzv-endpoint node-1:29611", 2),
        ("--nnodes 2 --master-addr node-0 --master-port 29611", 2),
    ]
    ALSO = [pytest.param(*form, marks=pytest.mark.full) for form in FORMS[1:-1]]

    @pytest.mark.parametrize(("options", "nodes"), [FORMS[0], *ALSO, FORMS[-1]])
    def test_torchruns_options_win_over_the_nodes_variables(script, options, nodes):
        launcher = [*TORCHRUN, *options.split()]
        printed = script(["-n", "2", "-p", "datacenter"], launcher, "which_job.py", home=SUPPORT)
        ranks, size, total = ((0, 0), 1, 1) if nodes == 1 else ((0, 1), 2, 3)
        for node, rank in enumerate(ranks):
            assert f"[{node}] rank {rank} of {size}, together {total}" in printed
