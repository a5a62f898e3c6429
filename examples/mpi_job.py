"""An MPI program (mpi4py and Open MPI) with one rank per node. Knows nothing of harness.

    harness run -n 4 -p wan -- python examples/mpi_job.py

mpirun runs on rank 0 and would start its daemons on the other nodes by ssh. There is none between nodes, so the others
wait for one command line each over TCP, and this file is also the program that mpirun takes for ssh.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import time

PORT = 29522


def work() -> int:
    """What every MPI rank does."""
    from mpi4py import MPI

    world = MPI.COMM_WORLD
    began = time.perf_counter()
    total = world.allreduce(world.rank + 1)
    seconds = time.perf_counter() - began
    name, right = MPI.Get_processor_name(), total == world.size * (world.size + 1) // 2
    print(f"MPI rank {world.rank} of {world.size} on {name}: sum {total}, {seconds:.3f} s", flush=True)
    return 0 if right else 1


def start() -> int:
    """Rank 0: mpirun on all nodes, over eth0 alone."""
    hosts = ",".join(f"node-{rank}:1" for rank in range(int(os.environ["WORLD_SIZE"])))
    mpirun = shutil.which("mpirun") or os.path.join(os.path.dirname(sys.executable), "mpirun")
    settings = [
        "--allow-run-as-root",
        "--host",
        hosts,
        "--prtemca",
        "plm_ssh_agent",
        f"{sys.executable} {__file__} --ssh",
    ]
    settings += ["--prtemca", "prte_if_include", "eth0", "--mca", "btl", "self,tcp", "--mca", "pml", "ob1"]
    settings += ["--mca", "btl_tcp_if_include", "eth0", "--map-by", "node", "--bind-to", "none"]
    return subprocess.run([mpirun, *settings, sys.executable, os.path.abspath(__file__), "--work"]).returncode


def serve() -> int:
    """Every other rank: run the one command that comes, and say how it ended."""
    with socket.create_server(("", PORT)) as server, server.accept()[0] as client, client.makefile("rw") as stream:
        code = subprocess.run(json.loads(stream.readline())).returncode
        stream.write(f"{code}\n")
    return code


def ssh(host: str, words: list[str]) -> int:
    """In the place of ssh: HOST COMMAND, which a shell there would read."""
    for _ in range(100):
        try:
            connection = socket.create_connection((host, PORT))
            break
        except OSError:
            time.sleep(0.1)
    with connection, connection.makefile("rw") as stream:
        stream.write(json.dumps(["sh", "-c", " ".join(words)]) + "\n")
        stream.flush()
        return int(stream.readline())


def main() -> int:
    """Be what the first argument says; without one, what the rank says."""
    if sys.argv[1:2] == ["--work"]:
        return work()
    if sys.argv[1:2] == ["--ssh"]:
        return ssh(sys.argv[2], sys.argv[3:])
    return start() if os.environ["RANK"] == "0" else serve()


if __name__ == "__main__":
    sys.exit(main())
