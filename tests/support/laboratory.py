"""An experiment's file in a folder, and the command that performs it on real networks."""

from __future__ import annotations

import contextlib
import signal
import subprocess

from tests.support.cli import HARNESS
from tests.support.live import addressing, own

SUBNETS = ["--subnet", str(addressing().ipv4_net), "--subnet6", str(addressing().ipv6_net)]


class Laboratory:
    """Tests make their own of it, with what their experiments need in the folder.

    Args:
        harness: the command.
        folder: of the experiment's file, and of its runs.
        name: of the networks.
        head: with which the file begins.
    """

    def __init__(self, harness, folder, name, head):
        harness.env["HARNESS_NAME"] = own(name)
        self.harness, self.folder, self.root, self._head = harness, folder, folder / "runs", head
        self.processes = []

    def write(self, text):
        """The experiment's file."""
        path = self.folder / "mine.yaml"
        path.write_text(self._head + text)
        return str(path)

    def start(self, *words):
        """In the background; what is gone on with knows its subnets."""
        subnets = [] if "--resume" in words else SUBNETS
        argv = [*HARNESS, "experiment", "run", *words, *subnets, "--runs", str(self.root)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        self.processes.append(subprocess.Popen(argv, env=self.harness.env, text=True, **pipes))
        return self.processes[-1]

    def run(self, *words, code=0):
        """To its end; what it printed."""
        process = self.start(*words)
        out, errors = process.communicate(timeout=300)
        assert process.returncode == code, f"{out}\n{errors}"
        return out, errors

    @property
    def made(self):
        """The folder of the only experiment."""
        (folder,) = self.root.iterdir()
        return folder

    def close(self):
        """Leave nothing behind of a test that has failed either."""
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)  # it removes its networks
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(60)
            process.kill()
            process.wait()
            process.stdout.close()
            process.stderr.close()
