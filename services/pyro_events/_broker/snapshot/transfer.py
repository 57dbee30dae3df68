"""What one process hands over to the next: plain values, what many of them share, and descriptors.

An event that waits for ten subscribers is one object, and has to be one in the next process: it is
packed once, and a number stands for it elsewhere. Most lists are a run of the same events, for
which the begin and the length are enough. Lists are compared, made and read by code in C
throughout, because no client is served in the meantime.
"""

from __future__ import annotations

import socket
from array import array
from typing import TYPE_CHECKING, Any

import msgpack

from pyro_events._broker.snapshot.fd_passing import close

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pyro_events._protocol.patterns import Pattern


class SnapshotWriter:
    """Collects shared objects and descriptors while snapshots are made."""

    def __init__(self) -> None:
        self.descriptors: list[int] = []
        self._shared: list[object] = []
        self._places: dict[int, int] = {}
        """Where each shared object is, by its id, which is unique while the object lives."""

    def share(self, objects: list[Any]) -> tuple[int, int] | bytes:
        """Return what stands for a list of objects, each of which may be in other lists, too."""
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
        """Return begin and length if they are shared already, one after the other."""
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
        """Return the values as bytes. Raises ValueError or MemoryError when they are too many."""
        return bytes(msgpack.packb([self._shared, values]))


class SnapshotReader:
    """Returns what a SnapshotWriter has replaced. Owns the descriptors until they are taken.

    `patterns` were compiled in advance. Raises ValueError for bytes that no SnapshotWriter packed.
    """

    def __init__(
        self, data: bytes, descriptors: Sequence[int], patterns: Mapping[str, Pattern] | None = None
    ) -> None:
        self.patterns = patterns or {}
        self._descriptors: list[int | None] = list(descriptors)
        shared, self.values = msgpack.unpackb(data, use_list=False, strict_map_key=False)
        """What was packed; its lists are tuples now."""
        self._shared = shared

    def shared(self, share: tuple[int, int] | bytes) -> list[Any]:
        """Return the list of objects for which `share` stands."""
        if isinstance(share, bytes):
            return list(map(self._shared.__getitem__, array("Q", share)))
        begin, count = share
        return list(self._shared[begin : begin + count])

    def descriptor(self, number: int) -> int:
        """Return the descriptor, once."""
        descriptor, self._descriptors[number] = self._descriptors[number], None
        assert descriptor is not None
        return descriptor

    def socket(self, number: int) -> socket.socket:
        """Return the socket, once."""
        return socket.socket(fileno=self.descriptor(number))

    def close(self) -> None:
        """Close the descriptors that were not taken."""
        close(each for each in self._descriptors if each is not None)
        self._descriptors.clear()
