"""TLS as bytes in and bytes out: two sessions that are fed with what the other one says."""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import struct
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pyro_wire.tls.files import TlsFiles, TlsIdentity, load_client, load_server
from pyro_wire.tls.reload import ReloadedIdentity
from pyro_wire.tls.session import FIRST_BYTE, NOT_HERE, TlsSession

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.tls_site import TlsSite

Pair = tuple[TlsSession, TlsSession]


def identities(site: TlsSite, client: str = "camera-2") -> tuple[TlsIdentity, TlsIdentity]:
    return load_server(site.files("es")), load_client(site.files(client))


def sessions(site: TlsSite) -> Pair:
    server, client = identities(site)
    return server.session(), client.session("localhost")


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]


def shake_hands(server: TlsSession, client: TlsSession, size: int = 1 << 20) -> None:
    """Complete both handshakes; bytes arrive `size` at a time."""
    done = client.handshake()
    assert not done
    for each in pieces(client.pending(), size):
        server.handshake(each)
    for each in pieces(server.pending(), size):
        done = client.handshake(each)
    assert done
    done = False
    for each in pieces(client.pending(), size):
        done = server.handshake(each)
    assert done


@pytest.fixture
def pair(tls_site: TlsSite) -> Pair:
    """Server and client after their handshake."""
    server, client = sessions(tls_site)
    shake_hands(server, client)
    return server, client


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_both_know_each_other_however_the_bytes_arrive(tls_site: TlsSite, host: str) -> None:
    """Byte by byte; names and fingerprints are those of the certificates, and TLS is 1.3."""
    server, client = identities(tls_site)
    there, here = server.session(), client.session(host)
    shake_hands(there, here, size=1)
    assert (there.peer, here.peer) == (client.own, server.own)
    assert server.refusal(there.peer) is None
    assert server.context.minimum_version is ssl.TLSVersion.TLSv1_3


@pytest.mark.parametrize("size", [1, 7, 16_400, 1 << 20])
def test_what_is_sealed_is_opened(pair: Pair, size: int) -> None:
    """In both directions, from one byte to many records, from pieces of records to many at once."""
    message = os.urandom(50_000)
    for sender, receiver in (pair, pair[::-1]):
        sealed = sender.seal(message) + sender.seal(b"") + sender.seal(b"x")
        opened = b"".join(map(receiver.feed, pieces(sealed, size)))
        assert opened == message + b"x"
        assert not receiver.closed


def test_what_came_with_the_last_flight_is_not_forgotten(tls_site: TlsSite) -> None:
    """A client may speak in the same segment that ends its handshake."""
    server, client = sessions(tls_site)
    client.handshake()
    server.handshake(client.pending())
    client.handshake(server.pending())
    assert server.handshake(client.seal(b"at once"))
    assert server.feed(b"") == b"at once"


def test_the_end(pair: Pair) -> None:
    """close_notify is told from a connection that breaks off, and no error either way."""
    server, client = pair
    assert server.feed(client.seal(b"last") + client.end()) == b"last"
    assert server.closed
    assert client.feed(server.end()) == b""
    assert client.closed


def test_garbage_and_damage_end_a_session(pair: Pair) -> None:
    """With an alert, which is an error at the other side."""
    server, client = pair
    sealed = bytearray(client.seal(b"x" * 100))
    sealed[50] ^= 1
    with pytest.raises(ssl.SSLError):
        server.feed(bytes(sealed))
    with pytest.raises(ssl.SSLError):
        client.feed(server.pending())
    with pytest.raises(ssl.SSLError):
        server.feed(b"")


@pytest.mark.parametrize("garbage", [
    b"GET / HTTP/1.1\r\n\r\n",
    b"\x16" + bytes(100),
    struct.pack("!BHH", 23, 0x303, (1 << 14) + 257) + bytes((1 << 14) + 257),  # a record too large
])  # fmt: skip
def test_no_session_begins_or_continues_with_garbage(
    tls_site: TlsSite, pair: Pair, garbage: bytes
) -> None:
    """Neither at first nor later."""
    with pytest.raises(ssl.SSLError):
        identities(tls_site)[0].session().handshake(garbage)
    with pytest.raises(ssl.SSLError):
        pair[0].feed(garbage)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_new_keys_while_it_runs(tls_site: TlsSite) -> None:
    """A KeyUpdate of OpenSSL's own client, which wants one in return, disturbs nothing."""
    server = load_server(tls_site.files("es")).session()
    files = tls_site.files("stage")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        command = f"openssl s_client -connect 127.0.0.1:{listener.getsockname()[1]} -CAfile"
        client = subprocess.Popen(
            [*command.split(), files.ca, "-cert", files.certificate, "-key", files.key],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        with client, listener.accept()[0] as sock:
            assert client.stdin is not None
            sock.settimeout(20)
            while not server.handshake(sock.recv(1 << 16)):
                sock.sendall(server.pending())
            received = server.feed(b"")
            for line in (b"one\n", b"K\n", b"two\n"):
                client.stdin.write(line)
                client.stdin.flush()
                received += server.feed(sock.recv(1 << 16))
                sock.sendall(server.pending() + server.seal(b"understood\n"))
            assert client.stdout is not None
            sock.shutdown(socket.SHUT_RDWR)
            understood = client.stdout.read().count(b"understood\n")
    assert (received, understood) == (b"one\ntwo\n", 3)


def test_a_client_hello_of_64_kib(tls_site: TlsSite) -> None:
    """It is answered or refused, byte by byte, and costs no more than its bytes."""
    body = bytes(2) + os.urandom(32) + b"\0" + struct.pack("!HHBB", 2, 0x1301, 1, 0)
    padding = struct.pack("!HH", 21, 64_000) + bytes(64_000)
    body = b"\x03\x03" + body[2:] + struct.pack("!H", len(padding)) + padding
    hello = b"\x01" + len(body).to_bytes(3, "big") + body
    records = b"".join(
        struct.pack("!BHH", 22, 0x301, len(each)) + each for each in pieces(hello, 1 << 14)
    )
    session = identities(tls_site)[0].session()
    with pytest.raises(ssl.SSLError):
        for each in pieces(records, 1):
            session.handshake(each)
    assert session.pending().startswith(b"\x15")  # an alert


def test_a_peer_without_tls(tls_site: TlsSite) -> None:
    """The seven bytes with which a plain service answers become a sentence."""
    _, client = identities(tls_site)
    session = client.session("localhost")
    session.handshake()
    assert session.pending().startswith(FIRST_BYTE)
    with pytest.raises(ssl.SSLError) as raised:
        session.handshake(NOT_HERE)
    assert client.explain(raised.value) == "the other side doesn't speak TLS"


def test_older_tls_is_refused(tls_site: TlsSite) -> None:
    """So there is no renegotiation to fear."""
    server, client = identities(tls_site)
    client.context.minimum_version = client.context.maximum_version = ssl.TLSVersion.TLSv1_2
    session = client.session("localhost")
    session.handshake()
    with pytest.raises(ssl.SSLError) as raised:
        server.session().handshake(session.pending())
    assert server.explain(raised.value) == (
        "the other side speaks no version of TLS that is accepted here"
    )


def test_a_key_that_others_can_read_is_refused(tls_site: TlsSite, tmp_path: Path) -> None:
    """With its mode, as ssh does; so are files that don't belong together."""
    site = tls_site.copy(tmp_path / "certs")
    files = site.files("es")
    Path(files.key).chmod(0o640)
    with pytest.raises(ValueError, match=r"others? .*can read .*key\.pem \(mode 0640\)"):
        load_server(files)
    with pytest.raises(ValueError, match="the key doesn't belong to the certificate"):
        load_server(files._replace(key=site.files("stage").key))
    with pytest.raises(ValueError, match="no usable certificate"):
        load_server(files._replace(ca=files.clients or ""))


def test_only_our_own_ca_is_trusted(tls_site: TlsSite) -> None:
    """None of the system's."""
    for identity in identities(tls_site):
        assert len(identity.context.get_ca_certs()) == 1


def test_files_are_read_again_when_they_change(tls_site: TlsSite, tmp_path: Path) -> None:
    """Nothing changes in place, and files that can't be used change nothing."""
    site = tls_site.copy(tmp_path / "certs")
    files = site.files("es")
    reloaded = ReloadedIdentity(files)
    first = reloaded.current()
    assert reloaded.current() is first
    peer = load_client(site.files("stage")).own
    assert first.refusal(peer) is None
    site.site.remove("stage", peer.begin)
    second = reloaded.current()
    assert second is not first
    assert first.refusal(peer) is None
    refusal = second.refusal(peer)
    assert refusal is not None
    assert "was removed on" in refusal
    other = tmp_path / "other"
    shutil.copy(files.certificate, other)
    shutil.copy(files.ca, files.certificate)
    assert reloaded.current() is second
    shutil.copy(other, files.certificate)
    assert reloaded.current().own == first.own


def test_without_clients_toml_the_ca_decides(tls_site: TlsSite) -> None:
    """On a host that has only its own directory."""
    files = TlsFiles.in_directory(str(tls_site.folder("es")))
    assert files.clients == str(tls_site.directory / "clients.toml")
    identity = load_server(files._replace(clients=None))
    assert identity.refusal(identity.own) is None
    assert identity.refusal(None) == "the other side has sent no certificate"
