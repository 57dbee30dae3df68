"""ReconnectingProxy follows the manager's lifecycle events, if there is an event service."""

from __future__ import annotations

import signal
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from pyro_events import EventService, ReconnectingProxy
from pyro_events._service_events import ServiceEvent, parse
from pyro_events.errors import OutcomeUnknown
from pyro_events.reconnecting import LifeCycle
from tests.harness import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pyro_events.types import ProxyNotice
    from tests.events.service_harness import Process

SERVICE = """
import os, sys, time
import Pyro5.api

class Service:
    @Pyro5.api.expose
    def pid(self):
        return os.getpid()
    @Pyro5.api.expose
    def hang(self, flag):
        open(flag, "w").close()
        time.sleep(1000)

daemon = Pyro5.api.Daemon(host="127.0.0.1", port=int(sys.argv[1]))
print(daemon.register(Service(), "service"), flush=True)
daemon.requestLoop()
"""
SUBJECT = "pyroctl.lab.market.{}"


@pytest.fixture
def es(tidy: None) -> Iterator[EventService]:
    with EventService(register=False) as running:
        yield running


@pytest.fixture
def service(es: EventService, process: Callable[..., Process]) -> Callable[..., Process]:
    """Starts a stock daemon: `service(port)`."""
    return lambda port=0: process("-c", SERVICE, str(port))


def publish_state(es: EventService, state: str, uri: str | None = None, **more: Any) -> None:
    """Publish as the manager does."""
    message = {"deployment": "lab", "service": "market", "state": state, "pid": 7, "uri": uri,
               "reason": None, "time": time.time(), **more}  # fmt: skip
    announce(es, state, message)


def announce(es: EventService, state: str, message: object) -> None:
    engine = es._running
    engine.ask(lambda: engine.announce(SUBJECT.format(state), message)).result(5)


def listening(es: EventService) -> None:
    eventually(lambda: es.statistics()["subscriptions"] == 1)


def port(uri: str) -> int:
    return int(uri.rpartition(":")[2])


def test_a_waiting_call_continues_at_once_when_the_service_runs(
    es: EventService, service: Callable[..., Process]
) -> None:
    """The manager's event ends a pause that would have taken minutes."""
    first = service()
    uri = first.first_line.strip()
    # Chance makes pauses of 100 s and more.
    proxy = ReconnectingProxy(uri, events=es.uri, patience=300, chance=lambda: 10_000.0)
    with proxy, ThreadPoolExecutor(1) as pool:
        assert proxy.pid() == first.pid
        listening(es)
        first.signal(signal.SIGKILL)
        first.end()
        answer = pool.submit(proxy.pid)
        eventually(lambda: proxy.statistics()["failures"])
        second = service(port(uri))
        publish_state(es, "running", uri)
        assert answer.result(20) == second.pid


@pytest.mark.parametrize("known", ["by its URI", "from before"])
def test_a_call_to_a_dead_service_ends(
    es: EventService, service: Callable[..., Process], known: str, tmp_path: Path
) -> None:
    """When the manager reports the end of its process, its connection is dropped."""
    first = service()
    uri = first.first_line.strip()
    notices: list[ProxyNotice] = []

    class Watched(ReconnectingProxy):
        def disconnected(self, notice: ProxyNotice) -> None:
            notices.append(notice)

    with Watched(uri, events=es.uri) as proxy, ThreadPoolExecutor(1) as pool:
        assert proxy.pid() == first.pid
        listening(es)
        if known == "from before":
            publish_state(es, "running", uri)
        flag = tmp_path / "flag"
        answer = pool.submit(proxy.hang, str(flag))
        eventually(flag.exists)
        first.signal(signal.SIGSTOP)  # its connections would stay open for ever
        publish_state(es, "failed", uri if known == "by its URI" else None, reason="of old age")
        with pytest.raises(OutcomeUnknown):
            answer.result(20)
        eventually(lambda: proxy.statistics()["dropped"] == 1)
        assert [notice["reason"] for notice in notices] == ["market is failed: of old age"]


def test_the_end_of_other_services_means_nothing(
    es: EventService, service: Callable[..., Process]
) -> None:
    """Other events are ignored, too."""
    first = service()
    with (
        LifeCycle(es.uri) as events,
        ReconnectingProxy(first.first_line.strip(), events=events) as proxy,
    ):
        assert proxy.pid() == first.pid
        listening(es)
        publish_state(es, "failed", "PYRO:other@127.0.0.1:1")
        publish_state(es, "failed", "no URI")
        publish_state(es, "failed")
        publish_state(es, "failed", first.first_line.strip(), time=1.0)  # of an earlier process
        announce(es, "failed", "nonsense")
        announce(es, "failed", {"deployment": 1, "service": 2, "state": 3})
        eventually(lambda: events.statistics()["received"] == 6)
        assert proxy.pid() == first.pid
        counts = proxy.statistics()
        assert (counts["connections"], counts["dropped"]) == (1, 0)


def test_many_proxies_share_a_subscription(
    es: EventService, service: Callable[..., Process]
) -> None:
    """One subscription for all; a proxy that is closed or dropped is forgotten."""
    first = service()
    uri = first.first_line.strip()
    with LifeCycle(es.uri) as events:
        proxies = [ReconnectingProxy(uri, events=events) for _ in range(3)]
        listening(es)
        assert [proxy.pid() for proxy in proxies] == [first.pid] * 3
        proxies.pop().close()
        publish_state(es, "exited", uri)
        for proxy in proxies:
            eventually(lambda proxy=proxy: proxy.statistics()["dropped"] == 1)
            assert proxy.pid() == first.pid
            proxy.close()
        assert len(events._watchers) == 0


def test_a_proxy_does_without_an_event_service(
    es: EventService, service: Callable[..., Process]
) -> None:
    """An event service that is absent, or refuses, delays nothing."""
    first = service()
    uri = first.first_line.strip()
    with ReconnectingProxy(uri, events="PYRO:Pyro.EventService@127.0.0.1:1") as proxy:
        assert proxy.pid() == first.pid
    with (
        EventService(register=False, ident="secret") as closed,
        ReconnectingProxy(uri, events=closed.uri) as proxy,
    ):
        assert proxy.pid() == first.pid


def test_a_proxy_that_is_dropped_leaves_no_thread(
    es: EventService, service: Callable[..., Process]
) -> None:
    """Its own subscription ends with it."""
    proxy = ReconnectingProxy(service().first_line.strip(), events=es.uri)
    proxy.pid()
    listening(es)
    with pytest.warns(ResourceWarning, match="unclosed proxy"):
        del proxy
    eventually(lambda: es.statistics()["subscriptions"] == 0)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (
            {
                "deployment": "lab",
                "service": "a",
                "state": "running",
                "uri": "PYRO:x@host:7",
                "time": 2.0,
            },
            ServiceEvent(
                ("lab", "a"), running=True, location="host:7", reason="a is running", time=2.0
            ),
        ),
        (
            {"deployment": "lab", "service": "a", "state": "exited", "reason": "exit 3"},
            ServiceEvent(
                ("lab", "a"), running=False, location=None, reason="a is exited: exit 3", time=None
            ),
        ),
        ({"deployment": "lab", "service": "a"}, None),
        ({"deployment": "lab", "service": "a", "state": 1}, None),
        ([], None),
    ],
)
def test_lifecycle_events_are_parsed(message: object, expected: ServiceEvent | None) -> None:
    """Other events are recognized as such."""
    assert parse(message) == expected
