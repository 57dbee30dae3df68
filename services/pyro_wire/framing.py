"""Pyro5's wire protocol 502 without any I/O: bytes to frames, and frames to bytes.

A frame is a header of 40 bytes, big endian, then annotations, then data (Pyro5/protocol.py,
module docstring): the letters PYRO, version, type, serializer, flags, sequence number, length of
the data, length of the annotations, correlation id, a reserved field and a magic number.
Annotations and correlation id carry data of Pyro5's users; we only skip them.
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, Final, NamedTuple

from Pyro5 import errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CONNECT: Final = 1
CONNECTOK: Final = 2
CONNECTFAIL: Final = 3
INVOKE: Final = 4
RESULT: Final = 5
PING: Final = 6

EXCEPTION: Final = 1
COMPRESSED: Final = 2
ONEWAY: Final = 4
BATCH: Final = 8
ITEMSTREAMRESULT: Final = 16
KEEPSERIALIZED: Final = 32
CORR_ID: Final = 64

SERPENT: Final = 1
MARSHAL: Final = 2
JSON: Final = 3
MSGPACK: Final = 4

PROTOCOL_VERSION: Final = 502
HEADER_SIZE: Final = 40
SMALL: Final = 1000
"""Bytes of a frame that costs little to decode, whatever is in it, unless it is compressed."""

SLICE: Final = 512 << 10
"""Bytes that are inflated at once, and of which: less than a millisecond."""

_HEADER: Final = struct.Struct("!4sHBBHHII16sHH")
_TAG: Final = b"PYRO"
_START: Final = _TAG + PROTOCOL_VERSION.to_bytes(2, "big")
_MAGIC: Final = 0x4DC5
_WORDS: Final = (_TAG, PROTOCOL_VERSION, _MAGIC)
_new: Final = tuple.__new__
"""Makes a named tuple as its class does, without another call."""
_NO_CORRELATION: Final = bytes(16)


class ProtocolError(errors.ProtocolError):  # type: ignore[misc] # Pyro5 ships no types
    """The peer doesn't speak Pyro5's protocol 502, or announced more than it may send."""


class ForeignProtocol(ProtocolError):
    """The first bytes of a stream are not Pyro's; `received` is all that has arrived."""

    received = b""


class FrameTooLarge(ProtocolError):
    """A frame is larger than allowed; the reader discards it as it arrives and stays usable.

    `frame` is the announced frame without its data.
    """

    def __init__(self, frame: Frame, text: str) -> None:
        super().__init__(text)
        self.frame = frame


class Frame(NamedTuple):
    """One message. `annotations` are the raw chunks, `data` is never compressed."""

    type: int
    serializer: int
    flags: int
    seq: int
    annotations: bytes
    data: bytes


def encode_header(
    type: int,  # noqa: A002 - the protocol's own word
    serializer: int,
    flags: int,
    seq: int,
    data_size: int,
    annotations_size: int = 0,
) -> bytes:
    """Encode the header alone, for data that is sent from a shared buffer."""
    return _HEADER.pack(
        _TAG,
        PROTOCOL_VERSION,
        type,
        serializer,
        flags,
        seq,
        data_size,
        annotations_size,
        _NO_CORRELATION,
        0,
        _MAGIC,
    )


def encode_frame(
    type: int,  # noqa: A002 - the protocol's own word
    serializer: int,
    flags: int,
    seq: int,
    data: bytes,
    annotations: bytes = b"",
) -> bytes:
    """Encode one frame; `data` is sent as it is, so `flags` must not have COMPRESSED."""
    header = encode_header(type, serializer, flags, seq, len(data), len(annotations))
    return header + annotations + data


class FrameReader:
    """Cuts a stream of bytes into frames. Belongs to one thread.

    `max_size` bounds annotations and data together, both as announced (checked before they
    arrive) and as inflated; it may be changed at any time. A caller that feeds only when
    `next_frame` returned None never holds more than one frame and one feed in memory. After any
    ProtocolError but FrameTooLarge the stream is unusable: each further call raises the same error.
    """

    __slots__ = (
        "_broken", "_buffer", "_inflation", "_skip", "_start", "admit", "max_size", "rest",
    )  # fmt: skip

    def __init__(self, max_size: int) -> None:
        self.max_size = max_size
        self.admit: Callable[[], bool] | None = None
        """Asked before a frame that is compressed or larger than SMALL is inflated and returned; if
        it answers False, the frame stays for another call of `next_frame`."""
        self.rest: Callable[[], None] | None = None
        """If set, inflating takes several calls of `next_frame`, at least one for each SLICE; this
        is called when one of them returns None before the frame is `inflating` no more."""
        self._inflation: Inflation | None = None
        self._buffer: bytes | bytearray = b""
        self._start = 0
        self._skip = 0
        self._broken: str | None = None

    def feed(self, data: bytes | bytearray | memoryview) -> None:
        """Add bytes from the network."""
        if self._skip:
            skipped = min(self._skip, len(data))
            self._skip -= skipped
            data = memoryview(data)[skipped:]
        if self._start == len(self._buffer):
            self._buffer = bytes(data)  # mostly whole frames: bytes need no copy
        elif isinstance(self._buffer, bytearray):
            del self._buffer[: self._start]
            self._buffer += data
        else:
            self._buffer = bytearray().join((memoryview(self._buffer)[self._start :], data))
        self._start = 0

    def next_frame(self) -> Frame | None:
        """Return the next complete frame, or None when more bytes are needed.

        Raises ProtocolError with the reason as soon as the bytes can't become a frame.
        """
        if self._broken:
            raise ProtocolError(self._broken)
        if self._start == len(self._buffer):
            return None
        try:
            return self._parse()
        except FrameTooLarge:
            raise
        except ProtocolError as error:
            self._broken, self._inflation = str(error), None
            if isinstance(error, ForeignProtocol):
                error.received = self.leftover()
            self._buffer, self._start = b"", 0
            raise

    def lone_frame(self, data: bytes) -> Frame | None:
        """Return the one frame that these bytes from the network are, if nothing else is here.

        None if they are anything but a whole, small and plain frame: then they have to be fed.
        """
        if self._start != len(self._buffer) or self._skip or self._broken:
            return None
        if not HEADER_SIZE <= len(data) <= HEADER_SIZE + SMALL:
            return None
        tag, version, kind, serializer, flags, seq, data_size, annotations_size, _, _, magic = (
            _HEADER.unpack_from(data)
        )
        if (
            len(data) != HEADER_SIZE + data_size
            or annotations_size
            or flags & COMPRESSED
            or data_size > self.max_size
            or (tag, version, magic) != _WORDS
        ):
            return None
        return _new(Frame, (kind, serializer, flags, seq, b"", data[HEADER_SIZE:]))

    def __iter__(self) -> Iterator[Frame]:
        """Yield the complete frames."""
        while (frame := self.next_frame()) is not None:
            yield frame

    def leftover(self) -> bytes:
        """Return the bytes after the last frame that was returned."""
        return bytes(self._buffer[self._start :])

    @property
    def inflating(self) -> bool:
        """Whether a frame is here already, and is inflated by further calls of `next_frame`."""
        return self._inflation is not None

    @property
    def skipping(self) -> int:
        """How many of the bytes still to come will be discarded."""
        return self._skip

    def restore(self, leftover: bytes, skipping: int) -> None:
        """Continue where another reader stopped, with its `leftover` and `skipping`."""
        self.feed(leftover)
        self._skip = skipping

    def _parse(self) -> Frame | None:
        buffer, start = self._buffer, self._start
        available = len(buffer) - start
        if available < HEADER_SIZE:
            self._check_start(bytes(buffer[start : start + len(_START)]))
            return None
        tag, version, kind, serializer, flags, seq, data_size, annotations_size, _, _, magic = (
            _HEADER.unpack_from(buffer, start)
        )
        if tag != _TAG or version != PROTOCOL_VERSION or magic != _MAGIC:
            self._check_start(tag + version.to_bytes(2, "big"))
            raise ProtocolError("the header's magic number is wrong")
        size = data_size + annotations_size
        if size > self.max_size:
            self._start = min(start + HEADER_SIZE + size, len(buffer))
            self._skip = size - (self._start - start - HEADER_SIZE)
            raise FrameTooLarge(
                Frame(kind, serializer, flags, seq, b"", b""),
                f"message of {size} bytes, the limit is {self.max_size}",
            )
        if available < HEADER_SIZE + size:
            return None
        if (size > SMALL or flags & COMPRESSED) and self.admit is not None and not self.admit():
            return None
        middle = start + HEADER_SIZE + annotations_size
        end = middle + data_size
        limit = self.max_size - annotations_size
        if flags & COMPRESSED and not self._inflate(memoryview(buffer)[middle:end], limit):
            return None
        annotations = bytes(buffer[start + HEADER_SIZE : middle]) if annotations_size else b""
        data = bytes(memoryview(buffer)[middle:end])
        if end == len(buffer):
            self._buffer, self._start = b"", 0
        else:
            self._start = end
        if flags & COMPRESSED:
            flags &= ~COMPRESSED
            data = self._inflated(Frame(kind, serializer, flags, seq, b"", b""))
        return Frame(kind, serializer, flags, seq, annotations, data)

    def _inflated(self, frame: Frame) -> bytes:
        """Return the data that were inflated; raises FrameTooLarge."""
        assert self._inflation is not None
        data, self._inflation = self._inflation.data, None
        if data is None:
            raise FrameTooLarge(
                frame, f"message that inflates beyond the limit of {self.max_size} bytes"
            )
        return data

    def _inflate(self, data: memoryview, limit: int) -> bool:
        """Inflate the data, or a slice of them; return whether that is done."""
        if self._inflation is None:
            self._inflation = Inflation(bytes(data), limit)
        while not self._inflation.step():
            if self.rest is not None:
                self.rest()
                return False
        return True

    @staticmethod
    def _check_start(start: bytes) -> None:
        if not _START.startswith(start[: len(_START)]):
            if start[: len(_TAG)] == _TAG:
                raise ProtocolError(f"not version {PROTOCOL_VERSION} of Pyro's protocol")
            raise ForeignProtocol("this is not Pyro's protocol")


def inflate(data: bytes, limit: int) -> bytes | None:
    """Return the data inflated, or None if they exceed `limit` bytes; raises ProtocolError."""
    inflation = Inflation(data, limit)
    while not inflation.step():
        pass
    return inflation.data


class Inflation:
    """Inflates data of one frame in slices, each of which takes a millisecond or so."""

    def __init__(self, data: bytes, limit: int) -> None:
        self.data: bytes | None = None
        """What was inflated, None if that is more than the limit; when `step` has returned True."""
        self._input = memoryview(data)
        self._limit = limit
        self._stream = zlib.decompressobj()
        self._parts: list[bytes] = []
        self._size = 0

    def step(self) -> bool:
        """Inflate the next slice; return whether it was the last one. Raises ProtocolError."""
        stream = self._stream
        waiting: bytes | memoryview = stream.unconsumed_tail
        if not waiting:
            waiting, self._input = self._input[:SLICE], self._input[SLICE:]
        most = min(SLICE, self._limit + 1 - self._size)
        try:
            part = stream.decompress(waiting, most)
        except zlib.error as error:
            raise ProtocolError(f"damaged compressed data: {error}") from None
        self._parts.append(part)
        self._size += len(part)
        if self._size > self._limit:
            return True
        if stream.eof:
            self.data = b"".join(self._parts)
            return True
        if not self._input and not stream.unconsumed_tail and len(part) < most:
            raise ProtocolError("damaged compressed data: it ends too early")
        return False
