"""Records in memory that outlives the process, even if it is killed; the oldest are overwritten.

The memory is a file that the manager has made, and has mapped nowhere; it begins with

    magic   written last, when there is a ring
    tail    the position of the next record; its place is the remainder by the size
    limit   up to where a record may have been written: what is a size before it, or more, is gone

A record ends with its length, so that they are read from the tail backwards. `limit` is set before
a record is written, and `tail` after: whenever the process is killed, all between them is complete.
"""

from __future__ import annotations

import mmap
import os
from typing import Final

HEADER: Final = 64
"""Bytes before the records."""
_MAGIC: Final = int.from_bytes(b"events 1", "little")
_TAIL, _LIMIT = 1, 2
_LENGTH: Final = 4


class Ring:
    """The memory of the descriptor, which is closed. Raises OSError if that can't be mapped."""

    def __init__(self, descriptor: int) -> None:
        try:
            self._memory = mmap.mmap(descriptor, os.fstat(descriptor).st_size)
        except ValueError as error:
            raise OSError(str(error)) from None
        finally:
            os.close(descriptor)
        self._view = memoryview(self._memory)
        self._words = self._view[:HEADER].cast("Q")
        self._data = self._view[HEADER:]
        self.size = len(self._data)
        """How many bytes of records there may be."""
        if self._words[0] != _MAGIC:
            self._words[_TAIL] = self._words[_LIMIT] = 0
            self._words[0] = _MAGIC

    def append(self, record: bytes) -> bool:
        """Write a record; return False, and write nothing, if it is larger than the ring."""
        record += len(record).to_bytes(_LENGTH, "little")
        length, start = len(record), self._words[_TAIL]
        if length > self.size:
            return False
        self._words[_LIMIT] = start + length
        at = start % self.size
        first = self.size - at
        if length <= first:
            self._data[at : at + length] = record
        else:
            self._data[at:] = record[:first]
            self._data[: length - first] = record[first:]
        self._words[_TAIL] = start + length
        return True

    def records(self) -> list[bytes]:
        """Return what there is, see `read`."""
        return read(bytes(self._view))

    def close(self) -> None:
        """Release the memory; the manager's file stays."""
        for view in (self._words, self._data, self._view):
            view.release()
        self._memory.close()


def read(memory: bytes) -> list[bytes]:
    """Return the records that are complete, oldest first. Pure."""
    words, data = memoryview(memory)[:HEADER].cast("Q"), memory[HEADER:]
    if words[0] != _MAGIC or not data:
        return []
    size, end = len(data), words[_TAIL]
    begin = max(0, max(end, words[_LIMIT]) - size)
    at = end % size
    data = data[at:] + data[:at]  # the last `size` bytes before the tail, in order
    base = end - size
    found = []
    while end - begin >= _LENGTH:
        body_end = end - _LENGTH
        length = int.from_bytes(data[body_end - base : end - base], "little")
        start = body_end - length
        if start < begin:
            break
        found.append(data[start - base : body_end - base])
        end = start
    found.reverse()
    return found
