"""What one process hands over to the next: plain values, what many of them share, and descriptors.

An event that waits for ten subscribers is one object here, and has to be one over there: it is
packed once, and where it is used there is a number. Lists of such numbers are made and read by
code in C throughout, because meanwhile nobody is served.
"""

from __future__ import annotations

import socket
from array import array
from typing import TYPE_CHECKING, Any

import msgpack

from pyro_events.engine.passing import close

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Sender:
    """Collects what belongs to values, while they are made."""

    def __init__(self) -> None:
        self.descriptors: list[int] = []
        self._shared: dict[int, object] = {}

    def share(self, objects: Sequence[object]) -> bytes:
        """Give what stands for a list of objects, each of which others may have, too."""
        ids = list(map(id, objects))
        self._shared.update(zip(ids, objects, strict=True))  # as long as they live, ids are theirs
        return array("Q", ids).tobytes()

    def descriptor(self, sock: socket.socket) -> int:
        """Give what stands for a socket."""
        self.descriptors.append(sock.fileno())
        return len(self.descriptors) - 1

    def pack(self, values: Mapping[str, Any]) -> bytes:
        """Give the values as bytes. Raises ValueError or MemoryError when they are too many."""
        return bytes(msgpack.packb([self._shared, values]))


class Receiver:
    """Gives back what belongs to values. Owns the descriptors until somebody takes them.

    Raises ValueError for bytes that are nothing of that kind.
    """

    def __init__(self, data: bytes, descriptors: Sequence[int]) -> None:
        self._descriptors: list[int | None] = list(descriptors)
        shared, self.values = msgpack.unpackb(data, use_list=False, strict_map_key=False)
        """What was packed; its lists are tuples now."""
        self._object = shared.__getitem__

    def shared(self, numbers: bytes) -> list[Any]:
        """Give the list of objects that `share` was given."""
        return list(map(self._object, array("Q", numbers)))

    def socket(self, number: int) -> socket.socket:
        """Give the socket, once."""
        descriptor, self._descriptors[number] = self._descriptors[number], None
        assert descriptor is not None
        return socket.socket(fileno=descriptor)

    def close(self) -> None:
        """Close the descriptors that nobody took."""
        close(each for each in self._descriptors if each is not None)
        self._descriptors.clear()
