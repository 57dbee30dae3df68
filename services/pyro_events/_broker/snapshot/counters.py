"""Numbers that outlive the process, even if it is killed: three to a slot, in a mapped file.

Changing one needs no system call. A slot belongs to

* a subscriber: how many events were ever promised to it, how many of them it was told that they
  are lost, and how many it has acknowledged (see BrokerSubscriber), or
* a publisher: the last sequence number that was accepted from it.
"""

from __future__ import annotations

import mmap
import os
from array import array
from typing import TYPE_CHECKING, Any, ClassVar, Final

from pyro_events._broker.snapshot.fields import Fields, Snapshotted

if TYPE_CHECKING:
    from collections.abc import Callable

_MAGIC: Final = int.from_bytes(b"tallies2", "little")
_HEADER: Final = 1
"""Words before the slots."""
_WORD: Final = 8
SLOT: Final = 3
"""Words of a slot; a slot is known by the index of its first one."""


class CounterFile(Snapshotted):
    """Hands out slots. For the loop's thread only."""

    __slots__ = ("_free", "_memory", "_next", "_size", "_whole", "on_claim", "values")

    SNAPSHOT: ClassVar = Fields("_free", "_next", "values")
    TRANSIENT: ClassVar = ("_memory", "_size", "_whole", "on_claim")

    def __init__(self, memory: mmap.mmap) -> None:
        self._memory = memory
        self._whole = memoryview(memory).cast("Q")
        self._whole[0] = _MAGIC
        self.values = self._whole[_HEADER:]
        """All numbers: those of a slot are from `slot` on."""
        self._size = len(self.values)
        self._free: list[int] = []
        self._next = 0
        self.on_claim: Callable[[int], None] | None = None
        """Called with each slot that has a new owner."""

    @classmethod
    def in_memory(cls, slots: int) -> CounterFile:
        """Return counters that end with the process."""
        return cls(mmap.mmap(-1, _bytes(slots)))

    @classmethod
    def create(cls, path: str, slots: int) -> CounterFile:
        """Return counters in a new file. Raises OSError; on a full disk now rather than later."""
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(file, 0, _bytes(slots))
            return cls(mmap.mmap(file, _bytes(slots)))
        finally:
            os.close(file)

    @classmethod
    def reopen(cls, path: str, slots: int) -> CounterFile:
        """Return the counters in another process's file, which may be larger. Raises OSError."""
        file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            os.posix_fallocate(file, 0, _bytes(slots))
            return cls(mmap.mmap(file, os.fstat(file).st_size))
        finally:
            os.close(file)

    def snapshot(self, _writer: object) -> dict[str, Any]:
        """Return all numbers, and which slots are free."""
        words = self.values[: self._next].tobytes()
        return {"used": self._next // SLOT, "words": words, "free": self._free}

    def restore(self, values: dict[str, Any], _reader: object) -> None:
        """Continue from the numbers of another process; nothing may be claimed yet."""
        words = array("Q", values["words"])
        self._next, self._free = len(words), list(values["free"])
        self.values[: self._next] = memoryview(words)

    def claim(self, first: int = 0, second: int = 0) -> int:
        """Return a free slot, with these numbers in it."""
        if self._free:
            slot = self._free.pop()
        else:
            slot, self._next = self._next, self._next + SLOT
        assert slot < self._size, "more slots than subscribers and publishers are allowed"
        self.values[slot], self.values[slot + 1], self.values[slot + 2] = first, second, 0
        if self.on_claim is not None:
            self.on_claim(slot)
        return slot

    def release(self, slot: int) -> None:
        """Free a slot; its numbers stay until it is claimed again."""
        self._free.append(slot)

    def close(self) -> None:
        """Release the memory; the file stays."""
        self.values.release()
        self._whole.release()
        self._memory.close()


def read(path: str) -> array[int] | None:
    """Return the numbers of an earlier process, None if the file has none. Raises OSError."""
    with open(path, "rb") as file:  # noqa: PTH123 - the module knows paths as text
        data = file.read()
    words = array("Q", data[: len(data) // _WORD * _WORD])
    if len(words) < _HEADER or words[0] != _MAGIC:
        return None
    return words[_HEADER:]


def _bytes(slots: int) -> int:
    return (_HEADER + slots * SLOT) * _WORD
