"""Strangers at the daemon of a subscriber by callback: nothing of theirs is decoded."""

from __future__ import annotations

import socket
import zlib
from typing import TYPE_CHECKING

from Pyro5.serializers import serializers

from pyro_events import Publisher
from pyro_wire import framing
from tests.events.client_fixtures import Recording

if TYPE_CHECKING:
    import pytest

    from tests.events.service_harness import Make

HELLO = {"handshake": "hello", "object": "Pyro.Daemon"}
ZEROS = zlib.compress(serializers["msgpack"].dumps({**HELLO, "more": bytes(1 << 20)}))
STRANGE = {
    "marshal": (framing.MARSHAL, 0, serializers["marshal"].dumps(HELLO), "in marshal"),
    "compressed": (framing.MSGPACK, framing.COMPRESSED, ZEROS, "compressed"),
    "long": (framing.SERPENT, 0, b"[" + b"1," * 2100 + b"]", "has more than 4096 bytes"),
    "no key": (framing.MSGPACK, 0, serializers["msgpack"].dumps(HELLO), "only the event service"),
}


def test_handshakes_of_strangers(engine: Make) -> None:
    """They are refused before anything is inflated or built of them; events go on."""
    es = engine()
    with Recording(es.uri, delivery="callback") as subscriber:
        subscriber.subscribe("a")
        subscriber.start()
        port = int(es.subscriber()["subscriber"].rpartition(":")[2])
        for serializer, flags, data, reason in STRANGE.values():
            with socket.create_connection(("localhost", port), 10) as sock:
                sock.sendall(framing.encode_frame(framing.CONNECT, serializer, flags, 0, data))
                reader = framing.FrameReader(1 << 20)
                while (answer := reader.next_frame()) is None:
                    reader.feed(sock.recv(1 << 16))
            assert answer.type == framing.CONNECTFAIL
            assert reason.encode() in answer.data
        with Publisher(es.uri) as publisher:
            publisher.publish("a", 1)
        assert subscriber.wait(1) == [1]


def test_a_stranger_that_says_nothing_goes(engine: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """It keeps a thread of the daemon only for a while."""
    monkeypatch.setattr("pyro_events._client.receiving.callback._HANDSHAKE_TIMEOUT", 0.1)
    es = engine()
    with Recording(es.uri, delivery="callback") as subscriber:
        subscriber.subscribe("a")
        subscriber.start()
        port = int(es.subscriber()["subscriber"].rpartition(":")[2])
        with socket.create_connection(("localhost", port), 10) as sock:
            while sock.recv(1 << 16):
                pass
        with Publisher(es.uri) as publisher:
            publisher.publish("a", 1)
        assert subscriber.wait(1) == [1]
