"""Checks of a message's bytes, for what msgpack would decode and nobody should get."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

import msgpack

if TYPE_CHECKING:
    from collections.abc import Iterable

LIST16, LIST32 = 0xDC, 0xDD
_TIME32, _TIME64, _TIME96 = b"\xd6\xff", b"\xd7\xff", b"\xc7\x0c\xff"
"""How msgpack's timestamps of 32, 64 and 96 bits begin."""


def check_lengths(data: bytes) -> None:
    """Raise an exception for a message with fewer items than its lists claim.

    msgpack allocates a list of the claimed length before it has read the items, gigabytes for a few
    kilobytes of bytes. Skipping allocates nothing.
    """
    if LIST16 in data or LIST32 in data:
        walker = msgpack.Unpacker(max_buffer_size=len(data))
        walker.feed(data)
        walker.skip()


def check_timestamps(data: bytes) -> None:
    """Raise ValueError for msgpack's own timestamps, which no extension hook sees.

    The messages that only look as if there was one, such as bytes, are read once more for it.
    """
    if _TIME32 not in data and _TIME64 not in data and _TIME96 not in data:
        return

    def check(items: Iterable[Any]) -> None:
        if msgpack.Timestamp in map(type, items):
            raise ValueError("not a message: extension type -1")

    def ignore(_code: int, _data: bytes) -> None:
        """Leave extension types to the decoder proper."""

    unpacker = msgpack.Unpacker(
        strict_map_key=False,
        max_buffer_size=len(data),
        ext_hook=ignore,
        list_hook=check,
        object_pairs_hook=lambda pairs: check(chain.from_iterable(pairs)),
    )
    unpacker.feed(data)
    check(unpacker)
