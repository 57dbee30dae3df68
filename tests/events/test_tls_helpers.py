"""What helpers do over TLS besides publishing and subscribing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from Pyro5.api import locate_ns

from pyro_events import Publisher
from pyro_events.errors import Refused

if TYPE_CHECKING:
    from tests.events.service_harness import Make
    from tests.tls_site import TlsSite


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
