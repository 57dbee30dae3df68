"""What the daemons of Pyro5 in this process decode of their clients' messages, and what not.

Pyro5 decodes whatever arrives, before it knows the client: a few bytes of marshal take seconds, a
megabyte of zlib takes gigabytes, and so does a megabyte of serpent. Its proxies go on as they are,
except that no answer may inflate beyond MAX_MESSAGE_SIZE, either.
"""

from __future__ import annotations

import contextlib
import zlib
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

from Pyro5 import config, protocol, serializers, server
from Pyro5.errors import ProtocolError, SerializeError

from pyro_wire.framing import COMPRESSED, HEADER_SIZE, MARSHAL, SERPENT, inflate
from pyro_wire.serpent_size import more_marks

if TYPE_CHECKING:
    from collections.abc import Iterator

HANDSHAKE_SIZE: Final = 64 << 10
"""Bytes that a client may send before it is accepted."""
HANDSHAKE_MARKS: Final = 1000
_FEW: Final = 20_000
_BYTES_FOR_A_MARK: Final = 80


def limit_daemons() -> None:
    """Limit the daemons of this process, and inflating in all of it; call it once.

    They accept marshal only while it is Pyro5's configured SERIALIZER.
    """
    bounded = {
        **serializers.serializers_by_id,
        MARSHAL: _MaybeMarshal(serializers.serializers_by_id[MARSHAL]),
        SERPENT: _BoundedSerpent(serializers.serializers_by_id[SERPENT]),
    }
    server.serializers = SimpleNamespace(**{**vars(serializers), "serializers_by_id": bounded})
    protocol.zlib = SimpleNamespace(compress=zlib.compress, decompress=_decompress)
    decode_blob = server.Daemon._Daemon__deserializeBlobArgs  # noqa: SLF001 - it unmarshals

    def maybe_decode_blob(daemon: Any, message: Any) -> Any:
        _check_marshal()
        return decode_blob(daemon, message)

    server.Daemon._Daemon__deserializeBlobArgs = maybe_decode_blob  # noqa: SLF001 - the same


@contextlib.contextmanager
def limited_handshake(
    conn: Any, most: int = HANDSHAKE_SIZE, *, simple: bool = False
) -> Iterator[None]:
    """Receive no more than a handshake needs, over a connection of Pyro5's, meanwhile.

    A `simple` one is neither compressed nor in marshal, which protects a process whose daemons as a
    whole are not limited.
    """
    receive = conn.recv
    header = bytearray()

    def receive_little(size: int) -> bytes:
        if size > most:
            raise ProtocolError(f"the handshake has more than {most} bytes")
        data: bytes = receive(size)
        if simple and len(header) < HEADER_SIZE:
            header.extend(data)
            _check_simple(header)
        return data

    conn.recv = receive_little
    try:
        yield
    finally:
        del conn.recv


def _check_simple(header: bytes | bytearray) -> None:
    """Check the beginning of a message, as much of it as has arrived."""
    if len(header) >= HEADER_SIZE:
        serializer, flags = header[7], int.from_bytes(header[8:10], "big")
        if serializer == MARSHAL or flags & COMPRESSED:
            raise ProtocolError("a handshake is neither compressed nor in marshal here")


class _Bounded:
    """A serializer of Pyro5's, but for what it does to the data of clients."""

    def __init__(self, serializer: Any) -> None:
        self._serializer = serializer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._serializer, name)


class _MaybeMarshal(_Bounded):
    def loads(self, data: bytes) -> Any:
        """Decode a handshake, or refuse it."""
        _check_marshal()
        return self._serializer.loads(data)

    def loadsCall(self, data: bytes) -> Any:  # noqa: N802 - Pyro5's name
        """Decode a call, or refuse it."""
        _check_marshal()
        return self._serializer.loadsCall(data)


class _BoundedSerpent(_Bounded):
    def loads(self, data: bytes) -> Any:
        """Decode a handshake."""
        _check(data, HANDSHAKE_MARKS)
        return self._serializer.loads(data)

    def loadsCall(self, data: bytes) -> Any:  # noqa: N802 - Pyro5's name
        """Decode a call."""
        _check(data, max(_FEW, config.MAX_MESSAGE_SIZE // _BYTES_FOR_A_MARK))
        return self._serializer.loadsCall(data)


def _check(data: bytes, limit: int) -> None:
    if more_marks(data, limit):
        raise SerializeError(
            f"the message has too many values for the serializer serpent, with more than {limit} "
            "marks of punctuation between them; use msgpack or json"
        )


def _check_marshal() -> None:
    if config.SERIALIZER != "marshal":
        raise SerializeError(
            "marshal is not accepted from clients; use the serializer serpent, json or msgpack"
        )


def _decompress(data: bytes) -> bytes:
    limit = config.MAX_MESSAGE_SIZE
    inflated = inflate(bytes(data), limit)
    if inflated is None:
        raise ProtocolError(f"the message inflates beyond the limit of {limit} bytes")
    return inflated
