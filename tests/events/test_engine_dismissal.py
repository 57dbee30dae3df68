"""A subscriber dismissed while it is unreachable is notified once it can be reached."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING, Any

import Pyro5.api
import pytest

from pyro_events import Publisher
from tests.harness import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.events.service_harness import Running

FULL = {"queue_size": 2, "when_full": "disconnect"}


class Aware:
    """A stock Pyro object that keeps its notices."""

    def __init__(self) -> None:
        self.notices: list[dict[str, Any]] = []

    @Pyro5.api.expose  # type: ignore[untyped-decorator] # Pyro5 ships no types
    def event(self, event: Any) -> None:
        pass

    @Pyro5.api.expose  # type: ignore[untyped-decorator] # Pyro5 ships no types
    def es_notice(self, notice: dict[str, Any]) -> None:
        self.notices.append(notice)


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """A server that accepts connections, and never sends anything."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def notifiers(es: Running) -> set[Any]:
    return es.engine.broker.context.notifiers


def fill(es: Running, uri: str) -> None:
    with Pyro5.api.Proxy(es.uri) as proxy, Publisher(es.uri) as pub:
        proxy.subscribe("a", uri, **FULL)
        for number in range(5):
            pub.publish("a", number)
    assert es.subscriptions() == []
    assert es.statistics()["dropped"] == 3


def test_it_is_notified_when_it_can_be_reached(
    engine: Callable[..., Running], silent: socket.socket
) -> None:
    """Its queue was full before the event service could connect; the notice comes afterwards."""
    es = engine(retry_delay=0.02, retry_max_delay=0.05)
    port = silent.getsockname()[1]
    fill(es, f"PYRO:late@127.0.0.1:{port}")
    silent.close()
    late = Aware()
    with Pyro5.api.Daemon("127.0.0.1", port) as daemon:
        daemon.register(late, "late")
        thread = threading.Thread(target=daemon.requestLoop)
        thread.start()
        try:
            (notice,) = eventually(lambda: list(late.notices))
        finally:
            daemon.shutdown()
            thread.join(10)
    assert (notice["kind"], notice["reason"]) == ("disconnected", "full")
    assert notice["incarnation"] == es.statistics()["incarnation"]
    eventually(lambda: not notifiers(es), "nothing is left of it")


def test_an_unreachable_one_is_given_up(
    engine: Callable[..., Running], silent: socket.socket
) -> None:
    """The attempts to notify it end."""
    es = engine(retry_delay=0.02, retry_max_delay=0.05, retry_for=0.2, reply_timeout=0.1)
    fill(es, f"PYRO:never@127.0.0.1:{silent.getsockname()[1]}")
    assert notifiers(es)
    eventually(lambda: not notifiers(es), "given up")
