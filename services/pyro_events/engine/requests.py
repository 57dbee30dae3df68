"""What a callback subscriber's daemon is asked, as frames."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgpack
import serpent

from pyro_events import wire
from pyro_events.engine.encoder import prefix

if TYPE_CHECKING:
    from pyro_events.engine.encoder import Group


def greeting(object_id: str, *, packed: bool) -> bytes:
    """Give the CONNECT frame for that object, in msgpack if `packed`, else in serpent."""
    number, data = _encode({"handshake": "hello", "object": object_id}, packed)
    return wire.encode_frame(wire.CONNECT, number, 0, 0, data)


def notice(object_id: str, content: dict[str, object], seq: int, *, packed: bool) -> bytes:
    """Give the call of `es_notice`."""
    number, data = _encode((object_id, "es_notice", [content], {}), packed)
    return wire.encode_frame(wire.INVOKE, number, 0, seq, data)


def events(object_id: str, group: Group, seq: int) -> list[bytes]:
    """Give the calls of `event`, numbered from `seq` on, as buffers; `group` has their rest."""
    start = prefix(group.serializer, object_id)
    batch = group.serializer != wire.MARSHAL
    flags = wire.BATCH if batch else 0
    frames: list[bytes] = []
    for part in group.parts:
        size = len(start) + len(part)
        header = wire.encode_header(wire.INVOKE, group.serializer, flags, seq, size)
        frames += (header + start, part)
        seq = (seq + 1) & 0xFFFF
    return frames if batch else [b"".join(frames)]


def _encode(value: Any, packed: bool) -> tuple[int, bytes]:
    if packed:
        return wire.MSGPACK, msgpack.packb(value)
    return wire.SERPENT, serpent.dumps(value)
