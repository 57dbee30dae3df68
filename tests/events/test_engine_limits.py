"""Strangers, silence and excess: none of them disturbs anybody else."""

from __future__ import annotations

import contextlib
import os
import socket
import time
import zlib
from typing import TYPE_CHECKING

import msgpack
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from Pyro5 import config
from Pyro5.errors import CommunicationError

from pyro_events import codec, wire
from pyro_events.event import EVENTSERVICE_NAME
from tests.events.service_harness import SERIALIZERS, Running, WireClient, proxy
from tests.harness import eventually

if TYPE_CHECKING:
    from tests.events.service_harness import Make


def greeting() -> bytes:
    data = msgpack.packb({"handshake": "hello", "object": EVENTSERVICE_NAME})
    return wire.encode_frame(wire.CONNECT, wire.MSGPACK, 0, 0, data)


def serves(running: Running) -> bool:
    with proxy(running.uri) as es:
        es._pyroTimeout = 3
        return es.statistics()["incarnation"] == running.engine.incarnation


@pytest.mark.parametrize("start", [b"", b"PYRO", greeting()[:30], greeting()[:-1]])
def test_a_silent_connection_is_closed(engine: Make, start: bytes) -> None:
    """Whoever doesn't finish the handshake in time is hung up on; others are served meanwhile."""
    running = engine(handshake_timeout=0.3)
    with socket.create_connection(("127.0.0.1", running.port), 5) as sock:
        sock.sendall(start)
        assert serves(running)
        assert sock.recv(1) == b""
    eventually(lambda: running.statistics()["connections"] == 0)


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        os.urandom(1000),
        wire.encode_frame(wire.INVOKE, 4, 0, 0, b"early"),
        wire.encode_frame(wire.PING, 4, 0, 0, b"early"),
        wire.encode_header(wire.CONNECT, 4, 0, 0, 1 << 30),
        wire.encode_frame(wire.CONNECT, 4, wire.COMPRESSED, 0, b"not compressed"),
    ],
)
def test_garbage_is_hung_up_on(engine: Make, garbage: bytes) -> None:
    """What is no handshake ends the connection at once."""
    running = engine()
    with socket.create_connection(("127.0.0.1", running.port), 5) as sock:
        sock.sendall(garbage)
        with contextlib.suppress(ConnectionResetError):
            assert sock.recv(1) == b""
    assert serves(running)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",
        msgpack.packb(5),
        msgpack.packb({}),
        msgpack.packb({"handshake": 1, "object": 5}),
        msgpack.packb({"handshake": {"__class__": "x.y"}, "object": EVENTSERVICE_NAME}),
        msgpack.packb({"handshake": 1, "object": "nobody"}),
        b"\x91" * 5000,
    ],
)
@pytest.mark.parametrize("serializer", [1, 2, 3, 4, 77])
def test_a_bad_handshake_is_refused_in_words(engine: Make, data: bytes, serializer: int) -> None:
    """A handshake that makes no sense is answered with CONNECTFAIL, then hung up on."""
    running = engine()
    with WireClient(running.port) as client:
        client.send(wire.CONNECT, data, serializer=serializer)
        answer = client.frame()
        assert answer.type == wire.CONNECTFAIL
        assert client.frame() is None
    assert serves(running)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",
        msgpack.packb(5),
        msgpack.packb([EVENTSERVICE_NAME, "publish", 5, {}]),
        msgpack.packb([EVENTSERVICE_NAME, 5, ["a"], {}]),
        msgpack.packb([EVENTSERVICE_NAME, "publish", ["a"], [1]]),
        msgpack.packb([5, "publish", ["a", 1], {}]),
        msgpack.packb([[], "publish", ["a", 1], {}]),
        msgpack.packb([EVENTSERVICE_NAME, "publish", [{"__class__": "builtins.SystemExit"}], {}]),
        b"\x91" * 5000,
    ],
)
@pytest.mark.parametrize("flags", [0, wire.BATCH, wire.ONEWAY, wire.KEEPSERIALIZED])
def test_a_bad_request_is_an_exception(engine: Make, data: bytes, flags: int) -> None:
    """A request that makes no sense is answered with an exception; the connection goes on."""
    running = engine()
    with WireClient(running.port) as client:
        client.greet()
        client.send(wire.INVOKE, data, flags, 9)
        if not flags & wire.ONEWAY:
            answer = client.frame()
            assert (answer.type, answer.seq) == (wire.RESULT, 9)
            assert answer.flags & wire.EXCEPTION
        assert client.call("statistics")["refused"] == 1


def test_a_compressed_bomb(engine: Make) -> None:
    """Data that inflate beyond the limit are refused by a ValueError; the connection goes on."""
    running = engine(max_message_size=100_000)
    with WireClient(running.port) as client:
        client.greet()
        client.send(wire.INVOKE, zlib.compress(b"\0" * 50_000_000), wire.COMPRESSED, 5)
        with pytest.raises(ValueError, match="inflates beyond the limit of 100000 bytes"):
            client.finish(5)
        assert client.call("statistics")["refused"] == 1


def test_damaged_compression_ends_the_connection(engine: Make) -> None:
    """What doesn't inflate is no request; others are served on."""
    running = engine()
    with WireClient(running.port) as client:
        client.greet()
        client.send(wire.INVOKE, zlib.compress(b"abc" * 99)[:-9], wire.COMPRESSED, 5)
        assert client.frame() is None
    assert serves(running)


@pytest.mark.parametrize("serializer", SERIALIZERS)
def test_a_stock_client_may_compress(
    engine: Make, monkeypatch: pytest.MonkeyPatch, serializer: str
) -> None:
    """Pyro5's own COMPRESSION works."""
    monkeypatch.setattr(config, "COMPRESSION", True)
    running = engine()
    with WireClient(running.port) as client, proxy(running.uri, serializer) as es:
        client.greet()
        client.attach("id", ["a"])
        es.publish("a", "x" * 10_000)
        assert codec.unpack(client.events(1)[0][2]) == "x" * 10_000


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.binary(max_size=200), st.booleans(), st.sampled_from([1, 3, 4]))
def test_fuzz(shared_engine: Running, data: bytes, framed: bool, serializer: int) -> None:
    """Whatever a client sends after the handshake, the service serves the next one."""
    with WireClient(shared_engine.port) as client:
        client.greet()
        if framed:
            client.send(wire.INVOKE, data, seq=1, serializer=serializer)
            assert client.frame().flags & wire.EXCEPTION
        else:
            client.sock.sendall(data)
    assert shared_engine.statistics()["published"] == 0


@pytest.fixture
def shared_engine(engine: Make) -> Running:
    return engine()


def test_connections_are_limited(engine: Make) -> None:
    """Beyond the limit a client is told why; when others leave there is room again."""
    running = engine(max_connections=3)
    clients = [WireClient(running.port) for _ in range(3)]
    for client in clients:
        client.greet()
    with proxy(running.uri) as es, pytest.raises(CommunicationError, match="has its 3 conn"):
        es._pyroBind()
    clients.pop().sock.close()

    def room() -> bool:
        try:
            return serves(running)
        except CommunicationError:
            return False

    eventually(room)
    for client in clients:
        client.sock.close()


def test_connections_of_one_peer_are_limited(engine: Make) -> None:
    """One machine can't take all connections."""
    running = engine(max_connections_per_peer=2)
    with WireClient(running.port) as one, WireClient(running.port) as two:
        one.greet()
        two.greet()
        with proxy(running.uri) as es, pytest.raises(CommunicationError, match=r"127\.0\.0\.1"):
            es._pyroBind()


def test_a_client_that_reads_no_replies_is_not_served_further(engine: Make) -> None:
    """Replies that nobody reads don't pile up in memory without end."""
    running = engine()
    client = WireClient(running.port)
    client.greet()
    request = wire.encode_frame(
        wire.INVOKE, 4, 0, 1, msgpack.packb([EVENTSERVICE_NAME, "statistics", [], {}])
    )
    client.sock.setblocking(False)
    began, blocked = time.monotonic(), 0.0
    while blocked < 0.5:
        assert time.monotonic() - began < 30
        try:
            client.sock.send(request * 100)
            blocked = 0.0
        except BlockingIOError:
            time.sleep(0.02)
            blocked += 0.02
    assert serves(running)
    client.sock.close()


def test_thousands_of_connections_come_and_go(engine: Make) -> None:
    """Connections leave nothing behind."""
    running = engine()
    for _ in range(300):
        with WireClient(running.port) as client:
            client.greet()
    eventually(lambda: running.statistics()["connections"] == 0)


def test_a_client_that_vanishes_in_mid_request(engine: Make) -> None:
    """Half a request and a reset disturb nobody."""
    running = engine()
    client = WireClient(running.port)
    client.greet()
    client.sock.sendall(wire.encode_header(wire.INVOKE, 4, 0, 0, 5000) + b"half")
    client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    client.sock.close()
    eventually(lambda: running.statistics()["connections"] == 0)
    assert serves(running)
