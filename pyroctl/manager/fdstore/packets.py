"""Messages with descriptors between the manager and its keeper, over a SOCK_SEQPACKET socket.

One packet is a line of JSON, and after it any bytes; descriptors come with it (SCM_RIGHTS).
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Message = dict[str, Any]
    Receiver = Callable[[Message, bytes, list[int]], None]

LARGEST = 1 << 18
"""Bytes in a packet; the system's buffers hold no more than about 200 KiB by default."""
MOST_FDS = 4

log = logging.getLogger(__name__)


def encode(message: Message, data: bytes = b"") -> bytes:
    """Make a packet."""
    return json.dumps(message, separators=(",", ":")).encode() + b"\n" + data


def receive(sock: socket.socket) -> tuple[Message, bytes, list[int]] | None:
    """Take one packet; None at the end. Raises OSError, also BlockingIOError and TimeoutError."""
    packet, fds, _, _ = socket.recv_fds(sock, LARGEST, MOST_FDS, socket.MSG_CMSG_CLOEXEC)
    if not packet:
        return None
    head, _, data = packet.partition(b"\n")
    return json.loads(head), data, fds


class PacketLink:
    """One end of the conversation; lives in the event loop's thread and owns `sock`.

    `on_message` gets the message, the bytes after it, and descriptors, which are its to close.
    `on_end` is called once, when the other end is gone. What can't be sent at once waits.
    """

    def __init__(
        self, sock: socket.socket, on_message: Receiver, on_end: Callable[[], None]
    ) -> None:
        sock.setblocking(False)
        self._socket = sock
        self._on_message = on_message
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[tuple[bytes, list[int]]] = deque()
        self.on_sent: Callable[[], None] = lambda: None
        """Called when nothing waits any more."""
        self._loop.add_reader(sock, self._read)

    @property
    def backlog(self) -> int:
        """How many packets wait for the other end to read."""
        return len(self._waiting)

    def send(self, message: Message, data: bytes = b"", fds: Sequence[int] = ()) -> None:
        """Send, after what waits; the descriptors stay the caller's."""
        packet = encode(message, data)
        if self._waiting or not self._send(packet, fds):
            if not self._waiting:
                self._loop.add_writer(self._socket, self._send_waiting)
            self._waiting.append((packet, [os.dup(fd) for fd in fds]))

    def close(self) -> None:
        """End it."""
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
            self._socket.close()
        while self._waiting:
            for fd in self._waiting.popleft()[1]:
                os.close(fd)

    def _send(self, packet: bytes, fds: Sequence[int]) -> bool:
        """Try to send; True also when nobody will ever read it, which `on_end` tells."""
        try:
            socket.send_fds(self._socket, [packet], fds, socket.MSG_NOSIGNAL)
        except BlockingIOError:
            return False
        except ConnectionError:
            return True
        except OSError as error:
            log.error("a message of %d bytes was not sent: %s", len(packet), error)  # noqa: TRY400 - that says it all
        return True

    def _send_waiting(self) -> None:
        while self._waiting:
            packet, fds = self._waiting[0]
            if not self._send(packet, fds):
                return
            self._waiting.popleft()
            for fd in fds:
                os.close(fd)
        self._loop.remove_writer(self._socket)
        self.on_sent()

    def _read(self) -> None:
        try:
            received = receive(self._socket)
        except BlockingIOError:
            return
        except OSError:
            received = None
        if received is None:
            self.close()
            self._on_end()
        else:
            self._on_message(*received)
