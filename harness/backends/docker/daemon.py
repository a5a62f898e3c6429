"""The requests to a Docker daemon that every command and every program takes, which shall be quick.

Without the SDK, for three reasons: sixteen programs start at once, and ``import docker`` takes 0.2 s of a core each;
the SDK drops what the daemon sends in one piece with its answer to "start"; and over ssh it
needs paramiko where this, as Docker's own command does, runs ``ssh HOST docker system dial-stdio``.

The daemon is found as by ``docker.from_env``: DOCKER_HOST (unix, tcp, http, https, ssh), DOCKER_TLS_VERIFY,
DOCKER_CERT_PATH. Contexts of Docker's command are not known, as the SDK does not know them there.
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
    """One connection to the daemon that the environment names.

    Args:
        environ: where DOCKER_HOST and the like stand.

    Raises:
        InputError: DOCKER_HOST makes no sense.
        UnavailableError: no daemon, or one too old.
        PrivilegeError: we may not talk to it.
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
        """A request and its answer in JSON, or None where it is empty. Raises DockerRefusal, UnavailableError."""
        headers = {"Content-Type": "application/json"} if body is not None else {}
        answer = self._request(method, self._version + path, body, headers)
        with self._explained():
            return json.loads(answer.body) if answer.body else None

    def upgrade(self, path: str, body: Mapping[str, Any]) -> tuple[socket.socket, bytes]:
        """A request that turns the connection into a stream; the stream, and what came with the answer already.

        Raises:
            DockerRefusal: it does not.
            UnavailableError: it ended meanwhile.
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
        """Make what goes wrong while we talk to it an error of ours. Raises PrivilegeError, UnavailableError."""
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
    """The daemon's answer to a request that it does not carry out.

    Args:
        status: HTTP's.
        cause: in its words.
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
    """To the daemon. Raises InputError, UnavailableError, OSError."""
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
    """Connect to the daemon at another machine. ssh gets a session of its own: our signals are not for it."""
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
    """As docker.from_env: encrypted with DOCKER_CERT_PATH or DOCKER_TLS_VERIFY, whose empty value means no check."""
    verify, folder = bool(environ.get("DOCKER_TLS_VERIFY")), environ.get("DOCKER_CERT_PATH")
    if not (verify or folder or https):
        return None
    import ssl  # here, for it takes 7 ms and few need it

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
