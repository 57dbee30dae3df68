"""What helpers do over TLS besides publishing and subscribing."""

from __future__ import annotations

import re
import socket
import ssl
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

import pytest
from Pyro5.api import locate_ns
from Pyro5.core import URI

from pyro_events import Publisher, ReconnectingProxy, Tls
from pyro_events._broker.rpc.turn_away import turn_away
from pyro_events.errors import Refused, Unreachable
from pyro_wire.tls.files import load_client
from pyro_wire.tls.session import FIRST_BYTE
from tests.events.client_fixtures import Recording, all_get_more
from tests.events.held_service import Flood
from tests.events.market_fixtures import MARKET, Market, Watched
from tests.harness import eventually
from tests.tls_site import TlsSite

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.events.held_service import HeldService
    from tests.events.service_harness import Make, Start

    Held = Callable[..., HeldService]


def stock_tls(site: TlsSite) -> dict[str, str]:
    """Return Pyro5's settings for a server with the certificate `es`."""
    files = site.files("es")
    return {
        "PYRO_SSL": "1",
        "PYRO_SSL_REQUIRECLIENTCERT": "1",
        "PYRO_SSL_SERVERCERT": files.certificate,
        "PYRO_SSL_SERVERKEY": files.key,
        "PYRO_SSL_CACERTS": files.ca,
    }


def test_a_name_server_without_tls(engine: Make, tls_site: TlsSite, name_server: str) -> None:
    """A helper with TLS asks it, too; the event service that it names still needs a certificate."""
    certificate = tls_site.files("es").certificate
    es = engine(tls="required", tls_certificate=certificate)
    host, _, port = name_server.rpartition(":")
    with locate_ns(host, int(port)) as names:
        names.register("safe", es.uri)
        names.register("plain", engine().uri)
    folder = str(tls_site.folder("camera-2"))
    for _ in range(5):
        with Publisher(f"PYRONAME:safe@{name_server}", tls=folder) as publisher:
            publisher.publish("a", 1)
    assert es.statistics()["published"] == 5
    with (
        pytest.raises(Refused, match="the other side doesn't speak TLS"),
        Publisher(f"PYRONAME:plain@{name_server}", tls=folder) as publisher,
    ):
        publisher.publish("a", 1)


def test_plain_and_tls_objects_at_the_same_time(
    process: Start, market: Callable[[], Market], tls_site: TlsSite
) -> None:
    """A reconnecting proxy with `tls` calls a stock daemon over TLS, and another one doesn't."""
    secure = Market(process("-c", MARKET, "0", "-", **stock_tls(tls_site)))
    plain = market()
    folder = str(tls_site.folder("camera-2"))
    with ReconnectingProxy(plain.uri) as one, Watched(secure.uri, tls=folder) as other:
        assert one.price("SUN") == ["SUN", plain.pid]
        assert other.price("SUN") == ["SUN", secure.pid]
        assert list(other.tape()) == ["a", "b", "c"]
        other.limit = 9
        assert other.limit == 9
        for serializer in ("json", "msgpack"):
            with ReconnectingProxy(secure.uri, serializer=serializer, tls=folder) as third:
                assert third.order("x") > 0
        secure.kill()
        arguments = "-c", MARKET, str(secure.port), "-"
        again = Market(process(*arguments, **stock_tls(tls_site)))
        assert other.price("SUN") == ["SUN", again.pid]
        assert other.statistics()["unknown"] == 0
        assert other.kinds() == ["connected", "disconnected", "connected"]


def test_why_an_object_is_not_reached_over_tls(
    process: Start, market: Callable[[], Market], tls_site: TlsSite, tmp_path: Path
) -> None:
    """The error has the reason of either side."""
    secure = Market(process("-c", MARKET, "0", "-", **stock_tls(tls_site)))
    foreign = TlsSite(tmp_path / "foreign", "elsewhere")
    ours = str(tls_site.folder("camera-2"))
    stranger = Tls(*foreign.files("stage")[:2], tls_site.files("es").ca)
    for uri, tls, words in (
        (market().uri, ours, "doesn't speak TLS|has closed the connection"),
        (secure.uri, str(foreign.folder("stage")), "certificate .es. is from another CA"),
        (secure.uri, stranger, "our certificate .stage.: it knows another CA than ours"),
    ):
        with ReconnectingProxy(uri, patience=0.1, tls=tls) as proxy:
            eventually(partial(_is_unreachable, proxy, words), words)


def _is_unreachable(proxy: ReconnectingProxy, words: str) -> bool:
    with pytest.raises(Unreachable) as caught:
        proxy.price("SUN")
    return re.search(words, str(caught.value)) is not None


def test_callbacks_over_tls(
    engine: Make, tls_site: TlsSite, caplog: pytest.LogCaptureFixture
) -> None:
    """The event service calls a helper's object over TLS, also where it requires TLS."""
    es = engine(tls="required", tls_certificate=tls_site.files("es").certificate)
    folder = str(tls_site.folder("camera-2"))
    with Recording(es.uri, delivery="callback", tls=folder) as sub:
        sub.subscribe("a")
        sub.subscribeMatch("b.*")
        sub.start()
        with Publisher(es.uri, tls=folder) as publisher:
            publisher.publish("a", "x" * 300_000)
            publisher.publish("b1", 2)
        assert sub.wait(2) == ["x" * 300_000, 2]
        callees = es.engine.ask(
            lambda: [each.callee for each in es.engine.broker.callbacks.values()]
        )
        (callee,) = callees.result(5)
        assert callee.certificate == "camera-2"
        with socket.create_connection(("127.0.0.1", URI(callee.uri).port), 10) as stranger:
            assert stranger.recv(1) == FIRST_BYTE  # it says nothing to whom it doesn't know
            stranger.sendall(b"PYRO" * 20)
            with suppress(ConnectionResetError):
                while stranger.recv(1 << 16):
                    pass
            eventually(lambda: "a call was refused" in caplog.text)


@pytest.mark.parametrize("how", ["handover", "restart", "crash"])
def test_callbacks_over_tls_survive_the_event_service(
    held: Held, tls_site: TlsSite, how: str
) -> None:
    """The next process calls over TLS, too, and nothing is lost or repeated when it is planned."""
    certificate = tls_site.files("es").certificate
    es = held("-N", "--tls=required", f"--tls-certificate={certificate}")
    folder = str(tls_site.folder("camera-2"))
    with Recording(es.uri, delivery="callback", tls=folder) as sub:
        sub.subscribe("flood")
        sub.start()
        with Flood(es.uri, tls=folder) as flood:
            for _ in range(2):
                all_get_more([sub])
                getattr(es, how)()
            all_get_more([sub])
            count = flood.stop()
            if how != "crash":
                assert sub.wait(count, 60) == list(range(count))
                assert sub.gaps() == []


def test_a_removed_client_is_called_no_more(
    engine: Make, tls_site: TlsSite, tmp_path: Path
) -> None:
    """Its callback connection ends with its own; another client's events go on."""
    site = tls_site.copy(tmp_path / "certs")
    es = engine(tls="required", tls_certificate=site.files("es").certificate)
    site.issue("phone")
    phone, camera = tmp_path / "phone", str(site.folder("camera-2"))
    site.folder("phone").rename(phone)
    with (
        Recording(es.uri, delivery="callback", tls=str(phone)) as removed,
        Recording(es.uri, delivery="callback", tls=camera) as stays,
        Publisher(es.uri, tls=camera) as publisher,
    ):
        for each in (removed, stays):
            each.subscribe("a")
            each.start()
        publisher.publish("a", 1)
        assert removed.wait(1) == stays.wait(1) == [1]
        site.site.remove("phone", datetime.now(UTC))
        es.engine.ask(es.engine.reload_tls).result(5)
        eventually(lambda: "disconnected" in removed.hook_names())
        for number in (2, 3):
            publisher.publish("a", number)
        assert stays.wait(3) == [1, 2, 3]
        assert removed.messages() == [1]


def test_without_descriptors_a_client_with_tls_gets_an_alert(tls_site: TlsSite) -> None:
    """And not a message of Pyro, which would look as if there were no TLS."""
    identity = load_client(tls_site.files("camera-2"))
    session = identity.session("localhost")
    session.handshake()
    here, there = socket.socketpair()
    with here:
        here.sendall(session.pending())
        turn_away(there, "no more descriptors")
        with pytest.raises(ssl.SSLError) as raised:
            session.handshake(here.recv(1 << 16))
        assert here.recv(1) == b""
    assert "has ended the TLS handshake: internal error" in identity.explain(raised.value)
