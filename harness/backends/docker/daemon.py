"""Requests to a Docker daemon, for commands and programs that must start fast.

It does without the SDK, because sixteen programs start at once, and ``import docker`` takes 0.2 s of a core each;
because the SDK loses output that arrives together with the answer to "start"; and because over ssh the SDK needs
paramiko, where this runs ``ssh HOST docker system dial-stdio``, as Docker's own command does.

It finds the daemon as ``docker.from_env`` does: by DOCKER_HOST (unix, tcp, http, https, ssh), DOCKER_TLS_VERIFY and
DOCKER_CERT_PATH, and not by the contexts of Docker's command.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from harness.backends.docker.http import Answer, HttpConnection
from harness.errors import HarnessError, InputError, PrivilegeError, UnavailableError

if TYPE_CHECKING:
    import ssl

_UNIX: Final = "unix:///var/run/docker.sock"
_OLDEST: Final = (1, 41)
"""The API of Docker Engine 20.10."""
_CONNECT_S: Final = 20.0


class DockerDaemon:
    """A connection to the daemon that the environment names.

    Args:
        environ: with DOCKER_HOST and the other variables.

    Raises:
        InputError: DOCKER_HOST is invalid.
        UnavailableError: no daemon answers, or it is too old.
        PrivilegeError: this user may not talk to it.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ
        self.host = environ.get("DOCKER_HOST") or _UNIX
        with self._explained():
            self._connection = HttpConnection(_connected(self.host, environ))
        version = self._request("GET", "/_ping", None, {}).headers.get("api-version", "0.0")
        with self._explained():
            spoken = tuple(int(part) for part in version.split("."))
        if spoken < _OLDEST:
            raise UnavailableError(
                f"Docker at {self.host} speaks API {version}; {'.'.join(map(str, _OLDEST))} is needed (Engine 20.10)"
            )
        self._version = f"/v{version}"

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Send a request; returns the answer's JSON, None for an empty one. Raises DockerRefusal, UnavailableError."""
        headers = {"Content-Type": "application/json"} if body is not None else {}
        answer = self._request(method, self._version + path, body, headers)
        with self._explained():
            return json.loads(answer.body) if answer.body else None

    def upgrade(self, path: str, body: Mapping[str, Any]) -> tuple[socket.socket, bytes]:
        """Turn the connection into a stream; returns it, and what came together with the answer.

        Raises:
            DockerRefusal: the daemon refuses.
            UnavailableError: the connection ended.
        """
        headers = {"Content-Type": "application/json", "Connection": "Upgrade", "Upgrade": "tcp"}
        answer = self._request("POST", self._version + path, body, headers, stream=True)
        self._connection.socket.setblocking(False)
        return self._connection.socket, answer.body

    def _request(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
        headers: Mapping[str, str],
        *,
        stream: bool = False,
    ) -> Answer:
        data = None if body is None else json.dumps(body).encode()
        with self._explained():
            answer = self._connection.request(method, path, data, headers, stream=stream)
        if answer.status >= 300:
            raise DockerRefusal(answer.status, _cause(answer.status, answer.body))
        return answer

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn errors of the connection into PrivilegeError or UnavailableError."""
        try:
            yield
        except PermissionError:
            raise PrivilegeError(
                f"may not talk to Docker at {self.host}; join the group docker, or run as root"
            ) from None
        except OSError as problem:
            cause = getattr(problem, "strerror", None) or str(problem) or type(problem).__name__
            raise UnavailableError(
                f"no Docker daemon answers at {self.host} ({cause}); start it, or set DOCKER_HOST"
            ) from None
        except ValueError as problem:
            raise UnavailableError(
                f"what answers at {self.host} is not a Docker daemon ({problem}); set DOCKER_HOST to where one is"
            ) from None


class DockerRefusal(HarnessError):
    """The daemon refuses a request.

    Args:
        status: of HTTP.
        cause: the daemon's words.
    """

    def __init__(self, status: int, cause: str) -> None:
        super().__init__(f"Docker refuses: {cause}")
        self.status, self.cause = status, cause


def _cause(status: int, body: bytes) -> str:
    try:
        return str(json.loads(body)["message"])
    except (ValueError, LookupError, TypeError):
        return body.decode(errors="replace").strip() or f"HTTP {status}"


def _connected(host: str, environ: Mapping[str, str]) -> socket.socket:
    """A socket to the daemon. Raises InputError, UnavailableError, OSError."""
    try:
        url = urlsplit(host if "://" in host else f"tcp://{host}")
        port = url.port
    except ValueError as problem:
        raise InputError(f"DOCKER_HOST={host!r}: {problem}") from None
    if url.scheme in ("unix", "http+unix"):
        connected = socket.socket(socket.AF_UNIX)
        connected.settimeout(_CONNECT_S)
        connected.connect(f"{url.netloc}{url.path}" or urlsplit(_UNIX).path)
        return connected
    if url.scheme == "ssh" and url.hostname:
        return _over_ssh(url.hostname, url.username, port)
    if url.scheme not in ("tcp", "http", "https") or not url.hostname or not port:
        raise InputError(f"DOCKER_HOST={host!r}: write unix:///PATH, tcp://HOST:PORT or ssh://[USER@]HOST[:PORT]")
    context = _tls(environ, url.scheme == "https")
    connected = socket.create_connection((url.hostname, port), _CONNECT_S)
    return context.wrap_socket(connected, server_hostname=url.hostname) if context else connected


def _over_ssh(host: str, user: str | None, port: int | None) -> socket.socket:
    """Connect to the daemon of another machine. ssh gets a session of its own, so that our signals do not reach it."""
    options = [*(["-l", user] if user else []), *(["-p", str(port)] if port else [])]
    ours, theirs = socket.socketpair()
    with theirs:
        try:
            subprocess.Popen(
                ["ssh", *options, "--", host, "docker system dial-stdio"],
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                start_new_session=True,
            )
        except FileNotFoundError:
            raise UnavailableError("DOCKER_HOST names a machine behind ssh, and there is no ssh; install it") from None
    ours.settimeout(_CONNECT_S)
    return ours


def _tls(environ: Mapping[str, str], https: bool) -> ssl.SSLContext | None:
    """As docker.from_env: DOCKER_CERT_PATH or DOCKER_TLS_VERIFY asks for TLS; an empty DOCKER_TLS_VERIFY for no check
    of the certificate."""
    verify, folder = bool(environ.get("DOCKER_TLS_VERIFY")), environ.get("DOCKER_CERT_PATH")
    if not (verify or folder or https):
        return None
    import ssl  # here, because it takes 7 ms and few need it

    context = ssl.create_default_context()
    if not (verify or folder):
        return context
    folder = folder or os.path.expanduser("~/.docker")
    try:
        context.load_verify_locations(f"{folder}/ca.pem")
        context.load_cert_chain(f"{folder}/cert.pem", f"{folder}/key.pem")
    except OSError as problem:
        raise UnavailableError(f"certificates for Docker in {folder} (DOCKER_CERT_PATH): {problem}") from None
    if not verify:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context
