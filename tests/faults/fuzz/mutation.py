"""Mutates valid messages, fast and by a seed. Pure.

Hypothesis finds and shrinks cases (`tests/events/test_fuzz.py`, `test_fuzz_parsers.py`); this is
for millions of bytes. Most mutants keep a header that fits, so that what is behind it is reached.
"""

from __future__ import annotations

import json
import zlib
from typing import TYPE_CHECKING, Any

import msgpack
from Pyro5.errors import SerializeError
from Pyro5.serializers import serializers_by_id

from pyro_events._protocol.event import EVENTSERVICE_NAME, HELPER_PROTOCOL
from pyro_wire import framing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from random import Random

_EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF)
_WORDS = (b"[" * 500, b'{"a":' * 200, b"\x91" * 500, b"\xdd\xff\xff\xff\xff", b"\x00", b"\n", b"")
_SERIALIZERS = (framing.SERPENT, framing.JSON, framing.MSGPACK)
_CALLS: tuple[tuple[str, list[Any]], ...] = (
    ("publish", ["a", 1]),
    ("publish", [["a", "b"], {"key": [1.5, None, "text"]}]),
    ("subscribe", ["a", "PYRO:x@localhost:9"]),
    ("subscribeMatch", ["a.*", "PYRO:x@localhost:9"]),
    ("unsubscribe", ["a", "PYRO:x@localhost:9"]),
    ("statistics", []),
    ("subscriptions", []),
    ("attach", ["fuzz", ["a"], ["b.*"], {"queue_size": 10, "when_full": "drop-oldest"}]),
    ("stream_subscribe", [["a"], ["b"]]),
    ("stream_unsubscribe", [["a"]]),
    ("publish_batch", ["fuzz", 1, [[["a"], b"\xa5hello", False]] * 3]),
    ("detach", []),
    ("register", ["fuzz", "PYRO:x@localhost:9", False, ["tag"]]),
    ("lookup", ["fuzz", True]),
    ("list", ["f", None, True]),
    ("yplookup", [["tag"], None]),
    ("count", []),
    ("get_metadata", [EVENTSERVICE_NAME]),
)


def mutate(data: bytes, chance: Random) -> bytes:
    """Return the data with a few things wrong."""
    mutant = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 3, 8))):
        at = chance.randrange(len(mutant) + 1)
        match chance.randrange(7):
            case 0 if at < len(mutant):
                mutant[at] ^= 1 << chance.randrange(8)
            case 1 if at < len(mutant):
                mutant[at] = chance.randrange(256)
            case 2:
                del mutant[at : at + chance.choice((1, 2, 4, 40))]
            case 3:
                mutant[at:at] = mutant[: chance.randrange(40)]
            case 4:
                size = chance.choice((1, 2, 4))
                number = chance.choice(_EXTREMES) & ((1 << 8 * size) - 1)
                mutant[at : at + size] = number.to_bytes(size, "big")
            case 5:
                mutant[at:at] = chance.choice(_WORDS)
            case _:
                mutant[at:at] = chance.randbytes(chance.randrange(1, 20))
    return bytes(mutant)


def requests(objects: Sequence[str]) -> list[Callable[[Random], bytes]]:
    """Return makers of mutated frames for a Pyro server with these objects."""
    bodies = [
        (serializer, _encode(serializer, target, method, params))
        for serializer in _SERIALIZERS
        for target in objects
        for method, params in _CALLS
    ]

    def framed(chance: Random) -> bytes:
        """Return a frame whose header fits its mutated data."""
        serializer, body = chance.choice(bodies)
        kind = chance.choice((framing.INVOKE,) * 40 + (framing.CONNECT, framing.RESULT))
        flags = chance.choice((0, 0, 0, framing.ONEWAY, framing.BATCH, framing.KEEPSERIALIZED))
        data = mutate(body, chance)
        if chance.random() < 0.1:
            flags, data = flags | framing.COMPRESSED, mutate(zlib.compress(data), chance)
        notes = b"" if chance.random() < 0.8 else mutate(b"ABCD\0\0\0\4note", chance)
        return framing.encode_frame(kind, serializer, flags, chance.randrange(1 << 16), data, notes)

    def broken(chance: Random) -> bytes:
        """Return a frame in which anything may be wrong."""
        return mutate(framed(chance), chance)

    def small(chance: Random) -> bytes:
        """Return what follows a handshake: an acknowledgement, a ping, a valid call."""
        kind = chance.choice((framing.RESULT, *(framing.PING,) * 20))
        data = chance.choice((chance.randbytes(8), b"pong", b""))
        return framing.encode_frame(kind, framing.MSGPACK, 0, 0, data)

    return [*(framed,) * 20, small, broken]


def connects(objects: Sequence[str]) -> list[bytes]:
    """Return valid handshakes with these objects."""
    greetings: list[Any] = ["hello", {"pyro_events": HELPER_PROTOCOL, "role": "subscriber"}]
    return [
        framing.encode_frame(
            framing.CONNECT, serializer, 0, 0,
            serializers_by_id[serializer].dumps({"handshake": greeting, "object": target}),
        )
        for serializer in _SERIALIZERS
        for target in objects
        for greeting in greetings
    ]  # fmt: skip


def _encode(serializer: int, target: str, method: str, params: list[Any]) -> bytes:
    try:
        return bytes(serializers_by_id[serializer].dumpsCall(target, method, params, {}))
    except SerializeError:  # json knows no bytes
        return bytes(msgpack.packb([target, method, params, {}]))


def lines(messages: Sequence[dict[str, Any]]) -> Callable[[Random], bytes]:
    """Return a maker of lines of JSON, most of them with something wrong inside."""
    encoded = [json.dumps(message).encode() for message in messages]

    def make(chance: Random) -> bytes:
        return mutate(chance.choice(encoded), chance).replace(b"\n", b" ") + b"\n"

    return make
