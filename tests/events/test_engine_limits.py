"""Garbage, silence and excess of one client don't disturb others."""

from __future__ import annotations

import contextlib
import marshal
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

from pyro_events import codec
from pyro_events._protocol.event import EVENTSERVICE_NAME
from pyro_wire import framing
from tests.events.service_harness import SERIALIZERS, Running, WireClient, proxy
from tests.harness import eventually

if TYPE_CHECKING:
    from tests.events.service_harness import Make


def greeting() -> bytes:
    data = msgpack.packb({"handshake": "hello", "object": EVENTSERVICE_NAME})
    return framing.encode_frame(framing.CONNECT, framing.MSGPACK, 0, 0, data)


TARGET = "PYRO:nobody@localhost:1"


def refusals(running: Running) -> dict[str, int]:
    return {limit: count for limit, count in running.statistics()["refusals"].items() if count}


def serves(running: Running) -> bool:
    with proxy(running.uri) as es:
        es._pyroTimeout = 3
        return bool(es.statistics()["incarnation"] == running.engine.incarnation)


@pytest.mark.parametrize("start", [b"", b"PYRO", greeting()[:30], greeting()[:-1]])
def test_a_silent_connection_is_closed(engine: Make, start: bytes) -> None:
    """A client that doesn't finish the handshake in time is hung up on; others are served."""
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
        framing.encode_frame(framing.INVOKE, 4, 0, 0, b"early"),
        framing.encode_frame(framing.PING, 4, 0, 0, b"early"),
        framing.encode_header(framing.CONNECT, 4, 0, 0, 1 << 30),
        framing.encode_frame(framing.CONNECT, 4, framing.COMPRESSED, 0, b"not compressed"),
    ],
)
def test_garbage_is_hung_up_on(engine: Make, garbage: bytes) -> None:
    """Anything but a handshake ends the connection at once."""
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
    """An invalid handshake is answered with CONNECTFAIL and a hang-up."""
    running = engine()
    with WireClient(running.port) as client:
        client.send(framing.CONNECT, data, serializer=serializer)
        answer = client.frame()
        assert answer is not None
        assert answer.type == framing.CONNECTFAIL
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
@pytest.mark.parametrize("flags", [0, framing.BATCH, framing.ONEWAY, framing.KEEPSERIALIZED])
def test_a_bad_request_is_an_exception(engine: Make, data: bytes, flags: int) -> None:
    """An invalid request is answered with an exception; the connection stays open."""
    running = engine()
    with WireClient(running.port) as client:
        client.greet()
        client.send(framing.INVOKE, data, flags, 9)
        if not flags & framing.ONEWAY:
            answer = client.frame()
            assert answer is not None
            assert (answer.type, answer.seq) == (framing.RESULT, 9)
            assert answer.flags & framing.EXCEPTION
        assert client.call("statistics")["refused"] == 1


def test_a_compressed_bomb(engine: Make) -> None:
    """Data that inflate beyond the limit are refused by a ValueError; the connection stays open."""
    running = engine(max_message_size=100_000)
    with WireClient(running.port) as client:
        client.greet()
        client.send(framing.INVOKE, zlib.compress(b"\0" * 50_000_000), framing.COMPRESSED, 5)
        with pytest.raises(ValueError, match="inflates beyond the limit of 100000 bytes"):
            client.finish(5)
        assert client.call("statistics")["refused"] == 1


def test_damaged_compression_ends_the_connection(engine: Make) -> None:
    """Data that don't inflate end the connection; others are still served."""
    running = engine()
    with WireClient(running.port) as client:
        client.greet()
        client.send(framing.INVOKE, zlib.compress(b"abc" * 99)[:-9], framing.COMPRESSED, 5)
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
            client.send(framing.INVOKE, data, seq=1, serializer=serializer)
            answer = client.frame()
            assert answer is not None
            assert answer.flags & framing.EXCEPTION
        else:
            client.sock.sendall(data)
    assert shared_engine.statistics()["published"] == 0


@pytest.fixture
def shared_engine(engine: Make) -> Running:
    return engine()


def test_connections_are_limited(engine: Make) -> None:
    """Beyond the limit a client gets the reason; when others leave there is room again."""
    running = engine(max_connections=3)
    clients = [WireClient(running.port) for _ in range(3)]
    for client in clients:
        client.greet()
    with proxy(running.uri) as es, pytest.raises(CommunicationError, match="has its 3 conn"):
        es._pyroBind()
    assert refusals(running) == {"max_connections": 1}
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
        with proxy(running.uri) as es, pytest.raises(CommunicationError, match="uid:"):
            es._pyroBind()
    assert refusals(running) == {"max_connections_per_peer": 1}


def test_subscriptions_of_a_callback_subscriber_are_limited(engine: Make) -> None:
    """One too many is a ValueError that names the limit, and changes nothing."""
    running = engine(max_subscriptions=3)
    with proxy(running.uri) as es:
        es.subscribe(["a", "b"], TARGET)
        es.subscribeMatch("c", TARGET)
        es.subscribe(["A", "b"], TARGET)  # it has these already
        es.subscribeMatch(["c"], TARGET)
        with pytest.raises(ValueError, match=r"4 subscriptions .* limit is 3 .max_subscriptions"):
            es.subscribe("d", TARGET)
        with pytest.raises(ValueError, match="max_subscriptions"):
            es.subscribeMatch(["c", "d"], TARGET)
        with pytest.raises(ValueError, match="max_subscriptions"):
            es.subscribe(["a", "b", "c", "d"], "PYRO:another@localhost:1")
        es.unsubscribe("a", TARGET)
        es.subscribe("d", TARGET)
    only = running.subscriber()
    assert (only["subjects"], only["patterns"]) == (["b", "d"], ["c"])
    assert refusals(running) == {"max_subscriptions": 3}


def test_subscriptions_of_a_stream_are_limited(engine: Make) -> None:
    """The limit holds for a new stream, for one that comes back, and for further subscriptions."""
    running = engine(max_subscriptions=2)
    with WireClient(running.port) as client:
        client.greet()
        with pytest.raises(ValueError, match="max_subscriptions"):
            client.attach("id", ["a", "b"], ["c"])
        assert running.subscriptions() == []
        client.attach("id", ["a"], ["b"])
        with pytest.raises(ValueError, match="max_subscriptions"):
            client.call("stream_subscribe", ["c"], [])
        client.call("stream_unsubscribe", ["a"])
        client.call("stream_subscribe", ["c"], ["b"])
        with WireClient(running.port) as again:
            again.greet()
            again.attach("id", ["x", "y"])  # instead of what was there
    assert refusals(running) == {"max_subscriptions": 2}


def test_subscribers_beyond_the_limit_are_counted(engine: Make) -> None:
    """This holds for both kinds; a present subscriber may reconnect."""
    running = engine(max_subscribers=1)
    with WireClient(running.port) as client, proxy(running.uri) as es:
        client.greet()
        client.attach("id", ["a"])
        for _ in range(2):
            with pytest.raises(ValueError, match="max_subscribers"):
                es.subscribe("a", TARGET)
        with WireClient(running.port) as other:
            other.greet()
            with pytest.raises(ValueError, match="max_subscribers"):
                other.attach("other", ["a"])
            other.attach("id", ["a"])
    assert refusals(running) == {"max_subscribers": 3}


def test_other_refusals_are_counted_by_the_name_of_their_limit(engine: Make) -> None:
    """Handshakes with a time-out or a wrong identification, and messages that are too large."""
    running = engine(ident="x", handshake_timeout=0.1, max_message_size=20_000, queue_bytes=10_000)
    with socket.create_connection(("127.0.0.1", running.port), 5) as sock:
        assert sock.recv(1) == b""
    with proxy(running.uri) as es, pytest.raises(CommunicationError, match="identification"):
        es._pyroBind()
    with proxy(running.uri, ident="x") as es:
        for size in (15_000, 25_000, 25_000):
            with pytest.raises(ValueError, match="too large"):
                es.publish("a", "x" * size)
    assert refusals(running) == {
        "handshake_timeout": 1, "ident": 1, "queue_bytes": 1, "max_message_size": 2,
    }  # fmt: skip


def test_marshal_is_for_trusted_clients(engine: Make) -> None:
    """It is refused and counted, in handshakes and calls; where clients are trusted it works."""
    running = engine()
    call = marshal.dumps((EVENTSERVICE_NAME, "publish", ["a", 1], {}), 2)
    with WireClient(running.port) as client:
        client.greet()
        client.send(framing.INVOKE, call, seq=1, serializer=framing.MARSHAL)
        answer = client.frame()
        assert answer is not None
        assert b"marshal is not accepted" in answer.data
    with proxy(running.uri, "marshal") as es, pytest.raises(CommunicationError, match="marshal"):
        es._pyroBind()
    assert refusals(running) == {"trusted": 2}
    with proxy(engine(trusted=True).uri, "marshal") as es:
        es.publish("a", (1, {2}))
        assert es.statistics()["published"] == 1


def test_a_client_that_reads_no_replies_is_not_served_further(engine: Make) -> None:
    """Unread replies don't pile up in memory without limit."""
    running = engine()
    client = WireClient(running.port)
    client.greet()
    request = framing.encode_frame(
        framing.INVOKE, 4, 0, 1, msgpack.packb([EVENTSERVICE_NAME, "statistics", [], {}])
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


def test_hundreds_of_connections_come_and_go(engine: Make) -> None:
    """They leave neither a connection nor a descriptor behind."""
    running = engine()
    before = descriptors()
    for _ in range(300):
        with WireClient(running.port) as client:
            client.greet()
    eventually(lambda: running.statistics()["connections"] == 0)
    eventually(lambda: descriptors() == before, f"{before} descriptors again")


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208


def test_a_client_that_vanishes_in_mid_request(engine: Make) -> None:
    """Half a request and a reset disturb no other client."""
    running = engine()
    client = WireClient(running.port)
    client.greet()
    client.sock.sendall(framing.encode_header(framing.INVOKE, 4, 0, 0, 5000) + b"half")
    client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    client.sock.close()
    eventually(lambda: running.statistics()["connections"] == 0)
    assert serves(running)
