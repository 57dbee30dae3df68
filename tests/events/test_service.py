"""The event service inside a program."""

from __future__ import annotations

import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from pyro_events import EventService
from pyro_events._broker.errors import AddressUnusable, NameServerUnreachable, NotRunning
from tests.events.service_harness import Recorder, WireClient, proxy
from tests.harness import eventually

if TYPE_CHECKING:
    from tests.events.service_harness import Stock


@pytest.fixture
def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def test_it_serves_while_it_is_open(stock: Stock) -> None:
    """Inside `with` it serves clients; afterwards nothing listens any more."""
    recorder = Recorder()
    daemon_uri = stock().register(recorder)
    with EventService(register=False) as service:
        assert service.wait_ready(0)
        with proxy(service.uri) as es:
            es.subscribe("a", daemon_uri)
            es.publish("a", 1)
        service.publish(["a", "b"], (2,))
        eventually(lambda: recorder.messages() == [1, (2,)])
        eventually(lambda: service.statistics()["delivered"] == 2)
        assert service.statistics()["published"] == 3
        assert service.subscriptions()[0]["subscriber"] == daemon_uri
        port = int(service.uri.rpartition(":")[2])
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", port))


def test_publishing_from_many_threads(stock: Stock) -> None:
    """`publish` is safe from any thread; the events of each thread stay in order."""
    recorder = Recorder()
    uri = stock().register(recorder)
    with EventService(register=False) as service:
        with proxy(service.uri) as es:
            es.subscribe("a", uri)

        def work(name: int) -> None:
            for number in range(100):
                service.publish("a", [name, number])

        threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        eventually(lambda: len(recorder.events) == 400)
    for name in range(4):
        own = [number for who, number in recorder.messages() if who == name]
        assert own == list(range(100))


@pytest.mark.parametrize(
    ("subjects", "message", "error"),
    [("", 1, ValueError), ([], 1, ValueError), (5, 1, TypeError), ("a", object(), TypeError)],
)
def test_publish_checks(tidy: None, subjects: Any, message: object, error: type[Exception]) -> None:
    """A message that can't be published is an error here, too."""
    with EventService(register=False) as service, pytest.raises(error):
        service.publish(subjects, message)


def test_before_and_after(tidy: None) -> None:
    """Before the start and after the stop calls raise; stopping twice is fine."""
    service = EventService(register=False)
    assert not service.wait_ready(0)
    for call in (service.statistics, lambda: service.uri, lambda: service.publish("a", 1)):
        with pytest.raises(NotRunning):
            call()
    service.stop()
    service.start()
    with pytest.raises(NotRunning, match="once"):
        service.start()
    service.stop()
    service.stop()
    for call in (service.statistics, lambda: service.publish("a", 1)):
        with pytest.raises(NotRunning):
            call()


def test_a_forgotten_service_warns(tidy: None) -> None:
    """A service dropped without a stop issues a ResourceWarning, and ends."""
    service = EventService(register=False)
    service.start()
    thread = service._thread
    holder = [service]
    del service
    with pytest.warns(ResourceWarning, match=r"unstopped EventService PYRO:Pyro\.EventService@"):
        holder.clear()
    assert thread is not None
    thread.join(5)
    assert not thread.is_alive()


def test_a_busy_port_is_an_error_with_a_hint(tidy: None) -> None:
    """A port in use is an error that names it; no other port is tried."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(AddressUnusable, match=f"port {port}.*in use") as caught:
            EventService(port=port, register=False).start()
        assert "-p 0" in str(caught.value.hint)


@pytest.mark.parametrize("host", ["no.such.host.invalid", "203.0.113.1"])
def test_a_host_that_is_not_ours(tidy: None, host: str) -> None:
    """A host that can't be listened on is an error with a hint."""
    with pytest.raises(AddressUnusable) as caught:
        EventService(host, register=False).start()
    assert "localhost" in str(caught.value.hint)


def test_without_a_name_server(tidy: None, free_port: int) -> None:
    """A failed registration leaves nothing running, and the error has the address."""
    service = EventService(ns=f"localhost:{free_port}")
    with pytest.raises(NameServerUnreachable, match=f"localhost:{free_port}") as caught:
        service.start()
    assert "-N" in str(caught.value.hint)
    assert service.ended.done()


def test_it_listens_on_the_port_that_was_asked_for(tidy: None, free_port: int) -> None:
    """A fixed port can be used again at once after a stop, with clients connected."""
    for _ in range(3):
        with EventService(port=free_port, register=False) as service:
            assert service.uri == f"PYRO:Pyro.EventService@localhost:{free_port}"
            client = WireClient(free_port)
            client.greet()
            service.publish("a", 1)
        client.sock.close()


def test_in_process_publishers_have_the_same_patience(tidy: None) -> None:
    """`publish` waits for a full queue, as long as clients that don't say how long."""
    with (
        EventService(register=False, queue_size=1, patience=0.3) as service,
        WireClient(int(service.uri.rpartition(":")[2])) as client,
    ):
        client.greet()
        client.attach("id", ["a"])
        began = time.monotonic()
        for number in range(6):
            service.publish("a", number)
        assert 0.25 < time.monotonic() - began < 3
        assert service.statistics()["dropped"] == 4


@pytest.mark.parametrize(
    "options",
    [
        {"queue_size": 0}, {"when_full": "never"}, {"when_full": "block"}, {"patience": -1},
        {"stuck_timeout": -1}, {"max_queued_bytes": 1}, {"max_message_size": 10},
        {"queue_bytes": 1023}, {"max_connections": 0}, {"max_connections_per_peer": 0},
        {"max_subscribers": 0}, {"max_subscriptions": 0}, {"handshake_timeout": 0},
    ],
)  # fmt: skip
def test_options_are_checked(tidy: None, options: dict[str, Any]) -> None:
    """Options out of range are refused by name by the constructor."""
    with pytest.raises(ValueError, match=next(iter(options))):
        EventService(register=False, **options)


def test_an_open_service_logs_a_warning(tidy: None, caplog: pytest.LogCaptureFixture) -> None:
    """Listening for other machines without an identification logs a warning."""
    with EventService("0.0.0.0", register=False) as service:
        assert "0.0.0.0" not in service.uri
        assert "identification" in caplog.text
    caplog.clear()
    with EventService("0.0.0.0", register=False, ident="x"), EventService(register=False):
        assert "identification" not in caplog.text
