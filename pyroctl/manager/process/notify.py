"""Receives what a service reports about itself: sd_notify(3), one socket per process."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import struct
from typing import TYPE_CHECKING

from pyroctl.directories import identity
from pyroctl.paths import LONGEST_PATH

if TYPE_CHECKING:
    from collections.abc import Callable

LONGEST_MESSAGE = 65536
CREDENTIALS = struct.Struct("3i")  # struct ucred: pid, uid, gid

log = logging.getLogger(__name__)


class NotifySocket:
    """A datagram socket that calls `on_message` with the fields of each message.

    It is at `path`, in the deployment's private directory, or an abstract socket if the path is too
    long or the service runs as another user (not `private`). Messages of other users than `uids`
    are logged and dropped. `fd` is an existing socket.
    """

    def __init__(
        self,
        path: str,
        uids: frozenset[int],
        on_message: Callable[[dict[str, str]], None],
        *,
        private: bool = True,
        fd: int | None = None,
    ) -> None:
        self._uids = uids
        self._on_message = on_message
        self._loop = asyncio.get_running_loop()
        self._path = path if private and len(os.fsencode(path)) <= LONGEST_PATH else None
        self._socket = self._new(fd)
        self._former: list[socket.socket] = []
        """Their files were removed; services that had connected to them use them still."""
        if fd is not None:
            self.address = os.fsdecode(self._socket.getsockname()).replace("\0", "@")
        else:
            self.address = self._bind()
        if self.address != self._path:
            self._path = None
        self._file = identity(self.address)
        self._loop.add_reader(self._socket, self._read, self._socket)

    @staticmethod
    def _new(fd: int | None = None) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM, fileno=fd)
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        return sock

    def restore(self) -> bool:
        """Bind another socket to the path if its file was removed; return whether it was.

        Raises OSError.
        """
        if self._path is None or identity(self._path) == self._file is not None:
            return False
        fresh = self._new()
        try:
            self._bind_to_path(fresh, self._path)
        except OSError:
            fresh.close()
            raise
        self._former.append(self._socket)
        self._socket, self._file = fresh, identity(self._path)
        self._loop.add_reader(fresh, self._read, fresh)
        return True

    def _bind(self) -> str:
        """Bind to the path, or else, for example on a read-only disk, to an abstract name.

        Return the address.
        """
        if self._path is not None:
            with contextlib.suppress(OSError):
                self._bind_to_path(self._socket, self._path)
                return self._path
        name = f"pyroctl-{os.urandom(16).hex()}"
        self._socket.bind(f"\0{name}")
        return f"@{name}"

    @staticmethod
    def _bind_to_path(sock: socket.socket, path: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        sock.bind(path)

    def _read(self, sock: socket.socket) -> None:
        while True:
            try:
                data, ancillary, _, _ = sock.recvmsg(
                    LONGEST_MESSAGE, socket.CMSG_SPACE(CREDENTIALS.size)
                )
            except BlockingIOError:
                return
            uid = sender(ancillary)
            if uid in self._uids:
                self._on_message(parse(data))
            else:
                log.warning("dropped a message of user id %s to %s", uid, self.address)

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._socket.fileno()

    def detach(self) -> None:
        """Stop listening; the socket stays usable for other processes."""
        for sock in (self._socket, *self._former):
            self._loop.remove_reader(sock)
            sock.close()

    def close(self) -> None:
        """Stop listening and remove the socket."""
        self.detach()
        if self._path is not None:
            with contextlib.suppress(OSError):  # it doesn't exist, or the disk has become read-only
                os.unlink(self._path)


def sender(ancillary: list[tuple[int, int, bytes]]) -> int | None:
    """Return the sender's user id, as the kernel attests it."""
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_CREDENTIALS:
            uid: int = CREDENTIALS.unpack(data[: CREDENTIALS.size])[1]
            return uid
    return None


def parse(message: bytes) -> dict[str, str]:
    """Return the KEY=VALUE lines of a message; skip other lines."""
    pairs = (line.partition("=") for line in message.decode(errors="replace").splitlines())
    return {key: value for key, equals, value in pairs if equals}
