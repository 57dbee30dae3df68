"""Reading of messages without tags: one, or many together.

Each has a fence behind it, so that half a message, or two in one, are noticed: they move the
fences, and their secret number can't be forged.
"""

from __future__ import annotations

import contextlib
from secrets import randbits
from typing import TYPE_CHECKING, Any

import msgpack

from pyro_events._protocol.byte_checks import LIST32, check_lengths, check_timestamps

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyro_events._protocol.quick import Quick

_LIST_OF_TWO = b"\x92"
_LIST32_START = bytes((LIST32,))
_FENCE_NUMBER = 1 << 63 | randbits(63)
_FENCE = msgpack.packb(_FENCE_NUMBER)


def read(quick: Quick | None, data: bytes) -> Any:
    """Return the message of these bytes; raises an exception for any others."""
    check_lengths(data)
    if quick is not None:
        try:
            message, fence = quick.read(b"".join((_LIST_OF_TWO, data, _FENCE)))
            if fence == _FENCE_NUMBER:
                return message
        except ValueError:  # msgpack reads what is left to it, or says why not
            pass
    return _read(data)


def read_all(quick: Quick | None, bodies: Sequence[bytes]) -> list[Any]:
    """Return the messages of many bodies; raises an exception if any of them isn't one."""
    if not bodies:
        return []
    found = _read_list(quick, 2 * len(bodies) + 1, _FENCE + _FENCE.join(bodies))
    if found[::2].count(_FENCE_NUMBER) != len(bodies) + 1:
        raise ValueError("not a message in each")
    return found[1::2]


def read_run(quick: Quick | None, body: bytes, count: int) -> list[Any]:
    """Return the messages of a run; raises an exception if there are not exactly as many."""
    found = _read_list(quick, count + 1, body)
    if found.pop() != _FENCE_NUMBER:
        raise ValueError("not as many messages")
    return found


def _read_list(quick: Quick | None, count: int, data: bytes) -> list[Any]:
    """Read `count` values, the last of which is the fence behind these bytes."""
    data = b"".join((_LIST32_START, count.to_bytes(4, "big"), data, _FENCE))
    check_lengths(data)
    found: list[Any]
    if quick is not None:
        with contextlib.suppress(ValueError):
            found = quick.read(data)
            return found
    found = _read(data)
    return found


def _read(data: bytes) -> Any:
    check_timestamps(data)
    return msgpack.unpackb(data, strict_map_key=False, ext_hook=_refuse_extension)


def _refuse_extension(code: int, _data: bytes) -> object:
    raise ValueError(f"not a message: extension type {code}")
