"""What a callback subscriber's daemon is asked beside events, as frames."""

from __future__ import annotations

from typing import Any

import msgpack
import serpent

from pyro_events import wire


def greeting(object_id: str, *, packed: bool) -> bytes:
    """Give the CONNECT frame for that object, in msgpack if `packed`, else in serpent."""
    number, data = _encode({"handshake": "hello", "object": object_id}, packed)
    return wire.encode_frame(wire.CONNECT, number, 0, 0, data)


def notice(object_id: str, content: dict[str, object], seq: int, *, packed: bool) -> bytes:
    """Give the call of `es_notice`."""
    number, data = _encode((object_id, "es_notice", [content], {}), packed)
    return wire.encode_frame(wire.INVOKE, number, 0, seq, data)


def _encode(value: Any, packed: bool) -> tuple[int, bytes]:
    if packed:
        return wire.MSGPACK, msgpack.packb(value)
    return wire.SERPENT, serpent.dumps(value)
