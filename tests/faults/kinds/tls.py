"""TLS that isn't as it should be, beside a subscriber that has to get its events."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import ssl
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import msgpack

from pyro_events import Publisher
from pyro_events.errors import EventServiceError
from pyro_wire import framing
from pyro_wire.tls.files import load_client
from tests.events.client_fixtures import Recording
from tests.events.service_harness import WireClient
from tests.faults.fault import Effect, Fault, NotSurvived
from tests.faults.fuzz.sending import unharmed
from tests.faults.fuzz.servers import port, service
from tests.faults.kinds.tls_by_hand import (
    APPLICATION,
    KEY_UPDATE,
    OVERHEAD,
    ClientKeys,
    chain,
    long_hello,
    record,
)
from tests.tls_site import TlsSite

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from pyro_wire.tls.session import TlsSession
    from tests.real.managed import Managed

    Trouble = Callable[["Target", Random], None]

_HELLO_SIZE = 64 << 10
_KEY_UPDATES = 20_000
_CHAIN = 100
_SLOW = 2.0
"""Seconds within which an event has to come, whatever another client does."""
_GREETING = framing.encode_frame(
    framing.CONNECT, framing.MSGPACK, 0, 0,
    msgpack.packb({"handshake": "hello", "object": "Pyro.Daemon"}),
)  # fmt: skip


@dataclass(frozen=True)
class Target:
    """A service that accepts TLS only, and the certificates of its site."""

    site: TlsSite
    started: Managed
    port: int

    def connect(self) -> socket.socket:
        """Return a new connection."""
        return socket.create_connection(("localhost", self.port), 10.0)

    def secured(self, name: str = "stage") -> ssl.SSLSocket:
        """Return one with TLS, and with a client's certificate."""
        context = load_client(self.site.files(name)).context
        return context.wrap_socket(self.connect(), server_hostname="localhost")

    def session(self, name: str = "stage") -> TlsSession:
        """Return one without a socket."""
        return load_client(self.site.files(name)).session("localhost")

    def reload(self) -> None:
        """Ask the service to read the files again."""
        os.kill(self.started.process.pid, signal.SIGHUP)


def beside(trouble: Trouble) -> Callable[[None, Random], Effect]:
    """Return a fault: it makes trouble for an event service that has a healthy pair."""

    def inject(_scene: None, chance: Random) -> Effect:
        with tempfile.TemporaryDirectory() as directory:
            site = TlsSite(Path(directory) / "certs")
            certificate = site.files("es").certificate
            with service("es", "--tls=required", f"--tls-certificate={certificate}") as started:
                target = Target(site, started, port(started))
                _watch(target, lambda: trouble(target, chance))
        return Effect()

    return inject


def _watch(target: Target, trouble: Callable[[], None]) -> None:
    """Check that events come before and after, and that the service is unharmed."""
    uri, folder = target.started.uri, str(target.site.folder("camera-2"))
    with Recording(uri, tls=folder) as subscriber, Publisher(uri, tls=folder) as publisher:
        subscriber.subscribe("a")
        subscriber.start()
        publisher.publish("a", 0)
        subscriber.wait(1)
        with unharmed(target.started.process.pid):
            trouble()
            began = time.monotonic()
            publisher.publish("a", 1)
            if subscriber.wait(2) != [0, 1] or subscriber.hook_names() != ["connected"]:
                raise NotSurvived(f"a healthy subscriber saw {subscriber.hook_names()}")
            if (seconds := time.monotonic() - began) > _SLOW:
                raise NotSurvived(f"an event took {seconds:.1f} s")


def _is_closed(sock: socket.socket) -> bool:
    """Wait until the other side has had enough."""
    sock.settimeout(15.0)
    try:
        while sock.recv(1 << 16):
            pass
    except TimeoutError:
        return False
    except OSError:
        pass
    return True


def _expect_closed(sock: socket.socket) -> None:
    if not _is_closed(sock):
        raise NotSurvived("the connection is still there")


def instead_of_a_handshake(data: Callable[[Target], bytes], *, piece: int = 1 << 20) -> Trouble:
    """Return trouble: a client sends this at once, in pieces, and waits."""

    def trouble(target: Target, _chance: Random) -> None:
        with target.connect() as sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            content = data(target)
            with contextlib.suppress(ConnectionError):
                for at in range(0, len(content), piece):
                    sock.sendall(content[at : at + piece])
            _expect_closed(sock)

    return trouble


def after_the_handshake(data: bytes, *, closing: bool = False) -> Trouble:
    """Return trouble: a client is served, and then sends this without encrypting it."""

    def trouble(target: Target, _chance: Random) -> None:
        client = WireClient(0, target.secured())
        client.greet()
        with socket.socket(fileno=client.sock.detach()) as sock:
            sock.sendall(data)
            if closing:
                sock.shutdown(socket.SHUT_WR)
            _expect_closed(sock)

    return trouble


def _hello(target: Target) -> bytes:
    session = target.session()
    session.handshake()
    return session.pending()


def _old_hello(_target: Target) -> bytes:
    """Return a ClientHello of TLS 1.2, of which renegotiation is a part."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    old = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
    with contextlib.suppress(ssl.SSLWantReadError):
        old.do_handshake()
    return outgoing.read()


def in_single_bytes(target: Target, _chance: Random) -> None:
    """Shake hands byte by byte."""
    session = target.session()
    with target.connect() as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        done = session.handshake()
        while sent := session.pending():
            for at in range(len(sent)):
                sock.sendall(sent[at : at + 1])
            if not done:
                done = session.handshake(sock.recv(1 << 16))
        if not done:
            raise NotSurvived("the handshake didn't end")


def key_updates(target: Target, _chance: Random) -> None:
    """Ask for new keys again and again, and read no answer."""
    with tempfile.TemporaryDirectory() as directory:
        log = Path(directory) / "keys"
        context = load_client(target.site.files("stage")).context
        context.keylog_filename = str(log)
        tls = context.wrap_socket(target.connect(), server_hostname="localhost")
        keys = ClientKeys(log.read_text())
        with socket.socket(fileno=tls.detach()) as sock:
            sock.settimeout(5.0)
            sock.sendall(keys.update() + keys.seal(_GREETING, APPLICATION))
            if not _answered(sock):
                raise NotSurvived("it doesn't understand our KeyUpdate")
            with contextlib.suppress(OSError):
                for _ in range(_KEY_UPDATES):
                    sock.sendall(keys.update())


def _answered(sock: socket.socket) -> bool:
    """Read records up to one that is as long as a KeyUpdate; an alert is shorter."""
    with sock.makefile("rb") as stream:
        while head := stream.read(5):
            size = int.from_bytes(head[3:], "big")
            stream.read(size)
            if size == len(KEY_UPDATE) + OVERHEAD:
                return True
    return False


def long_chain(target: Target, _chance: Random) -> None:
    """Show a chain of a hundred certificates, from a CA that isn't known."""
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "chain.pem"
        file.write_bytes(chain(_CHAIN))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(target.site.files("es").ca)
        context.load_cert_chain(file)
        with context.wrap_socket(target.connect(), server_hostname="localhost") as sock:
            _expect_closed(sock)


def expiry(target: Target, _chance: Random) -> None:
    """Connect before a certificate expires, and again afterwards; what is there stays."""
    now = datetime.now(UTC) - timedelta(days=1) + timedelta(seconds=2)
    target.site.site.issue("late", [], now, 1, replace=False)
    target.reload()
    folder = str(target.site.folder("late"))
    with Publisher(target.started.uri, tls=folder) as there:
        there.publish("b", 1)
        end = time.monotonic() + 20
        while _publishes(target.started.uri, folder):
            if time.monotonic() > end:
                raise NotSurvived("a certificate that has expired is accepted")
            time.sleep(0.1)
        there.publish("b", 2)


def _publishes(uri: str, folder: str) -> bool:
    try:
        with Publisher(uri, tls=folder, timeout=5) as publisher:
            publisher.publish("b", 0)
    except EventServiceError:
        return False
    return True


def changed_meanwhile(change: Callable[[TlsSite], object], *, stays: bool) -> Trouble:
    """Return trouble: the files change between the two flights of a client's handshake."""

    def trouble(target: Target, _chance: Random) -> None:
        session = target.session()
        session.handshake()
        with target.connect() as sock:
            sock.sendall(session.pending())
            done = False
            while not done:
                done = session.handshake(sock.recv(1 << 16))
            change(target.site)
            target.reload()
            with target.secured("camera-2") as other:  # by then they are read again
                WireClient(0, other).greet()
            sock.sendall(session.pending() + session.seal(_GREETING))
            answer = b""
            with contextlib.suppress(OSError):
                while not answer and (received := sock.recv(1 << 16)):
                    answer = session.feed(received)
            served = answer[6:7] == bytes([framing.CONNECTOK])
            if served != stays:
                raise NotSurvived(f"it is {'served' if served else 'not served'}: {answer[:200]!r}")

    return trouble


_TROUBLES: dict[str, Trouble] = {
    "a ClientHello byte by byte": in_single_bytes,
    "a ClientHello of 64 KiB": instead_of_a_handshake(lambda _target: long_hello(_HELLO_SIZE)),
    "a ClientHello of 64 KiB byte by byte": instead_of_a_handshake(
        lambda _target: long_hello(_HELLO_SIZE), piece=1
    ),
    "half a ClientHello": instead_of_a_handshake(lambda target: _hello(target)[:100]),
    "TLS 1.2": instead_of_a_handshake(_old_hello),
    "plain frames": instead_of_a_handshake(lambda _target: b"PYRO" + bytes(100)),
    "half a record": after_the_handshake(record(APPLICATION, bytes(300))[:100], closing=True),
    "a record of 16,385 bytes and more": after_the_handshake(
        record(APPLICATION, bytes((16 << 10) + 257))
    ),
    "a record that isn't encrypted": after_the_handshake(record(APPLICATION, bytes(100))),
    "garbage after the handshake": after_the_handshake(b"garbage" * 100),
    "no close_notify": after_the_handshake(b"", closing=True),
    "a KeyUpdate storm": key_updates,
    f"a chain of {_CHAIN} certificates": long_chain,
    "expired between two handshakes": expiry,
    "renewed during a handshake": changed_meanwhile(
        lambda site: site.site.renew("es", datetime.now(UTC), 9), stays=True
    ),
    "removed during a handshake": changed_meanwhile(
        lambda site: site.site.remove("stage", datetime.now(UTC)), stays=False
    ),
}

FAULTS = [
    Fault(f"TLS: {name}", beside(make), "alone", quick="removed" in name, most=3)
    for name, make in _TROUBLES.items()
]
