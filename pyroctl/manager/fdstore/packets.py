"""Messages between the manager and its descriptor store, over a SOCK_SEQPACKET socket.

A packet is a line of JSON followed by any bytes; descriptors come with it (SCM_RIGHTS).
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
"""Bytes in a packet; the system's buffers hold about 200 KiB by default."""
MOST_FDS = 4

log = logging.getLogger(__name__)


def encode(message: Message, data: bytes = b"") -> bytes:
    """Return a packet."""
    return json.dumps(message, separators=(",", ":")).encode() + b"\n" + data


def receive(sock: socket.socket) -> tuple[Message, bytes, list[int]] | None:
    """Return a packet, None at the end; raise OSError, also BlockingIOError and TimeoutError.

    A packet without a message is an OSError, too.
    """
    packet, fds, _, _ = socket.recv_fds(sock, LARGEST, MOST_FDS, socket.MSG_CMSG_CLOEXEC)
    if not packet:
        return None
    head, _, data = packet.partition(b"\n")
    try:
        message = json.loads(head)
    except (ValueError, RecursionError):
        message = None
    if not isinstance(message, dict):
        close_all(fds)
        raise OSError("a packet without a message")
    return message, data, fds


def close_all(fds: Sequence[int]) -> None:
    """Close the descriptors that came with a packet."""
    for fd in fds:
        os.close(fd)


class PacketLink:
    """One end of the connection; lives in the event loop's thread and owns `sock`.

    `on_message` gets the message, the bytes after it, and descriptors, which it has to close.
    `on_end` is called once, when the other end has closed. What can't be sent at once is queued.
    """

    def __init__(
        self, sock: socket.socket, on_message: Receiver, on_end: Callable[[], None]
    ) -> None:
        sock.setblocking(False)
        self._socket = sock
        self._on_message = on_message
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        self._queue: deque[tuple[bytes, list[int]]] = deque()
        self.on_sent: Callable[[], None] = lambda: None
        """Called when the queue is empty again."""
        self._loop.add_reader(sock, self._read)

    @property
    def backlog(self) -> int:
        """The number of packets in the queue."""
        return len(self._queue)

    def send(self, message: Message, data: bytes = b"", fds: Sequence[int] = ()) -> None:
        """Send after what is queued; the descriptors remain the caller's."""
        packet = encode(message, data)
        if self._queue or not self._send(packet, fds):
            if not self._queue:
                self._loop.add_writer(self._socket, self._send_queue)
            self._queue.append((packet, [os.dup(fd) for fd in fds]))

    def close(self) -> None:
        """Close the connection."""
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
            self._socket.close()
        while self._queue:
            for fd in self._queue.popleft()[1]:
                os.close(fd)

    def _send(self, packet: bytes, fds: Sequence[int]) -> bool:
        """Return whether it was sent, or can never be: `on_end` reports that."""
        try:
            socket.send_fds(self._socket, [packet], fds, socket.MSG_NOSIGNAL)
        except BlockingIOError:
            return False
        except ConnectionError:
            return True
        except OSError as error:
            log.error("a message of %d bytes could not be sent: %s", len(packet), error)  # noqa: TRY400 - a traceback adds nothing
        return True

    def _send_queue(self) -> None:
        while self._queue:
            packet, fds = self._queue[0]
            if not self._send(packet, fds):
                return
            self._queue.popleft()
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
