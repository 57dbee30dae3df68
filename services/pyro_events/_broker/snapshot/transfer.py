"""What one process hands over to the next: plain values, what many of them share, and descriptors.

An event that waits for ten subscribers is one object here, and has to be one over there: it is
packed once, and where it is used there is a number. What many wait for is mostly a run of the same
events, for which its begin and its length are enough. Lists are compared, made and read by code in
C throughout, because meanwhile nobody is served.
"""

from __future__ import annotations

import socket
from array import array
from typing import TYPE_CHECKING, Any

import msgpack

from pyro_events._broker.snapshot.fd_passing import close

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class SnapshotWriter:
    """Collects what belongs to values, while they are made."""

    def __init__(self) -> None:
        self.descriptors: list[int] = []
        self._shared: list[object] = []
        self._places: dict[int, int] = {}
        """Where each of them is, by its id, which is its own as long as it lives."""

    def share(self, objects: list[Any]) -> tuple[int, int] | bytes:
        """Give what stands for a list of objects, each of which others may have, too."""
        if (run := self._run(objects)) is not None:
            return run
        places = self._places
        for each in objects:
            if id(each) not in places:
                places[id(each)] = len(self._shared)
                self._shared.append(each)
        run = self._run(objects)
        return run or array("Q", [places[id(each)] for each in objects]).tobytes()

    def _run(self, objects: list[Any]) -> tuple[int, int] | None:
        """Give begin and length if they are shared already, one after the other."""
        count = len(objects)
        begin = self._places.get(id(objects[0])) if count else 0
        if begin is None or self._shared[begin : begin + count] != objects:
            return None
        return begin, count

    def descriptor(self, descriptor: int) -> int:
        """Return what stands for a descriptor."""
        self.descriptors.append(descriptor)
        return len(self.descriptors) - 1

    def pack(self, values: Mapping[str, Any]) -> bytes:
        """Give the values as bytes. Raises ValueError or MemoryError when they are too many."""
        return bytes(msgpack.packb([self._shared, values]))


class SnapshotReader:
    """Gives back what belongs to values. Owns the descriptors until somebody takes them.

    Raises ValueError for bytes that are nothing of that kind.
    """

    def __init__(self, data: bytes, descriptors: Sequence[int]) -> None:
        self._descriptors: list[int | None] = list(descriptors)
        shared, self.values = msgpack.unpackb(data, use_list=False, strict_map_key=False)
        """What was packed; its lists are tuples now."""
        self._shared = shared

    def shared(self, share: tuple[int, int] | bytes) -> list[Any]:
        """Give the list of objects that `share` was given."""
        if isinstance(share, bytes):
            return list(map(self._shared.__getitem__, array("Q", share)))
        begin, count = share
        return list(self._shared[begin : begin + count])

    def descriptor(self, number: int) -> int:
        """Give the descriptor, once."""
        descriptor, self._descriptors[number] = self._descriptors[number], None
        assert descriptor is not None
        return descriptor

    def socket(self, number: int) -> socket.socket:
        """Give the socket, once."""
        return socket.socket(fileno=self.descriptor(number))

    def close(self) -> None:
        """Close the descriptors that nobody took."""
        close(each for each in self._descriptors if each is not None)
        self._descriptors.clear()
