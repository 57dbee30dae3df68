"""Passing descriptors to another process, over a Unix socket that keeps messages apart.

See SCM_RIGHTS in unix(7); the kernel takes at most 253 of them with one message. Large data are
passed as a file in memory, which is one more descriptor: the other end gets all of it or nothing.
"""

from __future__ import annotations

import contextlib
import os
import socket
from array import array
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

AT_ONCE: Final = 200
"""Descriptors of one message at most."""
_LONGEST: Final = 1 << 16
_INT: Final = array("i").itemsize


def make_socket() -> socket.socket:
    """Return a socket of the kind that both ends use; other users can't connect to it."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    os.fchmod(sock.fileno(), 0o600)  # what a bind makes gets these permissions
    return sock


def send(sock: socket.socket, message: bytes, descriptors: Sequence[int] = ()) -> None:
    """Send one message, not an empty one, with up to AT_ONCE descriptors. Raises OSError."""
    rights = array("i", descriptors)
    sock.sendmsg([message], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)] if rights else [])


def receive(sock: socket.socket) -> tuple[bytes, list[int]]:
    """Return one message and its descriptors, which the caller has to close; b"" at the end.

    Raises OSError, also when this process is not allowed as many descriptors as were sent.
    """
    # socket.recv_fds ignores its flags (Python 3.11), and descriptors would be inherited.
    message, ancillary, flags, _ = sock.recvmsg(
        _LONGEST, socket.CMSG_LEN(AT_ONCE * _INT), socket.MSG_CMSG_CLOEXEC
    )
    rights = array("i", b"".join(data[: len(data) // _INT * _INT] for _, _, data in ancillary))
    descriptors = list(rights)
    if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
        close(descriptors)
        raise OSError("a message did not arrive as a whole: too few descriptors (ulimit -n)?")
    return message, descriptors


class Token:
    """An eventfd(2) that only one of the processes that have it can take, and only once.

    Without a descriptor a new one is made. Raises OSError.
    """

    def __init__(self, descriptor: int | None = None) -> None:
        flags = os.EFD_CLOEXEC | os.EFD_NONBLOCK
        self._descriptor = os.eventfd(1, flags) if descriptor is None else descriptor

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._descriptor

    def take(self) -> bool:
        """Take it; return False if it was taken before."""
        try:
            return os.eventfd_read(self._descriptor) > 0
        except BlockingIOError:
            return False

    def close(self) -> None:
        """Close the descriptor; other processes that have one may still take the token."""
        os.close(self._descriptor)


def close(descriptors: Iterable[int]) -> None:
    """Close them all."""
    for descriptor in descriptors:
        with contextlib.suppress(OSError):
            os.close(descriptor)


@contextlib.contextmanager
def memory_file(data: bytes) -> Iterator[int]:
    """Open a file in memory with these bytes, and yield its descriptor. Raises OSError."""
    with os.fdopen(os.memfd_create("handover"), "wb") as file:
        file.write(data)
        file.flush()
        yield file.fileno()


def contents(descriptor: int) -> bytes:
    """Return what is in such a file, and close it. Raises OSError."""
    with open(descriptor, "rb") as file:
        file.seek(0)
        return file.read()
