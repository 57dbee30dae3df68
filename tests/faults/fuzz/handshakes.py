"""Mutated TLS handshakes, mutated frames over TLS, and proofs of who doesn't have the secret."""

from __future__ import annotations

import contextlib
import secrets
import socket
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgpack

from benchmarks.events.certificates import make_certificates
from pyro_events._client.calls import encode_call
from pyro_events._protocol.event import EVENTSERVICE_NAME, HELPER_PROTOCOL
from pyro_wire import framing
from pyro_wire.challenge import NONCE_SIZE, Challenge, location, make_greeting
from pyro_wire.tls.files import TlsFiles, TlsIdentity, load_client
from tests.events.service_harness import WireClient
from tests.faults.fault import Effect, Fault, NotSurvived
from tests.faults.fuzz import mutation
from tests.faults.fuzz.sending import BYTES, FEW_BYTES, pieces, stranger, unharmed
from tests.faults.fuzz.servers import OBJECTS, port, service
from tests.faults.security import IDENT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from random import Random

_PATIENCE = 0.5
"""Seconds to wait for an answer that a mutated flight may never get."""


def tls(name: str, total: int) -> Callable[[None, Random], Effect]:
    """Return a fault: half of the clients mutate their handshake, the others what follows it."""

    def inject(_scene: None, chance: Random) -> Effect:
        objects = [OBJECTS[name], "Pyro.Daemon"]
        makers, greetings = mutation.requests(objects), mutation.connects(objects)
        with tempfile.TemporaryDirectory() as directory:
            folder = make_certificates(Path(directory))
            identity = load_client(TlsFiles.in_directory(folder))
            options = ("--tls=required", f"--tls-certificate={folder}/cert.pem")
            with service(name, *options) as started:
                address = ("localhost", port(started))
                with unharmed(started.process.pid):
                    for piece in pieces(
                        lambda chance: chance.choice(makers)(chance), chance, total
                    ):
                        data = chance.choice(greetings) + piece
                        with contextlib.suppress(OSError):
                            _converse(address, identity, data, chance)
                    _check_served(address, identity)
        return Effect(fuzzed=total)

    return inject


def _converse(address: tuple[str, int], identity: TlsIdentity, data: bytes, chance: Random) -> None:
    """Do a handshake, and send the data over it; something in either is mutated."""
    session = identity.session("localhost")
    wrong = chance.choice(("first flight", "second flight", "records", "nothing"))
    with socket.create_connection(address, 5.0) as sock:
        sock.settimeout(_PATIENCE)
        done, received = session.handshake(), b""
        for flight in ("first flight", "second flight"):
            sent = session.pending()
            sock.sendall(mutation.mutate(sent, chance) if flight == wrong else sent)
            while not done and (received := sock.recv(1 << 16)):
                done = session.handshake(received)
            if not done:
                return
        sealed = session.seal(data)
        sock.sendall(mutation.mutate(sealed, chance) if wrong == "records" else sealed)
        sock.shutdown(socket.SHUT_WR)
        sock.settimeout(5.0)
        while sock.recv(1 << 16):
            pass


def _check_served(address: tuple[str, int], identity: TlsIdentity) -> None:
    """Check that a client with a certificate gets an answer."""
    sock = socket.create_connection(address, 10.0)
    with WireClient(0, identity.context.wrap_socket(sock, server_hostname="localhost")) as client:
        answer = client.greet("hello", "Pyro.Daemon")
        if answer.type != framing.CONNECTOK:
            raise NotSurvived(f"a client is refused: {answer.data!r}")


@contextlib.contextmanager
def _identification() -> Iterator[str]:
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "ident"
        file.touch(0o600)
        file.write_text(IDENT)
        yield str(file)


def challenge(total: int) -> Callable[[None, Random], Effect]:
    """Return a fault: strangers without the secret try everything to publish."""

    def inject(_scene: None, chance: Random) -> Effect:
        makers = mutation.requests([EVENTSERVICE_NAME])
        fuzzed = 0
        with _identification() as file, service("es", f"--ident-file={file}") as started:
            number = port(started)
            with unharmed(started.process.pid):
                while fuzzed < total:
                    more = chance.choice(makers)(chance)
                    with (
                        contextlib.suppress(OSError),
                        WireClient(0, stranger(number, chance)) as client,
                    ):
                        fuzzed += _intrude(client, number, more, chance)
                counts = started.ask("statistics")["answer"]
                if counts["published"] or counts["subscribers"]:
                    raise NotSurvived(f"somebody was let in: {counts}")
                with WireClient(0, stranger(number, chance)) as client:
                    client.identify(IDENT)
                    client.call("publish", "a", 1)
        return Effect(fuzzed=fuzzed)

    return inject


def _intrude(client: WireClient, number: int, more: bytes, chance: Random) -> int:
    """Send a greeting, a proof that is none, and more around it; return how many bytes."""
    key = chance.randbytes(32)
    nonce = secrets.token_hex(NONCE_SIZE)
    hello: Any = {
        "pyro_events": HELPER_PROTOCOL,
        "role": "publisher",
        "name": "load",
        "nonce": nonce,
    }
    if chance.random() < 0.3:
        hello = make_greeting(
            key, "load", now=0.0, nonce=nonce, object_id=EVENTSERVICE_NAME,
            location=location(("127.0.0.1", number)),
        )  # fmt: skip
    data = msgpack.packb({"handshake": hello, "object": EVENTSERVICE_NAME})
    connect = framing.encode_frame(framing.CONNECT, framing.MSGPACK, 0, 0, data)
    publish = encode_call(2, EVENTSERVICE_NAME, "publish", ["a", 1])
    how = chance.choice(("connect", "proof", "before", "frame"))
    if how == "connect":
        connect = mutation.mutate(connect, chance)
    client.sock.sendall(connect)
    answer = client.frame(_PATIENCE)
    told = _told(answer)
    begun = Challenge("load", nonce, str(told.get("nonce")), str(told.get("incarnation")))
    shown: Any = begun.client_proof(key)
    if how == "proof":
        shown = chance.choice((None, [], {}, shown[:-1], mutation.mutate(shown.encode(), chance)))
    proof = encode_call(1, EVENTSERVICE_NAME, "authenticate", [shown])
    if how == "frame":
        proof = mutation.mutate(proof, chance)
    said = b"".join([more + proof if how == "before" else proof + more, publish])
    client.sock.sendall(said)
    with contextlib.suppress(AssertionError, framing.ProtocolError):
        while client.frame(_PATIENCE / 5) is not None:
            pass
    return len(connect) + len(said)


def _told(answer: framing.Frame | None) -> dict[str, Any]:
    """Return what the event service says of itself."""
    if answer is None or answer.type != framing.CONNECTOK:
        return {}
    told: dict[str, Any] = msgpack.unpackb(answer.data)["handshake"]
    return told


FAULTS = [
    *(
        Fault(f"fuzz: TLS of {what}", tls(name, BYTES // 2), "alone")
        for name, what in (("es", "es"), ("names", "ns"), ("hosted", "an object"))
    ),
    Fault("fuzz: proofs without the secret", challenge(FEW_BYTES), "alone"),
]
