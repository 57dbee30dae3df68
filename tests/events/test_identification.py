"""Identification on real connections: who hears them learns nothing that can be used again."""

from __future__ import annotations

import contextlib
import copy
import pickle
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import msgpack
import Pyro5.api
import pytest
from Pyro5.errors import CommunicationError
from Pyro5.serializers import serializers

from pyro_events import Publisher, identified
from pyro_events._protocol.event import EVENTSERVICE_NAME
from pyro_events.errors import Refused
from pyro_wire import framing
from tests.events.client_fixtures import FakeES, Recording
from tests.events.service_harness import SERIALIZERS, Running, WireClient, proxy
from tests.harness import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

IDENT = "the-secret-that-is-shared\ncamera-2 the-secret-of-camera-2"
SHARED = "the-secret-that-is-shared"
NAMED = "camera-2 the-secret-of-camera-2"


class Wiretap:
    """A port that leads to another one, and records what clients send, connection by connection."""

    def __init__(self, target: int) -> None:
        self.sent: list[bytes] = []
        self.received: list[bytes] = []
        self._target = target
        self._socks: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.uri = f"PYRO:{EVENTSERVICE_NAME}@127.0.0.1:{self.port}"
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive()
        for sock in self._socks:
            sock.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self._target))
            self._socks += near, far
            number = len(self.sent)
            self.sent.append(b"")
            self.received.append(b"")
            for source, sink, record in (near, far, self.sent), (far, near, self.received):
                thread = threading.Thread(target=self._copy, args=(source, sink, record, number))
                self._threads.append(thread)
                thread.start()

    def _copy(
        self, source: socket.socket, sink: socket.socket, record: list[bytes], number: int
    ) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                record[number] += data
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)


@pytest.fixture
def tapped(engine: Any) -> Iterator[tuple[Running, Wiretap]]:
    running = engine(ident=IDENT)
    tap = Wiretap(running.port)
    yield running, tap
    tap.close()


def replay(port: int, recorded: bytes) -> list[framing.Frame]:
    """Send the same bytes again; return the answers."""
    answers = []
    with WireClient(port) as client:
        client.sock.sendall(recorded)
        client.sock.shutdown(socket.SHUT_WR)
        while (frame := client.frame()) is not None:
            answers.append(frame)
    return answers


def test_helpers_are_heard_in_vain(tapped: tuple[Running, Wiretap]) -> None:
    """Between publisher, subscriber and service goes no secret; their bytes work only once."""
    running, tap = tapped
    with Recording(tap.uri, ident=NAMED) as sub, Publisher(tap.uri, ident=SHARED) as pub:
        sub.subscribe("a")
        sub.start()
        pub.publish("a", 1)
        eventually(lambda: sub.messages() == [1])
        names = {each.principal for each in running.engine._sessions}
    assert ("secret", "camera-2") in names
    heard = b"".join(tap.sent + tap.received)
    assert b"authenticate" in heard
    for secret in (SHARED, NAMED.split()[1]):
        assert secret.encode() not in heard
    published = running.statistics()["published"]
    for recorded in tap.sent:
        welcome, refusal = replay(running.port, recorded)
        assert welcome.type == framing.CONNECTOK
        assert refusal.flags & framing.EXCEPTION
    assert running.statistics()["published"] == published == 1


def test_a_stock_proxy_is_heard_in_vain(tapped: tuple[Running, Wiretap]) -> None:
    """Each connection has a greeting of its own, which is taken once."""
    running, tap = tapped
    with Pyro5.api.Proxy(tap.uri) as es:
        identified(es, ident=NAMED, location=f"127.0.0.1:{running.port}")
        for number in range(2):
            es.publish("a", number)
            es._pyroRelease()
    assert len(tap.sent) == 2
    assert b"the-secret" not in b"".join(tap.sent)
    for recorded in tap.sent:
        (refusal,) = replay(running.port, recorded)
        assert refusal.type == framing.CONNECTFAIL
        assert b"was used before" in refusal.data
    assert running.statistics()["published"] == 2


def test_a_greeting_is_for_one_address(tapped: tuple[Running, Wiretap], engine: Any) -> None:
    """One for another address, here that of the wiretap, is refused, and names this one."""
    running, tap = tapped
    with (
        proxy(tap.uri, ident=SHARED) as es,
        pytest.raises(
            CommunicationError, match=rf"another address than \[127.0.0.1\]:{running.port}"
        ),
    ):
        es._pyroBind()
    for uri in (running.uri, running.uri.replace("localhost", "127.0.0.1")):
        with proxy(uri, ident=SHARED) as es:
            es.publish("a", 1)


def test_a_unix_socket_may_be_named_by_a_link(process: Any, tmp_path: Any) -> None:
    """Its path is what a greeting is for, free of links."""
    secret = tmp_path / "secret"
    secret.write_text(IDENT)
    secret.chmod(0o600)
    path, link = tmp_path / "es.sock", tmp_path / "link"
    process("-m", "pyro_events", "-N", "-n", f"./u:{path}", "--ident-file", str(secret))
    link.symlink_to(path)
    for each in (path, link):
        with proxy(f"PYRO:{EVENTSERVICE_NAME}@./u:{each}", ident=NAMED) as es:
            es.publish("a", 1)


def test_copies_of_a_proxy_are_identified(engine: Any) -> None:
    """In any thread; what is pickled or sent to others has no secret."""
    running = engine(ident=IDENT)
    with Pyro5.api.Proxy(running.uri) as es:
        assert identified(es, ident=SHARED) is es
        es.publish("a", 1)
        with copy.copy(es) as twin:
            thread = threading.Thread(
                target=lambda: (twin._pyroClaimOwnership(), twin.publish("a", 2))
            )
            thread.start()
            thread.join(10)
            twin._pyroClaimOwnership()
        loaded = pickle.loads(pickle.dumps(es))
        assert type(loaded) is Pyro5.api.Proxy
        assert loaded._pyroHandshake == "hello"
        assert SHARED.encode() not in pickle.dumps(es)
        for name in SERIALIZERS:
            sent = serializers[name].dumps(es)
            assert SHARED.encode() not in sent
            assert type(serializers[name].loads(sent)) is Pyro5.api.Proxy
        identified(es, ident=NAMED)
        es._pyroRelease()
        es.publish("a", 3)
        assert SHARED not in repr(vars(es))
    assert running.statistics()["published"] == 3


def test_a_clock_that_is_off_is_named(engine: Any) -> None:
    """The proxy's error has the difference."""
    running = engine(ident=IDENT)
    running.engine._identification._clock = lambda: time.time() + 60
    with (
        proxy(running.uri, ident=SHARED) as es,
        pytest.raises(CommunicationError, match="clock is 60 s behind"),
    ):
        es._pyroBind()
    assert running.statistics()["refusals"]["ident"] == 1


def test_a_false_event_service_learns_nothing(tidy: None) -> None:
    """A helper tells it no proof, and its error names it; one that has no secret is none, too."""
    with FakeES(ident="another-secret") as false, FakeES() as bare:
        with (
            pytest.raises(Refused, match=rf"{false.uri} does not prove .* false event service"),
            Publisher(false.uri, ident=SHARED) as pub,
        ):
            pub.publish("a", 1)
        with (
            pytest.raises(Refused, match=rf"{bare.uri} has no identification, so it can't prove"),
            Publisher(bare.uri, ident=SHARED) as pub,
        ):
            pub.publish("a", 1)
        assert not false.calls
        assert not bare.calls
        hello = false.hellos[0]
        assert set(hello) == {"pyro_events", "role", "can", "patience", "name", "nonce"}


def test_an_older_event_service_is_told_from_a_wrong_secret(tidy: None) -> None:
    """It expects the secret in clear, and gets nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            sock, _ = server.accept()
            with sock:
                sock.recv(1 << 16)
                data = msgpack.packb("wrong identification")
                sock.sendall(framing.encode_frame(framing.CONNECTFAIL, 4, 0, 0, data))

        thread = threading.Thread(target=serve)
        thread.start()
        uri = f"PYRO:{EVENTSERVICE_NAME}@127.0.0.1:{server.getsockname()[1]}"
        with (
            pytest.raises(Refused, match=r"older version.*in clear: install the same version"),
            Publisher(uri, ident=SHARED) as pub,
        ):
            pub.publish("a", 1)
        thread.join(5)


@pytest.mark.parametrize(
    "early",
    [
        (framing.INVOKE, msgpack.packb([EVENTSERVICE_NAME, "publish", ["a", 1], {}])),
        (framing.INVOKE, msgpack.packb([EVENTSERVICE_NAME, "authenticate", [], {}])),
        (framing.INVOKE, b"\xc1"),
        (framing.INVOKE, b"\x91" * 5000),
        (framing.PING, b"ping"),
        (framing.CONNECT, msgpack.packb({"handshake": "hello", "object": EVENTSERVICE_NAME})),
        (framing.RESULT, b"\0" * 8),
    ],
)
def test_nothing_but_the_proof_comes_first(engine: Any, early: tuple[int, bytes]) -> None:
    """Every other call and frame is refused, counted, and ends the connection."""
    running = engine(ident=IDENT)
    with WireClient(running.port) as client:
        client.ask_challenge(SHARED)
        client.send(*early)
        answer = client.frame()
        assert answer is not None
        assert answer.flags & framing.EXCEPTION
        assert b"prove the identification first" in answer.data
        assert client.frame() is None
    statistics = running.statistics()
    assert statistics["refusals"]["ident"] == 1
    assert statistics["published"] == 0


def test_the_handshake_lasts_until_the_proof(engine: Any) -> None:
    """A helper that waits with it is hung up on; one that leaves without it is counted."""
    running = engine(ident=IDENT, handshake_timeout=0.3)
    with WireClient(running.port) as client:
        client.ask_challenge(SHARED)
        assert client.frame() is None
    assert running.statistics()["refusals"]["handshake_timeout"] == 1
    with WireClient(running.port) as client:
        client.ask_challenge(SHARED)
    eventually(lambda: running.statistics()["refusals"]["ident"] == 1)


def test_places_are_for_who_has_proved_it(engine: Any) -> None:
    """A helper with a challenge takes none; and it may be told that all are taken."""
    running = engine(ident=IDENT, max_connections=1)
    with WireClient(running.port) as first, WireClient(running.port) as second:
        begun, key = first.ask_challenge(SHARED)
        assert second.identify(NAMED).flags == 0
        refusal = first.prove(begun.client_proof(key))
        assert b"max_connections" in refusal.data


def test_a_handover_in_the_middle_of_a_handshake(held: Any, tmp_path: Any) -> None:
    """A helper proves itself to the next process; a greeting stays used, a principal known."""
    secret = tmp_path / "secret"
    secret.write_text(IDENT)
    secret.chmod(0o600)
    es = held("-N", "-q", "--ident-file", str(secret))
    port = int(es.uri.rpartition(":")[2])
    with WireClient(port) as helper, Pyro5.api.Proxy(es.uri) as stock:
        begun, key = helper.ask_challenge(NAMED)
        identified(stock, ident=SHARED)
        greeting = stock._pyroHandshake
        data = msgpack.packb({"handshake": greeting, "object": EVENTSERVICE_NAME})
        connect = framing.encode_frame(framing.CONNECT, 4, 0, 0, data)
        assert replay(port, connect)[0].type == framing.CONNECTOK
        es.handover()
        assert helper.prove(begun.client_proof(key)).flags == 0
        assert helper.call("statistics")["published"] == 0
        assert b"was used before" in replay(port, connect)[0].data


@pytest.mark.parametrize(
    ("ident", "words"),
    [("a b c", "line 1 "), ("x\n\n?? secret", "line 3 "), ("x\ny", "second secret without a name"),
     ("a x\na y", "second secret of a"), ("", "empty"), ("\n \n", "empty")],
)  # fmt: skip
def test_a_bad_identification_is_an_error_at_once(ident: str, words: str) -> None:
    """It names the line, and never the secret."""
    for use in (
        lambda: Publisher(ident=ident),
        lambda: identified(Pyro5.api.Proxy("PYRO:x@y:1"), ident=ident),
    ):
        with pytest.raises(ValueError, match=words):
            use()


def test_a_client_presents_the_first_line(engine: Any) -> None:
    """So the file of a service works for a client on its machine."""
    running = engine(ident=IDENT)
    with Publisher(running.uri, ident=IDENT) as pub:
        pub.publish("a", 1)
    with pytest.raises(ValueError, match="invalid literal"):
        identified(Pyro5.api.Proxy(running.uri), ident=IDENT, location="nowhere")
