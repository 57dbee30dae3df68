"""Checks whether a Pyro object's daemon answers, as a client would see it, without Pyro5.

A handshake, then a PING, which a daemon answers without reading its content. Pyro5's wire
protocol, version 502 (`Pyro5/protocol.py`): a header of 40 bytes, annotations, data. Data is sent
as JSON, which every Pyro5 daemon accepts.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import struct
import zlib
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

HEADER = struct.Struct("!4sHBBHHII16sHH")
"""Tag, version, message type, serializer, flags, sequence number, length of the data, length of the
annotations, correlation id, reserved, magic."""
TAG, VERSION, MAGIC = b"PYRO", 502, 0x4DC5
CONNECT, CONNECTOK, CONNECTFAIL, INVOKE, RESULT, PING = range(1, 7)
JSON = 3
EXCEPTION = 1
"""The flag of a result that is an exception."""
COMPRESSED = 2
"""The flag of data that zlib has compressed."""
LARGEST_ANSWER = 1 << 20
NAME_SERVER = "Pyro.NameServer"


class Place(NamedTuple):
    """Where an object is."""

    object_id: str
    host: str
    port: int
    path: str | None = None
    """The path of a Unix socket, instead of host and port."""


class _Answer(NamedTuple):
    kind: int
    serializer: int
    flags: int
    data: bytes


def place_of(uri: str) -> Place:
    """Parse `PYRO:OBJECT@HOST:PORT` or `PYRO:OBJECT@./u:PATH`; raise ValueError."""
    object_id, _, location = uri.removeprefix("PYRO:").rpartition("@")
    if location.startswith("./u:"):
        return Place(object_id, "", 0, location.removeprefix("./u:"))
    host, _, port = location.rpartition(":")
    return Place(object_id, host.strip("[]"), int(port))


async def ping(place: Place, max_wait: float, tls: ssl.SSLContext | None = None) -> bool:
    """Return whether the daemon there answers within `max_wait` seconds.

    A refusal is an answer too: the daemon is alive, although it has no free thread or no such
    object, or requires an identification or a certificate that we don't have.
    """
    trusted = True
    try:
        async with asyncio.timeout(max_wait), _connection(place, tls) as connection:
            # Over TLS only the answer shows whether our certificate is accepted.
            trusted = tls is None
            greeting = {"handshake": "hello", "object": place.object_id}
            if (await _exchange(*connection, CONNECT, greeting)).kind == CONNECTOK:
                await _exchange(*connection, PING, "ping")
            return True
    except ssl.SSLError:
        return True
    except (ConnectionError, EOFError):
        return not trusted
    except (OSError, ValueError):
        return False


async def probe(place: Place, max_wait: float) -> str:
    """Return what a call of the object would meet.

    That is `answers`, `unknown` (no such object there), `refused`, `closed` or `silent`.
    """
    try:
        async with asyncio.timeout(max_wait), _connection(place, None) as connection:
            greeting = {"handshake": "hello", "object": place.object_id}
            answer = await _exchange(*connection, CONNECT, greeting)
    except TimeoutError:
        return "silent"
    except (EOFError, ValueError, ConnectionResetError, BrokenPipeError):
        return "refused"
    except OSError:
        return "closed"
    if answer.kind == CONNECTOK:
        return "answers"
    return "unknown" if b"unknown object" in answer.data else "refused"


async def call(
    place: Place,
    method: str,
    max_wait: float,
    *arguments: object,
    tls: ssl.SSLContext | None = None,
) -> Any:
    """Return what a method of an object returns; raise CallFailed.

    As a client that speaks JSON: what JSON can't carry is an error.
    """
    request = {
        "object": place.object_id, "method": method, "params": list(arguments), "kwargs": {},
    }  # fmt: skip
    greeting = {"handshake": "hello", "object": place.object_id}
    try:
        async with asyncio.timeout(max_wait), _connection(place, tls) as connection:
            answer = await _exchange(*connection, CONNECT, greeting)
            if answer.kind != CONNECTOK:
                raise CallFailed("was refused: the daemon accepts no connection")
            answer = await _exchange(*connection, INVOKE, request)
        found = json.loads(_plain(answer))
    except TimeoutError:
        raise CallFailed(f"did not answer within {max_wait:g} s") from None
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise CallFailed(f"failed: {error}") from None
    if answer.flags & EXCEPTION:
        raise CallFailed(_raised(found))
    return found


class CallFailed(Exception):
    """A method that has not returned a value; the message is about it."""


def _plain(answer: _Answer) -> bytes:
    if answer.serializer != JSON:
        raise ValueError("the answer is not JSON")
    if not answer.flags & COMPRESSED:
        return answer.data
    return zlib.decompressobj().decompress(answer.data, LARGEST_ANSWER)


def _raised(found: Any) -> str:
    """Describe an exception of Pyro5's JSON serializer."""
    if not isinstance(found, dict):
        return "raised an exception"
    kind = str(found.get("__class__", "")).rpartition(".")[2] or "an exception"
    args = found.get("args")
    said = f": {args[0]}" if isinstance(args, list) and args else ""
    return f"raised {kind}{said}"


async def look_up(name: str, host: str, port: int, max_wait: float) -> Place | None:
    """Ask a name server where an object is; return None without an answer."""
    try:
        return _place_in(await call(Place(NAME_SERVER, host, port), "lookup", max_wait, name))
    except (CallFailed, ValueError, LookupError, TypeError):
        return None


def _place_in(found: Any) -> Place:
    """Parse a URI of Pyro5's JSON serializer: protocol, object, socket, host, port."""
    _, object_id, path, host, port = found["state"]
    return Place(str(object_id), str(host or ""), int(port or 0), path)


@contextlib.asynccontextmanager
async def _connection(
    place: Place, tls: ssl.SSLContext | None
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    if place.path is not None:
        reader, writer = await asyncio.open_unix_connection(place.path)
    else:
        reader, writer = await asyncio.open_connection(place.host, place.port, ssl=tls)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()  # a hanging TLS daemon would never let us close in order


async def _exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, kind: int, message: object
) -> _Answer:
    """Send a message and return the answer; raise OSError, EOFError or ValueError."""
    data = json.dumps(message).encode()
    header = (TAG, VERSION, kind, JSON, 0, 0, len(data), 0, bytes(16), 0, MAGIC)
    writer.write(HEADER.pack(*header) + data)
    await writer.drain()
    tag, version, answer, serializer, flags, _, size, more, _, _, magic = HEADER.unpack(
        await reader.readexactly(HEADER.size)
    )
    if (tag, version, magic) != (TAG, VERSION, MAGIC) or size + more > LARGEST_ANSWER:
        raise ValueError("the answer is not in Pyro's protocol")
    await reader.readexactly(more)
    return _Answer(answer, serializer, flags, await reader.readexactly(size))
