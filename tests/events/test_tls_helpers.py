"""What helpers do over TLS besides publishing and subscribing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from Pyro5.api import locate_ns

from pyro_events import Publisher, ReconnectingProxy, Tls
from pyro_events.errors import Refused, Unreachable
from tests.events.market_fixtures import MARKET, Market, Watched
from tests.tls_site import TlsSite

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.events.service_harness import Make, Start


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
        with (
            pytest.raises(Unreachable, match=words),
            ReconnectingProxy(uri, patience=0.01, tls=tls) as proxy,
        ):
            proxy.price("SUN")
