"""TLS: who is let in, who isn't and why, and what goes on when certificates or processes change."""

from __future__ import annotations

import logging
import os
import signal
import socket
import ssl
import threading
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pyro_events import EventService, Publisher, Tls
from pyro_events.errors import Refused
from pyro_events.service import TlsUnusable
from pyro_wire import framing
from pyro_wire.tls.files import load_client
from tests.events.client_fixtures import Recording, all_get_more
from tests.events.held_service import Flood
from tests.events.service_harness import WireClient, proxy
from tests.harness import eventually
from tests.tls_site import TlsSite

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.events.held_service import HeldService
    from tests.events.service_harness import Make, Running, Start

    Held = Callable[..., HeldService]

STOCK = """
import sys
import Pyro5.api
uri, ca, certificate, key = sys.argv[1:]
Pyro5.config.SSL_CACERTS = ca
Pyro5.config.SSL_CLIENTCERT, Pyro5.config.SSL_CLIENTKEY = certificate, key
Pyro5.config.SSL = True
with Pyro5.api.Proxy(uri) as es:
    es.publish("a", "x" * 300_000)
    print("published")
"""


def options(site: TlsSite, mode: str = "required") -> dict[str, Any]:
    return {"tls": mode, "tls_certificate": site.files("es").certificate}


def arguments(site: TlsSite, mode: str = "required") -> list[str]:
    return ["-N", f"--tls={mode}", f"--tls-certificate={site.files('es').certificate}"]


def folder(site: TlsSite, name: str = "camera-2") -> str:
    return str(site.folder(name))


def refusal(es: Running | HeldService, tls: Any) -> str:
    """Return why a publisher is refused."""
    with pytest.raises(Refused) as raised, Publisher(es.uri, tls=tls) as publisher:
        publisher.publish("a", 1)
    return str(raised.value)


@pytest.fixture
def connect(tls_site: TlsSite) -> Iterator[Callable[[Running], ssl.SSLSocket]]:
    """Connects a socket with the certificate of camera-2."""
    context = load_client(tls_site.files("camera-2")).context
    with ExitStack() as stack:

        def make(es: Running) -> ssl.SSLSocket:
            sock = socket.create_connection(("127.0.0.1", es.port), 10)
            return stack.enter_context(context.wrap_socket(sock, server_hostname="localhost"))

        yield make


def test_helpers_and_plain_clients_together(engine: Make, tls_site: TlsSite) -> None:
    """Mode "both": with TLS and without on one port; statistics tell."""
    es = engine(**options(tls_site, "both"))
    with Recording(es.uri, tls=folder(tls_site, "stage")) as safe, Recording(es.uri) as plain:
        for each in (safe, plain):
            each.subscribe("a")
            each.start()
        files = Tls(*tls_site.files("camera-2")[:3])
        with Publisher(es.uri, tls=files) as one, Publisher(es.uri) as other:
            one.publish("a", "x" * 500_000)
            other.publish("a", 2)
        assert safe.wait(2) == plain.wait(2) == ["x" * 500_000, 2]
        eventually(lambda: es.statistics()["connections"] == 2, "the publishers have gone")
        tls = es.statistics()["tls"]
    assert tls == {
        "mode": "both",
        "name": "es",
        "expires": load_client(tls_site.files("es")).own.end.isoformat(),
        "connections": 1,
        "handshakes": 2,
        "refused": 0,
    }


@pytest.mark.parametrize("name", ["camera-2", "es"])
def test_a_stock_proxy(name: str, engine: Make, process: Start, tls_site: TlsSite) -> None:
    """Pyro5's own client speaks TLS with its settings, also with a server's certificate."""
    es = engine(**options(tls_site))
    files = tls_site.files(name)
    client = process("-c", STOCK, es.uri, files.ca, files.certificate, files.key)
    assert (client.first_line, client.end()) == ("published\n", (0, "", ""))
    assert es.statistics()["published"] == 1


def test_without_tls_where_it_is_required(engine: Make, tls_site: TlsSite) -> None:
    """A plain client is told in words, a stock proxy as well; both are counted."""
    es = engine(**options(tls_site))
    words = "this event service speaks TLS only: connect with a certificate of its CA"
    assert words in refusal(es, None)
    with pytest.raises(Exception, match=words), proxy(es.uri) as remote:
        remote.publish("a", 1)
    found = es.statistics()
    assert found["tls"] is not None
    assert found["tls"]["refused"] == found["refusals"]["tls"] >= 2


def test_with_tls_where_there_is_none(
    engine: Make, tls_site: TlsSite, caplog: pytest.LogCaptureFixture
) -> None:
    """A helper is told so by a service without TLS; the service logs it."""
    caplog.set_level(logging.INFO, "pyro_events")
    es = engine()
    assert "the other side doesn't speak TLS" in refusal(es, folder(tls_site))
    assert "it speaks TLS, which is off here" in caplog.text
    assert es.statistics()["tls"] is None


def test_who_is_refused(
    engine: Make, tls_site: TlsSite, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Expired, another CA, removed, no certificate: told to the client, and logged."""
    caplog.set_level(logging.INFO, "pyro_events")
    site, foreign = tls_site.copy(tmp_path / "certs"), TlsSite(tmp_path / "foreign", "elsewhere")
    site.issue("old", days=1)
    removed = str(tmp_path / "removed")
    site.folder("stage").rename(removed)
    site.site.remove("stage", datetime.now(UTC))
    stranger = Tls(*foreign.files("stage")[:2], site.files("es").ca)
    for tls, there, here in (
        (folder(site, "old"), "our certificate (old): it expired on", "has expired"),
        (stranger, "our certificate (stage): it knows another CA than ours", "from another CA"),
        (removed, "the certificate (stage) was removed on", "(stage) was removed on"),
    ):
        es = engine(**options(site))
        caplog.clear()
        assert there in refusal(es, tls)
        assert here in caplog.text
        assert es.statistics()["refusals"]["tls"] > 0
    es = engine(**options(site))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(site.files("es").ca)
    sock = socket.create_connection(("127.0.0.1", es.port), 10)
    nobody = context.wrap_socket(sock, server_hostname="localhost")
    with nobody, pytest.raises(ssl.SSLError, match="CERTIFICATE_REQUIRED"):
        nobody.recv(1)
    eventually(lambda: "the other side has sent no certificate" in caplog.text)


def test_who_refuses(engine: Make, tls_site: TlsSite, tmp_path: Path) -> None:
    """A helper talks to no service with another CA, another host or an expired certificate."""
    site, foreign = tls_site.copy(tmp_path / "certs"), TlsSite(tmp_path / "foreign", "elsewhere")
    assert "certificate (es) is from another CA" in refusal(
        engine(**options(site)), folder(foreign)
    )
    for name, host, days, words in (
        ("elsewhere", "elsewhere", 9999, "is for elsewhere, and not for localhost"),
        ("late", "localhost", 1, "the other side's certificate (late) expired on"),
    ):
        certificate = str(site.issue(name, hosts=[host], days=days) / "cert.pem")
        es = engine(tls="required", tls_certificate=certificate)
        assert words in refusal(es, folder(site))


@pytest.mark.parametrize("size", [1, 100])
def test_bytes_in_pieces(engine: Make, tls_site: TlsSite, size: int) -> None:
    """Handshake and call may arrive byte by byte, or in parts of records."""
    es = engine(**options(tls_site))
    session = load_client(tls_site.files("camera-2")).session("localhost")
    with closing(socket.create_connection(("127.0.0.1", es.port), 10)) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def send(data: bytes) -> None:
            for at in range(0, len(data), size):
                sock.sendall(data[at : at + size])

        done = session.handshake()
        while not done:
            send(session.pending())
            done = session.handshake(sock.recv(1 << 16))
        hello = framing.encode_frame(framing.CONNECT, framing.SERPENT, 0, 0, HELLO)
        send(session.seal(hello))
        answer = b""
        while len(answer) < framing.HEADER_SIZE:
            answer += session.feed(sock.recv(1 << 16))
        assert answer[6] == framing.CONNECTOK


HELLO = b"# serpent utf-8 python3.2\n{'handshake':'hello','object':'Pyro.EventService'}"


def test_a_connection_that_breaks_off_or_turns_to_garbage(
    engine: Make, tls_site: TlsSite, connect: Callable[[Running], ssl.SSLSocket]
) -> None:
    """Without close_notify, with half a record, with bytes that aren't TLS: it ends, alone."""
    es = engine(**options(tls_site))
    with Recording(es.uri, tls=folder(tls_site)) as healthy:
        healthy.subscribe("a")
        healthy.start()
        for last in (
            b"",
            b"\x17\x03\x03\x10\x00half",
            b"\x17\x03\x03\x00\x20" + bytes(32),
            bytes(9),
        ):
            client = WireClient(0, connect(es))
            client.greet()
            eventually(lambda: es.statistics()["connections"] == 2)
            raw = socket.socket(fileno=client.sock.detach())
            with raw:
                raw.sendall(last)
                raw.shutdown(socket.SHUT_WR)
                eventually(lambda: es.statistics()["connections"] == 1)
        with Publisher(es.uri, tls=folder(tls_site)) as publisher:
            publisher.publish("a", 1)
        assert healthy.wait(1) == [1]


def test_a_slow_reader_gets_everything(
    engine: Make, tls_site: TlsSite, connect: Callable[[Running], ssl.SSLSocket]
) -> None:
    """What the system doesn't take waits encrypted, in order, until it does."""
    es = engine(**options(tls_site))
    client = WireClient(0, connect(es))
    client.greet()
    client.attach("s", ["a"])
    with Publisher(es.uri, tls=folder(tls_site)) as publisher:
        for number in range(70):
            publisher.post("a", bytes([number]) * 200_000)
    eventually(lambda: es.statistics()["published"] == 70)
    assert [body[-1] for _, _, body, _ in client.events(70)] == list(range(70))


def test_a_unix_socket_has_no_tls(tls_site: TlsSite, tmp_path: Path, tidy: None) -> None:
    """The kernel knows who the peer is: both sides leave TLS out, even where it is required."""
    host = f"./u:{tmp_path / 'socket'}"
    with EventService(host, register=False, **options(tls_site)) as es:
        with Publisher(es.uri, tls=folder(tls_site)) as publisher:
            publisher.publish("a", 1)
        tls = es.statistics()["tls"]
        assert tls is not None
        assert (tls["connections"], tls["handshakes"]) == (0, 0)


def test_files_that_cannot_be_used(
    tls_site: TlsSite, tmp_path: Path, process: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service doesn't start, and names the file; helpers raise at once."""
    monkeypatch.setenv("PYROCTL_CERTS", str(tmp_path))
    with pytest.raises(TlsUnusable, match="has no certificate for this host"):
        EventService(tls="both", register=False).start()
    with pytest.raises(ValueError, match="has no certificate for this host"):
        Publisher("PYRO:x@localhost:1", tls=True)
    with pytest.raises(TypeError, match="tls must be a directory"):
        Publisher("PYRO:x@localhost:1", tls=3)  # type: ignore[arg-type]
    site = tls_site.copy(tmp_path / "certs")
    Path(site.files("es").key).chmod(0o644)
    started = process("-m", "pyro_events", *arguments(site), first_line=False)
    status, _, error = started.end()
    assert status == 1
    assert error.startswith("es: no TLS: other users can read")


def test_the_directory_of_the_site_is_found(
    engine: Make, tls_site: TlsSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without any file the certificate of this host is taken, by the service and with tls=True."""
    site = tls_site.copy(tmp_path / "certs")
    site.issue("localhost", hosts=["localhost"])
    monkeypatch.setenv("PYROCTL_CERTS", str(site.directory))
    es = engine(tls="required")
    with Publisher(es.uri, tls=True) as publisher:
        publisher.publish("a", 1)
    tls = es.statistics()["tls"]
    assert tls is not None
    assert tls["name"] == "localhost"


def test_new_certificates_while_events_flow(
    engine: Make, tls_site: TlsSite, tmp_path: Path
) -> None:
    """New connections get the new one; those that are there stay, and lose nothing."""
    site = tls_site.copy(tmp_path / "certs")
    es = engine(**options(site))
    with Recording(es.uri, tls=folder(site, "stage")) as reader:
        reader.subscribe("flood")
        reader.start()
        with Flood(es.uri, tls=folder(site)) as flood:
            all_get_more([reader])
            before = es.statistics()["tls"]
            site.site.renew("es", datetime.now(UTC), 5)
            with Publisher(es.uri, tls=folder(site)) as publisher:
                publisher.publish("other", 1)
            after = es.statistics()["tls"]
            all_get_more([reader])
            count = flood.stop()
            assert reader.wait(count, 60) == list(range(count))
            assert reader.hook_names() == ["connected"]
    assert before is not None
    assert after is not None
    assert before["expires"] > after["expires"]


def test_a_removed_client_is_disconnected(held: Held, tls_site: TlsSite, tmp_path: Path) -> None:
    """By a signal, by the manager's request, or by the next client; others stay."""
    site = tls_site.copy(tmp_path / "certs")
    for name in "abc":
        site.issue(name)
    es = held(*arguments(site))
    folders = {name: tmp_path / name for name in "abc"}
    with Recording(es.uri, tls=folder(site)) as healthy:
        healthy.subscribe("x")
        healthy.start()
        for name, tell in (
            ("a", lambda: os.kill(es.pids[-1], signal.SIGHUP)),
            ("b", lambda: es.ask("reload")),
            ("c", lambda: refusal(es, str(folders["a"]))),
        ):
            site.folder(name).rename(folders[name])
            with Recording(es.uri, tls=str(folders[name])) as removed:
                removed.subscribe("x")
                removed.start()
                site.site.remove(name, datetime.now(UTC))
                tell()
                eventually(lambda seen=removed: "disconnected" in seen.hook_names())
            assert f"the certificate ({name}) was removed on" in refusal(es, str(folders[name]))
        with Publisher(es.uri, tls=folder(site)) as publisher:
            publisher.publish("x", 1)
        assert healthy.wait(1) == [1]
        assert healthy.hook_names() == ["connected"]


@pytest.mark.timeout(180)
@pytest.mark.parametrize("how", ["handover", "restart"])
def test_another_process_at_full_speed(held: Held, tls_site: TlsSite, how: str) -> None:
    """With TLS helpers come back with their numbers: all events arrive once and in order."""
    es = held(*arguments(tls_site, "both"))
    with ExitStack() as stack:
        safe = [
            stack.enter_context(Recording(es.uri, tls=folder(tls_site, "stage"))) for _ in range(4)
        ]
        plain = stack.enter_context(Recording(es.uri))
        for each in (*safe, plain):
            each.subscribe("flood")
            each.start()
        flood = stack.enter_context(Flood(es.uri, tls=folder(tls_site)))
        for _ in range(5):
            all_get_more([*safe, plain])
            getattr(es, how)()
        all_get_more([*safe, plain])
        count = flood.stop()
        for each in (*safe, plain):
            assert each.wait(count, 60) == list(range(count))
            assert each.gaps() == []
        if how == "handover":
            assert plain.hook_names() == ["connected"]
        assert es.ask("statistics")["dropped"] == 0


def test_many_at_once(engine: Make, tls_site: TlsSite) -> None:
    """Clients that all come at the same moment, and use their connections from many threads."""
    es = engine(**options(tls_site))
    publishers = [Publisher(es.uri, tls=folder(tls_site)) for _ in range(20)]

    def work(publisher: Publisher) -> None:
        for _ in range(50):
            publisher.publish("a", b"x" * 1000)

    threads = [threading.Thread(target=work, args=(p,)) for p in publishers for _ in range(2)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    for publisher in publishers:
        publisher.close()
    found = es.statistics()
    assert found["published"] == 2000
    assert found["tls"] is not None
    assert found["tls"]["handshakes"] == 20
