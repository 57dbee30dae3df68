"""How long an event takes between healthy clients while others attack the event service."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import statistics
import threading
import time
import zlib
from typing import TYPE_CHECKING

import msgpack
import pytest

from pyro_events._protocol.event import EVENTSERVICE_NAME
from pyro_wire import framing
from tests.events.service_harness import WireClient, proxy

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.events.service_harness import Process, Start

ROUNDS = 40
USUALLY, ALWAYS = 0.5, 4.0
"""Seconds. An attack that gets through costs 4 to 12 s (a pattern), or stops the service for good;
the bounds are far from that."""
BUSY = 50
"""The bound grows by this multiple of a quiet round trip, which is long on a busy machine."""
MIB = 1 << 20
PATIENCE = 5.0


def call(serializer: int, data: bytes, flags: int = 0) -> bytes:
    return framing.encode_frame(framing.INVOKE, serializer, flags, 7, data)


def connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), PATIENCE)


def garbage(port: int, stop: threading.Event) -> None:
    """Connection after connection with bytes that mean nothing."""
    while not stop.is_set():
        with connected(port) as sock, contextlib.suppress(OSError):
            sock.sendall(os.urandom(5000))
            sock.recv(100)


def half_frames(port: int, stop: threading.Event) -> None:
    """Two hundred connections that never get to the end of their handshake."""
    start = framing.encode_frame(framing.CONNECT, framing.MSGPACK, 0, 0, b"x" * 100)[:60]
    with contextlib.ExitStack() as stack:
        for _ in range(200):
            stack.enter_context(connected(port)).sendall(start)
        stop.wait()


def flood(port: int, stop: threading.Event) -> None:
    """As many connections as possible, closed at once."""
    while not stop.is_set():
        connected(port).close()


def slow_sender(port: int, stop: threading.Event) -> None:
    """A large request, a few bytes at a time."""
    frame = call(
        framing.MSGPACK, msgpack.packb([EVENTSERVICE_NAME, "publish", ["a", b"x" * MIB], {}])
    )
    with WireClient(port) as client:
        client.greet()
        while not stop.is_set():
            client.sock.sendall(frame[:10])
            frame = frame[10:] + frame[:10]
            stop.wait(0.001)


def never_reads(port: int, stop: threading.Event) -> None:
    """A subscriber to all the events, which takes none, and a publisher blocked by it."""
    with WireClient(port) as reader, WireClient(port) as writer:
        for client in (reader, writer):
            client.greet()
        reader.attach("stuck", ["flood"])
        batch = [[["flood"], msgpack.packb("x" * 1000), False]] * 100
        writer.sock.settimeout(0.1)
        with contextlib.suppress(OSError):
            while not stop.is_set():
                writer.start("publish_batch", "hose", 1, batch)
        stop.wait()


def backtracking(port: int, stop: threading.Event) -> None:
    """Patterns that take for ever, and subjects that they are tried on."""
    patterns = [f"(a|a)*{number}$" for number in range(10)]
    with WireClient(port) as client:
        client.greet()
        client.attach("regex", [], patterns)
        number = 0
        while not stop.is_set():
            number += 1
            client.call("publish", "a" * 40 + str(number) + "!", 1)


def a_thousand_patterns(port: int, stop: threading.Event) -> None:
    """As many evil patterns as one subscriber may have, and new ones when these are suspended."""
    number = 0
    while not stop.is_set():
        patterns = [f"(a|a)*(?#{number}-{each})$" for each in range(1000)]
        with WireClient(port) as client:
            client.greet()
            client.attach(f"regex{number}", [], patterns)
            for _ in range(10):
                number += 1
                client.call("publish", "a" * 40 + f"{number}!", 1)


def newcomers(port: int, stop: threading.Event) -> None:
    """A few evil patterns for each publish, always of another subscriber."""
    number = 0
    while not stop.is_set():
        number += 1
        with WireClient(port) as client:
            client.greet()
            client.attach(f"new{number}", [], [f"(a|a)*(?#{number}-{each})$" for each in range(9)])
            client.call("publish", "a" * 40 + f"{number}!", 1)


def compiling(port: int, stop: threading.Event) -> None:
    """Patterns that take milliseconds each to compile, until the call is refused."""
    number = 0
    while not stop.is_set():
        number += 1
        patterns = [f"{number}-{each}" + "(a|b)*" * 80 for each in range(1000)]
        with WireClient(port) as client:
            client.greet()
            with contextlib.suppress(ValueError, OSError):  # refused, or it takes too long for us
                client.attach(f"slow{number}", [], patterns)


def nowhere(port: int, stop: threading.Event) -> None:
    """Subscribers whose daemon takes the connection and never answers."""
    with contextlib.ExitStack() as stack:
        deaf = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=200))
        es = stack.enter_context(proxy(f"PYRO:{EVENTSERVICE_NAME}@localhost:{port}"))
        for number in range(100):
            es.subscribe("healthy", f"PYRO:deaf{number}@localhost:{deaf.getsockname()[1]}")
        stop.wait()


def handshakes(*frames: bytes) -> Callable[[int, threading.Event], None]:
    """Connection after connection, several at a time, with a handshake that is dear to decode."""

    def attack(port: int, stop: threading.Event) -> None:
        while not stop.is_set():
            with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
                clients = [stack.enter_context(connected(port)) for _ in frames * 8]
                for client, frame in zip(clients, frames * 8, strict=True):
                    client.sendall(frame)
                for client in clients:
                    client.recv(1000)

    return attack


def requests(*frames: bytes) -> Callable[[int, threading.Event], None]:
    """Send the same requests repeatedly, reconnecting after each hang-up."""

    def attack(port: int, stop: threading.Event) -> None:
        while not stop.is_set():
            with WireClient(port) as client, contextlib.suppress(OSError):
                client.greet()
                for frame in frames:
                    client.sock.sendall(frame)
                    client.frame(PATIENCE)

    return attack


_EMPTY_DICTS = b"\xdd" + (1_000_000).to_bytes(4, "big") + b"\x80" * 1_000_000
_DEEP = b"\x91" * 1_000_000 + b"\x01"
BOMBS = {
    "serpent": call(framing.SERPENT, b"('x','publish',['a',[" + b"[]," * 300_000 + b"]],{})"),
    "json": call(framing.JSON, json.dumps({"params": [[]] * 200_000}).encode()),
    "json-nested": call(framing.JSON, b"[" * 500_000),
    "msgpack": call(framing.MSGPACK, _EMPTY_DICTS),
    "msgpack-nested": call(framing.MSGPACK, _DEEP),
    "msgpack-length": call(framing.MSGPACK, b"\xdd\xff\xff\xff\xff"),
    "marshal": call(framing.MARSHAL, b"[\xff\xff\xff\x7f"),
    "zlib": call(framing.JSON, zlib.compress(b"[" + b"1," * (8 * MIB)), framing.COMPRESSED),
    "announced": call(framing.MSGPACK, b"")[:12] + b"\x7f\xff\xff\xff" + call(4, b"")[16:],
}
GREETINGS = {
    "serpent": framing.encode_frame(
        framing.CONNECT, framing.SERPENT, 0, 0, b"[" + b"1," * 31_000 + b"]"
    ),
    "json": framing.encode_frame(framing.CONNECT, framing.JSON, 0, 0, b"[" * 62_000),
    "msgpack": framing.encode_frame(framing.CONNECT, framing.MSGPACK, 0, 0, b"\x90" * 62_000),
}
ATTACKS: dict[str, Callable[[int, threading.Event], None]] = {
    "garbage": garbage,
    "half-frames": half_frames,
    "flood": flood,
    "slow-sender": slow_sender,
    "never-reads": never_reads,
    "backtracking": backtracking,
    "a-thousand-patterns": a_thousand_patterns,
    "newcomers": newcomers,
    "compiling": compiling,
    "nowhere": nowhere,
}
ATTACKS |= {f"handshakes-{name}": handshakes(frame) for name, frame in GREETINGS.items()}
ATTACKS |= {f"bomb-{name}": requests(frame) for name, frame in BOMBS.items()}


@pytest.mark.parametrize("name", ATTACKS)
def test_a_healthy_pair_is_served_at_once_under_attack(process: Start, name: str) -> None:
    """Its events arrive as promptly as before, each exactly once, under any attack."""
    es = process("-m", "pyro_events", "-N")
    port = port_of(es)
    stop = threading.Event()
    attacker = threading.Thread(target=ATTACKS[name], args=(port, stop))
    with WireClient(port) as publisher, WireClient(port) as subscriber:
        publisher.greet()
        subscriber.greet()
        subscriber.attach("healthy", ["healthy"])
        quiet = statistics.median(round_trip(publisher, subscriber, n) for n in range(ROUNDS))
        attacker.start()
        try:
            times = [round_trip(publisher, subscriber, number) for number in range(ROUNDS)]
        finally:
            stop.set()
            attacker.join(20)
        assert not attacker.is_alive()
    assert statistics.median(times) < USUALLY + BUSY * quiet
    assert max(times) < ALWAYS + BUSY * quiet


def round_trip(publisher: WireClient, subscriber: WireClient, number: int) -> float:
    time.sleep(0.01)  # sleep: not all of them before the attack has begun
    began = time.monotonic()
    publisher.start("publish", "healthy", number, flags=framing.ONEWAY)
    ((_, _, body, _),) = subscriber.events(1)
    assert msgpack.unpackb(body) == number
    return time.monotonic() - began


def port_of(es: Process) -> int:
    return int(es.first_line.split()[0].rpartition(":")[2])
