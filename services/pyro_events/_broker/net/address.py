"""Where the event service listens: a TCP port, or a Unix socket with a path."""

from __future__ import annotations

import errno
import logging
import os
import socket
import stat
from typing import Any

from pyro_events._broker.errors import AddressUnusable
from pyro_wire import challenge

_BACKLOG = 512
UNIX = "./u:"
"""The prefix of a host that is the path of a Unix socket; Pyro5's notation."""

_log = logging.getLogger("pyro_events")


class UnixSocket(socket.socket):
    """A listening socket with a path, which it removes unless another process owns it by then.

    `passed` is a descriptor that another process of ours has bound there.
    """

    def __init__(self, path: str, mode: int, passed: int | None = None) -> None:
        super().__init__(socket.AF_UNIX, socket.SOCK_STREAM, fileno=passed)
        self._file: tuple[int, int] | None = None
        self.path = path
        if passed is not None:
            return
        try:
            self._bind()
            self._file = _identity(path)
            os.chmod(path, mode)  # noqa: PTH101 - it is a socket's name
            self.listen(_BACKLOG)  # only now can clients connect
            self.setblocking(False)
        except BaseException:
            self.close()
            raise

    def own(self) -> None:
        """Remove the file at the end if it was passed to us: the other process does not."""
        if self._file is None:
            self._file = _identity(self.path)

    def disown(self) -> None:
        """Leave the file to another process."""
        self._file = None

    def close(self) -> None:
        """Close it, and remove its file."""
        super().close()
        file, self._file = self._file, None
        if file is not None and _identity(self.path) == file:
            os.unlink(self.path)  # noqa: PTH108 - the same

    def _bind(self) -> None:
        try:
            self.bind(self.path)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or not _abandoned(self.path):
                raise
            _log.info("%s was left behind by a process that has ended: replaced", self.path)
            os.unlink(self.path)  # noqa: PTH108 - the same
            self.bind(self.path)


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _abandoned(path: str) -> bool:
    """Return whether it is a socket on which no process listens."""
    if not stat.S_ISSOCK(os.lstat(path).st_mode):
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.setblocking(False)  # with a full backlog, a process listens
        return sock.connect_ex(path) == errno.ECONNREFUSED


def bind(host: str, port: int, mode: int = 0o600) -> socket.socket:
    """Return a socket that listens there; raises AddressUnusable, which explains what is wrong.

    A host that begins with `UNIX` is followed by the path of a Unix socket, with that file mode.
    """
    if host.startswith(UNIX):
        return _bind_path(host.removeprefix(UNIX), port, mode)
    try:
        found = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except (OSError, UnicodeError) as error:
        raise AddressUnusable(
            f"the host {host!r} is unknown: {error}",
            hint="give a name or address of this machine, such as localhost or 0.0.0.0",
        ) from None
    # Pyro5's clients prefer IPv4 where a name has both (PREFER_IP_VERSION), so we do, too.
    family, kind, proto, _, address = min(found, key=lambda info: info[0] != socket.AF_INET)
    sock = socket.socket(family, kind, proto)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(_BACKLOG)
        sock.setblocking(False)
    except OSError as error:
        sock.close()
        raise _unusable(host, port, error) from None
    return sock


def endpoint(sock: socket.socket) -> str:
    """Return where a client's connection ends, as in greetings; see `pyro_wire.challenge`."""
    address = sock.getsockname()
    return challenge.location(address if isinstance(address, tuple) else os.path.realpath(address))


def location(host: str, sock: socket.socket) -> str:
    """Return what follows the @ of the URI: a host that clients can connect to, and the port."""
    address: Any = sock.getsockname()
    if sock.family == socket.AF_UNIX:
        return f"{UNIX}{address}"
    port = address[1]
    if host.startswith(UNIX):  # the socket that was passed on is another kind
        host = address[0]
    if host in ("", "0.0.0.0", "::"):  # noqa: S104 - what must not be in an address
        host = socket.gethostname()
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _bind_path(path: str, port: int, mode: int) -> socket.socket:
    if not path or ":" in path:  # Pyro5's URIs can't hold it
        raise AddressUnusable(
            f"{path!r} can't be the path of a Unix socket in a Pyro URI",
            hint="write ./u:/run/pyro/es.sock, without a colon in the path",
        )
    if port:
        raise AddressUnusable(
            f"a Unix socket has no port, but {port} was asked for", hint="leave the port out"
        )
    path = os.path.abspath(path)  # noqa: PTH100 - clients have working directories of their own
    try:
        return UnixSocket(path, mode)
    except (OSError, ValueError) as error:  # the latter: a null character in it
        raise _path_unusable(path, error) from None


def _path_unusable(path: str, error: OSError | ValueError) -> AddressUnusable:
    number = getattr(error, "errno", None)
    if number == errno.EADDRINUSE:
        what = "another program listens there" if _is_socket(path) else "it is not a socket"
        return AddressUnusable(
            f"{path} is in use: {what}", hint="stop or remove it, or choose another path"
        )
    if number in (errno.ENOENT, errno.EACCES, errno.EPERM):
        hint = "make its directory first, one that this user may write to and others may not"
    else:
        hint = "choose another path; about 100 characters are the system's limit"
    return AddressUnusable(
        f"can't listen on {path}: {getattr(error, 'strerror', None) or error}", hint=hint
    )


def _is_socket(path: str) -> bool:
    try:
        return stat.S_ISSOCK(os.lstat(path).st_mode)
    except OSError:
        return True


def _unusable(host: str, port: int, error: OSError) -> AddressUnusable:
    if error.errno == errno.EADDRINUSE:
        return AddressUnusable(
            f"port {port} on {host} is in use: another program listens there",
            hint="stop it, choose another port with -p PORT, or any free one with -p 0",
        )
    if error.errno == errno.EACCES:
        return AddressUnusable(
            f"port {port} on {host} needs more rights than this process has",
            hint="choose a port above 1023, or any free one with -p 0",
        )
    return AddressUnusable(
        f"can't listen on {host} port {port}: {error.strerror or error}",
        hint="give a name or address of this machine, such as localhost or 0.0.0.0",
    )
