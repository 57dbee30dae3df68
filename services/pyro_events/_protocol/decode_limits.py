"""Messages that would take far more memory and time to decode than their size suggests.

Serpent's text is parsed as Python, at about a kilobyte of memory and two microseconds for every
value: 16 MB can take 7 GB and most of a minute (seen on Python 3.11, serpent 1.43). msgpack and
json are quick but for lists and dicts, of which every byte may be one: 16 MB of them take 5 s.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import msgpack

from pyro_events._protocol.byte_checks import check_lengths
from pyro_wire import framing
from pyro_wire.serpent_size import more_marks

if TYPE_CHECKING:
    from collections.abc import Generator

FEW: Final = 20_000
"""Marks of punctuation that are always allowed: about 20 MB."""
_HARMLESS: Final = framing.SMALL
"""Bytes that are harmless: as many lists, each announced to be as long, take less than 3 MB."""
_HANDSHAKE: Final = 4 << 10
"""Bytes of a handshake that isn't msgpack; stock clients send about a hundred."""
_BYTES_FOR_A_MARK: Final = 80
_BYTES_FOR_A_CONTAINER: Final = 128
_NO_CONTAINERS: Final = bytes({*range(256)} - {*range(0x80, 0xA0), *range(0xDC, 0xE0)})
"""The bytes that begin neither a list nor a dict in msgpack."""
_JSON_TEXTS: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)', re.DOTALL)


class LimitReached(ValueError):
    """A client wants more than a setting allows; `limit` names it, the text is for the client."""

    def __init__(self, limit: str, text: str) -> None:
        super().__init__(text)
        self.limit = limit


def check_handshake(serializer: int, data: bytes) -> None:
    """Raise LimitReached for a handshake that a client may not send before it is accepted."""
    if len(data) <= _HARMLESS:
        return
    if serializer == framing.MSGPACK:
        check_msgpack(data, _HARMLESS)
    elif len(data) > _HANDSHAKE or more_marks(data, _HARMLESS):
        raise LimitReached("handshake_size", "the handshake is too large; use msgpack")


def check_request(serializer: int, data: bytes, max_message_size: int) -> None:
    """Raise LimitReached if decoding the request would cost far more than its size suggests."""
    if len(data) <= _HARMLESS:
        return
    containers = max(FEW, max_message_size // _BYTES_FOR_A_CONTAINER)
    if serializer == framing.SERPENT:
        check_serpent(data, max_message_size)
    elif serializer == framing.MSGPACK:
        check_msgpack(data, containers)
    elif serializer == framing.JSON:
        check_json(data, containers)


def check_serpent(data: bytes, max_message_size: int) -> None:
    """Raise LimitReached if the text has more values than a message of that size may have.

    They are counted by the marks between them; what is inside strings costs next to nothing.
    """
    limit = max(FEW, max_message_size // _BYTES_FOR_A_MARK)
    if more_marks(data, limit):
        raise LimitReached(
            "max_message_size",
            f"the message has too many values for the serializer serpent, with more than {limit} "
            "marks of punctuation between them; use msgpack or json (max_message_size)",
        )


def check_msgpack(data: bytes, limit: int) -> None:
    """Raise LimitReached if there are more than `limit` lists and dicts in the data.

    Data that are not exactly one value of msgpack may raise whatever msgpack raises.
    """
    check_lengths(data)
    if len(data) <= limit or len(data.translate(None, _NO_CONTAINERS)) <= limit:
        return
    forget = _forgotten(limit).send  # half as dear as a function, and so is the refusal
    forget(None)
    msgpack.unpackb(
        data,
        raw=True,
        strict_map_key=False,
        list_hook=forget,
        object_pairs_hook=forget,
        ext_hook=lambda _code, _data: None,
    )


def _forgotten(limit: int) -> Generator[None, object]:
    """Take containers, after a first None, and raise LimitReached for one after `limit`."""
    for _ in range(limit + 1):
        yield
    raise _too_many_containers(limit)


def check_json(data: bytes, limit: int) -> None:
    """Raise LimitReached if there are more than `limit` lists and dicts in the text."""
    if len(data) <= limit or _brackets(data) <= limit:
        return
    if _brackets(_JSON_TEXTS.sub(b"", data)) > limit:
        raise _too_many_containers(limit)


def _too_many_containers(limit: int) -> LimitReached:
    return LimitReached(
        "max_message_size",
        f"the message has more than {limit} lists and dicts in it; publish it in parts, or as "
        "bytes (max_message_size)",
    )


def _brackets(data: bytes) -> int:
    return data.count(b"[") + data.count(b"{")
