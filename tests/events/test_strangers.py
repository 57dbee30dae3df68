"""Strangers, who don't have the identification, against clients that have it."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import TYPE_CHECKING

import msgpack
import pytest

from pyro_events._protocol.event import EVENTSERVICE_NAME
from pyro_wire import framing
from tests.events.service_harness import WireClient

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.events.service_harness import Start

IDENT = "a-secret-of-all-clients"
GUESS = framing.encode_frame(
    *(framing.CONNECT, framing.MSGPACK, 0, 0),
    msgpack.packb({"handshake": "v1:1234:nonce:guess", "object": EVENTSERVICE_NAME}),
)
PROMPT = 4.0
"""Seconds; a few milliseconds on an idle machine."""


@pytest.fixture
def port(process: Start, tmp_path: Path) -> int:
    """An event service with an identification, and with few places."""
    secret = tmp_path / "secret"
    secret.write_text(IDENT)
    secret.chmod(0o600)
    limits = ("--max-connections", "100", "--max-connections-per-peer", "80")
    es = process("-m", "pyro_events", "-N", "--ident-file", str(secret), *limits)
    return int(es.first_line.split()[0].rpartition(":")[2])


@contextlib.contextmanager
def attacked(port: int, attack: object, *threads: object) -> Iterator[threading.Event]:
    stop = threading.Event()
    attackers = [threading.Thread(target=attack, args=(port, stop, each)) for each in threads]  # type: ignore[arg-type] # it is callable
    for attacker in attackers:
        attacker.start()
    try:
        yield stop
    finally:
        stop.set()
        for attacker in attackers:
            attacker.join(20)
    assert not any(attacker.is_alive() for attacker in attackers)


def hold_places(port: int, stop: threading.Event, address: str) -> None:
    """Keep more silent connections open than there are places; make each again when it ends."""

    def connect() -> socket.socket:
        return socket.create_connection(("127.0.0.1", port), 5, (address, 0))

    socks = [connect() for _ in range(150)]
    while not stop.is_set():
        for number, sock in enumerate(socks):
            if ended(sock):
                sock.close()
                socks[number] = connect()
        stop.wait(0.01)
    for sock in socks:
        sock.close()


def ended(sock: socket.socket) -> bool:
    try:
        return sock.recv(1, socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def guess(port: int, stop: threading.Event, answers: list[float]) -> None:
    """Guess the identification, again as soon as the answer has come."""
    while not stop.is_set():
        with socket.create_connection(("127.0.0.1", port), 5) as sock, contextlib.suppress(OSError):
            sock.sendall(GUESS)
            sock.settimeout(1)
            sock.recv(1000)
            answers.append(time.monotonic())


def round_trip(publisher: WireClient, subscriber: WireClient, number: int) -> float:
    began = time.monotonic()
    publisher.start("publish", "healthy", number, flags=framing.ONEWAY)
    ((_, _, body, _),) = subscriber.events(1)
    assert msgpack.unpackb(body) == number
    return time.monotonic() - began


def test_silent_connections_lock_nobody_out(port: int) -> None:
    """Clients with the identification come in, however many strangers wait, from any address."""
    with attacked(port, hold_places, "127.0.0.1", "127.0.0.2"), WireClient(port) as subscriber:
        subscriber.identify(IDENT)
        subscriber.attach("healthy", ["healthy"])
        for number in range(20):
            with WireClient(port) as publisher:
                assert publisher.identify(IDENT).flags == 0
                assert round_trip(publisher, subscriber, number) < PROMPT
                time.sleep(0.1)  # sleep: the attack has to go on meanwhile


def test_guesses_are_few_and_disturb_nobody(port: int) -> None:
    """A stranger gets an answer ever more slowly; each is counted; a client comes in at once."""
    answers: list[float] = []
    with WireClient(port) as publisher, WireClient(port) as subscriber:
        publisher.identify(IDENT)
        subscriber.identify(IDENT)
        subscriber.attach("healthy", ["healthy"])
        with attacked(port, guess, answers):
            for number in range(30):
                assert round_trip(publisher, subscriber, number) < PROMPT
                with WireClient(port) as another:
                    assert another.identify(IDENT).flags == 0
                time.sleep(0.1)  # sleep: this long the stranger guesses
        assert 1 <= len(answers) <= 8
        assert 1 <= publisher.call("statistics")["refusals"]["ident"] <= 9


def test_no_name_or_subject_controls_a_terminal(port: int) -> None:
    """They are refused with the reason, or reach nobody; what is logged is escaped."""
    with WireClient(port) as client, WireClient(port) as publisher:
        client.identify(IDENT)
        publisher.identify(IDENT)
        with pytest.raises(ValueError, match="has control characters"):
            client.attach("id", ["a"], name="a\x1b[31mb")
        with pytest.raises(ValueError, match="has control characters"):
            client.call("publish", "a\nb", 1)
        with pytest.raises(ValueError, match="has control characters"):
            client.call("subscribe", "a", "PYRO:a\x1b[31m@localhost:1")
        client.attach("id", [], ["."])
        body = msgpack.packb(1)
        publisher.call(
            "publish_batch", "forger", 1, [[["a\x1b"], body, False], [["b"], body, False]]
        )
        assert [subject for subject, *_ in client.events(1)] == ["b"]
