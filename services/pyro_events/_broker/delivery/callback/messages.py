"""The requests to a subscriber's daemon, as frames, and its replies.

Replies are read without making objects of the daemon's choice: Pyro5 would build the exceptions
that a reply names, and raise them; here they are only counted and described. A reply in marshal is
never decoded at all.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgpack
import serpent

from pyro_events._broker.delivery.encoder import array_header, prefix
from pyro_events._protocol.decode_limits import FEW, check_msgpack, check_serpent
from pyro_events._protocol.numbering import Numbers
from pyro_wire import framing
from pyro_wire.framing import Frame, ProtocolError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyro_events._broker.delivery.encoder import Group

_NILS: Final = b"\xc0" * 1000
_SHOWN: Final = 300
_WRAPPER: Final = "Pyro5.core._ExceptionWrapper"
_NAMED: Final = re.compile(r"[A-Za-z_][\w.]*: .+")
UNSUPPORTED: Final = "unsupported serialized class: "
"""What Pyro5 answers, before it hangs up, and the name (Pyro5/serializers.py, dict_to_class)."""
_UNSUPPORTED_NAME: Final = re.compile(UNSUPPORTED + r"(\S+)")
_NO_TEXT: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


def greeting(object_id: str, key: str | None, *, packed: bool) -> bytes:
    """Return the CONNECT frame for that object, in msgpack if `packed`, else in serpent.

    A helper's daemon wants to hear its `key`.
    """
    number, data = _encode({"handshake": key or "hello", "object": object_id}, packed)
    return framing.encode_frame(framing.CONNECT, number, 0, 0, data)


def notice(object_id: str, content: dict[str, object], seq: int, *, packed: bool) -> bytes:
    """Return the call of `es_notice`."""
    number, data = _encode((object_id, "es_notice", [content], {}), packed)
    return framing.encode_frame(framing.INVOKE, number, 0, seq, data)


def events(
    object_id: str, group: Group, seq: int, series: bytes | None = None, number: int = 0
) -> list[bytes]:
    """Return calls of `event`, counted from `seq` on, as buffers; `group` has the shared rest.

    With a `series` they carry the numbers of their events, from `number` on.
    """
    start = prefix(group.serializer, object_id)
    batch = group.serializer != framing.MARSHAL
    flags = framing.BATCH if batch else 0
    frames: list[bytes] = []
    count = group.events if batch else 1
    for part in group.parts:
        size = len(start) + len(part)
        numbers = b"" if series is None else Numbers(series, number, count, size).encode()
        header = framing.encode_header(
            framing.INVOKE, group.serializer, flags, seq, size, len(numbers)
        )
        frames += (header + numbers + start, part)
        seq = (seq + 1) & 0xFFFF
        number += count
    return frames if batch else [b"".join(frames)]


def _encode(value: Any, packed: bool) -> tuple[int, bytes]:
    if packed:
        return framing.MSGPACK, msgpack.packb(value)
    return framing.SERPENT, serpent.dumps(value)


class BatchOutcome(NamedTuple):
    """How many calls ran without an exception, and the exception that ended the rest, if any."""

    good: int
    error: str | None


def batch_outcome(reply: Frame, sent: int) -> BatchOutcome:
    """Read the reply to a batch of `sent` calls; ProtocolError if it can't be one.

    After an exception the daemon executes nothing more of a batch, and its results end there.
    """
    if reply.flags & framing.EXCEPTION:
        return BatchOutcome(0, describe(reply))
    if reply.serializer == framing.MSGPACK and reply.data == array_header(sent) + _NILS[:sent]:
        return BatchOutcome(sent, None)
    results = load(reply)
    if not isinstance(results, (list, tuple)) or not 0 < len(results) <= sent:
        raise ProtocolError("the subscriber's daemon answers a batch with something else")
    last = results[-1]
    if isinstance(last, dict) and last.get("__class__") == _WRAPPER:
        return BatchOutcome(len(results) - 1, describe_exception(last.get("exception")))
    if len(results) < sent:
        raise ProtocolError("the subscriber's daemon left out a part of a batch")
    return BatchOutcome(sent, None)


def load(frame: Frame) -> Any:
    """Decode to plain values: dicts stay dicts, whatever class they name."""
    try:
        if frame.serializer == framing.MSGPACK:
            check_msgpack(frame.data, FEW)
            return msgpack.unpackb(frame.data, raw=False, strict_map_key=False)
        if frame.serializer == framing.SERPENT:
            check_serpent(frame.data, 0)
            return serpent.loads(frame.data)
    except Exception as error:  # noqa: BLE001 - damaged data make the decoders raise anything
        raise ProtocolError(f"the subscriber's daemon answers nonsense: {error}") from None
    raise ProtocolError("the subscriber's daemon answers in another serializer")


def describe(frame: Frame) -> str:
    """Return the text or the exception that a reply carries, in one line for a log."""
    if frame.serializer in (framing.MSGPACK, framing.SERPENT):
        try:
            return describe_exception(load(frame))
        except ProtocolError as error:
            return str(error)
    texts = list(_marshal_texts(frame.data))
    telling = [found[0] for text in texts if (found := _NAMED.search(text))]
    return _line((telling or texts or [""])[-1])


def unknown_class(error: str) -> str | None:
    """Return the class of which a daemon says that it is not registered there."""
    found = _UNSUPPORTED_NAME.search(error)
    return found[1] if found else None


def _marshal_texts(data: bytes) -> Iterator[str]:
    """Yield the texts in marshalled data, which is not decoded.

    A text is a letter, its size in one byte or four, and its bytes (CPython's marshal.c).
    """
    at = 0
    while at < len(data):
        kind = data[at] & 0x7F
        width = 1 if kind in b"zZ" else 4 if kind in b"aAut" else 0
        start = at + 1 + width
        size = int.from_bytes(data[at + 1 : start], "little") if width else 0
        text = data[start : start + size].decode("utf-8", "replace")
        if size and start + size <= len(data) and not _NO_TEXT.search(text):
            yield text
            at = start + size
        else:
            at += 1


def describe_exception(value: object) -> str:
    """Describe an exception in the form of a dict in which Pyro5 sends it."""
    if isinstance(value, dict):
        name = str(value.get("__class__")).removeprefix("builtins.")
        args = value.get("args")
        text = ", ".join(map(str, args)) if isinstance(args, (list, tuple)) else ""
        return _line(f"{name}: {text}" if text else name)
    return _line(value)


def _line(value: object) -> str:
    return " ".join(str(value).split())[:_SHOWN] or "no text"
