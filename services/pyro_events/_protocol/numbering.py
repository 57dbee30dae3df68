"""The numbers of the events in a call to a helper's daemon, in an annotation of the call. Pure.

When a connection breaks between a call and its answer, the event service calls again. By the
numbers the helper recognizes what it has received before. The helper's daemon puts the same
annotation, empty, into its answers; other daemons get calls without numbers.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

ANNOTATION: Final = "PYEN"
_ID: Final = ANNOTATION.encode()
_CHUNK: Final = struct.Struct("!4sI")
"""How Pyro5 begins an annotation (Pyro5/protocol.py, add_payload)."""
_VALUES: Final = struct.Struct("!8sQII")

SERIES_SIZE: Final = 8


class Numbers(NamedTuple):
    """The numbers of the events in one call."""

    series: bytes
    """Which sequence of numbers it is; a new one begins at 1."""
    first: int
    events: int
    size: int
    """Bytes of all of them together."""

    def encode(self) -> bytes:
        """Return the annotation as it is in a frame."""
        return _CHUNK.pack(_ID, _VALUES.size) + _VALUES.pack(*self)

    @classmethod
    def decode(cls, value: bytes | memoryview) -> Numbers:
        """Return the numbers in the annotation's value; raises struct.error if it has none."""
        return cls(*_VALUES.unpack(value))


def is_numbered(annotations: bytes) -> bool:
    """Return whether the annotations of a frame have ours."""
    at = 0
    while at + _CHUNK.size <= len(annotations):
        name, size = _CHUNK.unpack_from(annotations, at)
        if name == _ID:
            return True
        at += _CHUNK.size + size
    return False
