"""The user at the other end of a Unix socket."""

from __future__ import annotations

import socket
import struct


def peer_user(connection: socket.socket) -> int:
    """The user id of the other end, when it connected or began to listen (SO_PEERCRED, unix(7)). Raises OSError."""
    uid: int = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[1]
    return uid
