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


async def call(place: Place, method: str, arguments: list[object], max_wait: float) -> Any:
    """Return what a method of a Pyro object returns, in JSON; None without a result."""
    name = place.object_id
    request = {"object": name, "method": method, "params": arguments, "kwargs": {}}
    try:
        async with asyncio.timeout(max_wait), _connection(place, None) as connection:
            await _exchange(*connection, CONNECT, {"handshake": "hello", "object": name})
            answer = await _exchange(*connection, INVOKE, request)
        if answer.flags & EXCEPTION or answer.serializer != JSON:
            return None
        return json.loads(answer.data)
    except (OSError, EOFError, ValueError):
        return None


async def look_up(name: str, host: str, port: int, max_wait: float) -> Place | None:
    """Ask a name server where an object is; return None without an answer."""
    found = await call(Place(NAME_SERVER, host, port), "lookup", [name], max_wait)
    try:
        return None if found is None else _place_in(found)
    except (ValueError, LookupError, TypeError):
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
