"""Connections whose client is not accepted yet, and the answers to those that are refused."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from typing import TYPE_CHECKING

import msgpack
import pytest
from Pyro5.errors import CommunicationError

from pyro_events._protocol.event import EVENTSERVICE_NAME
from pyro_wire import framing
from tests.events.service_harness import WireClient, proxy
from tests.events.test_engine_limits import refusals, serves
from tests.harness import eventually

if TYPE_CHECKING:
    from tests.events.service_harness import Make


def test_strangers_take_no_place_of_a_client(engine: Make) -> None:
    """Connections without a handshake are few; beyond, the oldest is hung up on, and counted."""
    running = engine(max_connections=1, max_handshakes=10)
    with contextlib.ExitStack() as stack:
        socks = [
            stack.enter_context(socket.create_connection(("127.0.0.1", running.port), 5))
            for _ in range(30)
        ]
        eventually(lambda: refusals(running) == {"max_handshakes": 20})
        for sock in socks[:20]:
            assert sock.recv(1) == b""
        assert serves(running)
    eventually(lambda: running.statistics()["connections"] == 0)
    with WireClient(running.port) as client, WireClient(running.port) as other:
        assert client.greet().type == framing.CONNECTOK
        assert other.greet().type == framing.CONNECTFAIL


def test_the_slow_handshakes_of_one_peer_are_fewer(engine: Make) -> None:
    """A handshake is given a moment; then the oldest of that peer makes room for the next."""
    running = engine(max_handshakes_per_peer=2)
    with contextlib.ExitStack() as stack:

        def connect() -> socket.socket:
            return stack.enter_context(socket.create_connection(("127.0.0.1", running.port), 5))

        socks = [connect() for _ in range(10)]
        eventually(lambda: running.statistics()["connections"] == 10)
        assert not refusals(running)
        eventually(lambda: connect() and refusals(running))
        assert socks[0].recv(1) == b""
        assert serves(running)


def test_a_client_that_has_spoken_waits_anew(engine: Make) -> None:
    """Of those from one address, one that has got its challenge isn't the next to leave."""
    running = engine(max_handshakes=2, ident="secret")
    with WireClient(running.port) as helper, WireClient(running.port) as silent:
        eventually(lambda: running.statistics()["connections"] == 2)
        begun, key = helper.ask_challenge("secret")
        with WireClient(running.port):
            assert silent.frame() is None
            assert helper.prove(begun.client_proof(key)).flags == 0


def test_wrong_identifications_are_answered_ever_more_slowly(engine: Make) -> None:
    """The first after a tenth of a second, the next after twice as long; a right one at once."""
    running = engine(ident="right")
    began = time.monotonic()
    for number in range(4):
        with proxy(running.uri, ident="wrong") as es, pytest.raises(CommunicationError):
            es._pyroBind()
        assert time.monotonic() - began >= 0.1 * (2 ** (number + 1) - 1)
    with WireClient(running.port) as guess:
        data = msgpack.packb({"handshake": "v1:1:nonce:wrong", "object": EVENTSERVICE_NAME})
        guess.send(framing.CONNECT, data)
        with proxy(running.uri, ident="right") as es:
            es.statistics()
        answer = guess.frame()
        assert answer is not None
        assert answer.type == framing.CONNECTFAIL
    assert refusals(running) == {"ident": 5}


def test_refusals_are_logged_once_a_second(engine: Make, caplog: pytest.LogCaptureFixture) -> None:
    """The first line tells of one client, the next of how many followed it."""
    running = engine(max_connections=1)
    with caplog.at_level("INFO", "pyro_events"), WireClient(running.port) as client:
        client.greet()
        for _ in range(20):
            with proxy(running.uri) as es, pytest.raises(CommunicationError):
                es._pyroBind()
        eventually(lambda: len(caplog.messages) > 1)
    first, *more = caplog.messages
    assert first.startswith(f"client uid:{os.getuid()} is refused: LimitReached: ")
    assert sum(int(line.split()[0]) for line in more if "more refused; the last: client" in line)
    assert len(more) < 10
