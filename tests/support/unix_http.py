"""HTTP over a Unix socket, as a Docker daemon speaks it, for daemons that say what a test wants."""

from __future__ import annotations

import contextlib
import socketserver
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path


class Handler(BaseHTTPRequestHandler):
    """What a daemon's answers need; silent."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def address_string(self):
        return "unix"


class _Server(socketserver.ThreadingUnixStreamServer):
    """Does not wait for clients that stay connected."""

    daemon_threads = True
    block_on_close = False


@contextlib.contextmanager
def served(folder: Path, handler: type[Handler]):
    """Let it answer while the block runs; its address, as DOCKER_HOST has it."""
    with _Server(str(folder / "docker.sock"), handler) as server:
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        yield f"unix://{server.server_address}"
        server.shutdown()
