"""Objects in stock Pyro5 daemons that speak TLS by Pyro5's own setting are called over TLS."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest

from pyro_events import Publisher
from tests.harness import eventually
from tests.tls_site import TlsSite

if TYPE_CHECKING:
    from pathlib import Path

    from tests.events.service_harness import Make, Process, Start


SUBSCRIBER = """
import sys, threading
import Pyro5.api
from Pyro5 import config
uri, ca, certificate, key, daemon_tls, client_tls = sys.argv[1:]
config.SSL_CACERTS, config.SSL_REQUIRECLIENTCERT = ca, True

@Pyro5.api.expose
class Display:
    @Pyro5.api.oneway
    def event(self, event):
        print("got", event["msg"], flush=True)

config.SSL_SERVERCERT, config.SSL_SERVERKEY = certificate, key
config.SSL = daemon_tls == "yes"
with Pyro5.api.Daemon() as daemon:
    display = daemon.register(Display())
    threading.Thread(target=daemon.requestLoop, daemon=True).start()
    config.SSL_SERVERCERT = config.SSL_SERVERKEY = ""
    config.SSL_CLIENTCERT, config.SSL_CLIENTKEY = certificate, key
    config.SSL = client_tls == "yes"
    with Pyro5.api.Proxy(uri) as es:
        es.subscribe("a", display, as_dict=True)
        print("subscribed", flush=True)
        threading.Event().wait()
"""


def subscriber(process: Start, uri: str, site: TlsSite, *, daemon: bool, client: bool) -> Process:
    files = site.files("es")
    tls = ["yes" if each else "no" for each in (daemon, client)]
    made = process("-c", SUBSCRIBER, uri, files.ca, files.certificate, files.key, *tls)
    assert made.first_line == "subscribed\n"
    return made


def options(site: TlsSite, mode: str) -> dict[str, Any]:
    return {"tls": mode, "tls_certificate": site.files("es").certificate}


@pytest.mark.parametrize(
    ("mode", "daemon"), [("required", True), ("both", True), ("both", False), ("required", False)]
)
def test_a_stock_daemon_is_called_as_its_client_has_subscribed(
    engine: Make, process: Start, tls_site: TlsSite, mode: str, daemon: bool
) -> None:
    """Over TLS with our certificate; on this machine also without, if it doesn't speak TLS."""
    es = engine(**options(tls_site, mode))
    display = subscriber(process, es.uri, tls_site, daemon=daemon, client=True)
    with Publisher(es.uri, tls=str(tls_site.folder("camera-2"))) as publisher:
        publisher.publish("a", 1)
    assert display.process.stdout is not None
    assert display.process.stdout.readline() == "got 1\n"
    (found,) = es.engine.broker.callbacks.values()
    assert found._daemon._secured is daemon


def test_a_daemon_that_speaks_tls_only_is_named(
    engine: Make, process: Start, tls_site: TlsSite, caplog: pytest.LogCaptureFixture
) -> None:
    """The log says what to do if its client has subscribed without TLS."""
    caplog.set_level(logging.INFO, "pyro_events")
    es = engine()
    subscriber(process, es.uri, tls_site, daemon=True, client=False)
    eventually(lambda: "if its daemon speaks TLS, subscribe over TLS, too" in caplog.text)


def test_a_daemon_of_another_ca_gets_nothing(
    engine: Make,
    process: Start,
    tls_site: TlsSite,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Neither over TLS nor, afterwards, without."""
    caplog.set_level(logging.INFO, "pyro_events")
    es = engine(**options(tls_site, "both"))
    files = TlsSite(tmp_path / "other", "other").files("es")
    trust = tls_site.files("es")
    script = SUBSCRIBER.replace(
        "config.SSL_CLIENTCERT, config.SSL_CLIENTKEY = certificate, key",
        f"config.SSL_CLIENTCERT, config.SSL_CLIENTKEY = {trust.certificate!r}, {trust.key!r}",
    )
    made = process("-c", script, es.uri, trust.ca, files.certificate, files.key, "yes", "yes")
    assert made.first_line == "subscribed\n"
    eventually(lambda: "is from another CA" in caplog.text)
    eventually(lambda: es.statistics()["retries"] >= 2)
    (found,) = es.engine.broker.callbacks.values()
    assert not found._daemon._plain
