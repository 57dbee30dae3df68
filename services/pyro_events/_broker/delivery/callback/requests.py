"""What a callback subscriber's daemon is asked, as frames."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgpack
import serpent

from pyro_events._broker.delivery.encoder import prefix
from pyro_wire import framing

if TYPE_CHECKING:
    from pyro_events._broker.delivery.encoder import Group


def greeting(object_id: str, *, packed: bool) -> bytes:
    """Give the CONNECT frame for that object, in msgpack if `packed`, else in serpent."""
    number, data = _encode({"handshake": "hello", "object": object_id}, packed)
    return framing.encode_frame(framing.CONNECT, number, 0, 0, data)


def notice(object_id: str, content: dict[str, object], seq: int, *, packed: bool) -> bytes:
    """Give the call of `es_notice`."""
    number, data = _encode((object_id, "es_notice", [content], {}), packed)
    return framing.encode_frame(framing.INVOKE, number, 0, seq, data)


def events(object_id: str, group: Group, seq: int) -> list[bytes]:
    """Give the calls of `event`, numbered from `seq` on, as buffers; `group` has their rest."""
    start = prefix(group.serializer, object_id)
    batch = group.serializer != framing.MARSHAL
    flags = framing.BATCH if batch else 0
    frames: list[bytes] = []
    for part in group.parts:
        size = len(start) + len(part)
        header = framing.encode_header(framing.INVOKE, group.serializer, flags, seq, size)
        frames += (header + start, part)
        seq = (seq + 1) & 0xFFFF
    return frames if batch else [b"".join(frames)]


def _encode(value: Any, packed: bool) -> tuple[int, bytes]:
    if packed:
        return framing.MSGPACK, msgpack.packb(value)
    return framing.SERPENT, serpent.dumps(value)
