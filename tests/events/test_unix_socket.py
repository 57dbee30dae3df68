"""The event service on a Unix socket."""

from __future__ import annotations

import os
import signal
import socket
import stat
import threading
from typing import TYPE_CHECKING, Any

import Pyro5.api
import Pyro5.server
import pytest
from Pyro5.errors import CommunicationError

from pyro_events import EventService, Publisher, Subscriber
from pyro_events._broker.errors import AddressUnusable
from tests.events.service_harness import SERIALIZERS, Recorder, WireClient, proxy
from tests.harness import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.events.service_harness import Start, Stock


@pytest.fixture
def path(tidy: None, tmp_path: Path) -> Path:
    return tmp_path / "es.sock"


@pytest.fixture
def service(path: Path) -> Iterator[EventService]:
    with EventService(f"./u:{path}", register=False) as made:
        yield made
    assert not path.exists()


@pytest.fixture
def unix_subscriber(tmp_path: Path, tidy: None) -> Iterator[tuple[str, Recorder]]:
    """A stock subscriber whose daemon listens on a Unix socket."""
    recorder = Recorder()
    daemon = Pyro5.server.Daemon(unixsocket=str(tmp_path / "subscriber.sock"))
    thread = threading.Thread(target=daemon.requestLoop)
    thread.start()
    yield str(daemon.register(recorder)), recorder
    for worker in list(daemon.transportServer.pool.busy):
        if worker.job:
            worker.job.csock.sock.shutdown(socket.SHUT_RDWR)
    daemon.shutdown()
    thread.join(10)


def test_the_uri_is_pyro5s(service: EventService, path: Path) -> None:
    """It names the socket as Pyro5 does, and only its owner may connect."""
    assert service.uri == f"PYRO:Pyro.EventService@./u:{path}"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("serializer", SERIALIZERS)
def test_stock_proxies_work_over_it(
    service: EventService, unix_subscriber: tuple[str, Recorder], serializer: str
) -> None:
    """They publish, and are called back over TCP or on a Unix socket."""
    uri, recorder = unix_subscriber
    with proxy(service.uri, serializer) as es:
        es.subscribe("a", uri)
        es.publish("a", "hello")
        eventually(lambda: recorder.messages() == ["hello"])


def test_a_subscriber_on_tcp_is_called_from_a_unix_socket(
    service: EventService, stock: Stock
) -> None:
    """A client on the Unix socket may subscribe any address."""
    recorder = Recorder()
    uri = stock().register(recorder)
    with proxy(service.uri) as es:
        es.subscribe("a", uri)
        es.publish("a", 1)
        eventually(lambda: recorder.messages() == [1])


def test_unix_subscribers_are_not_for_tcp_clients(
    tidy: None, unix_subscriber: tuple[str, Recorder]
) -> None:
    """A client can't have the service open sockets that the client itself may not open."""
    uri, _ = unix_subscriber
    with (
        EventService(register=False) as service,
        proxy(service.uri) as es,
        pytest.raises(ValueError, match="Unix socket"),
    ):
        es.subscribe("a", uri)


def test_helpers_work_over_it(service: EventService) -> None:
    """Publisher and Subscriber, with acknowledged and with buffered publishes."""
    got: list[Any] = []

    class Listener(Subscriber):
        def event(self, event: Any) -> None:
            got.append(event.msg)
            if event.msg == "last":
                self.abort()

    with Publisher(service.uri) as publisher, Listener(service.uri) as subscriber:
        subscriber.subscribe("a")
        publisher.publish("a", ("first", {1}))
        publisher.post("a", "last")
        subscriber.listen()
    assert got == [("first", {1}), "last"]


def test_the_clients_of_one_user_count_as_one_peer(path: Path) -> None:
    """The limit for one address holds for each user."""
    with (
        EventService(f"./u:{path}", register=False, max_connections_per_peer=2) as service,
        proxy(service.uri) as one,
        proxy(service.uri) as two,
        proxy(service.uri) as three,
    ):
        one._pyroBind()
        two._pyroBind()
        with pytest.raises(CommunicationError, match=f"uid:{os.getuid()} has its 2 connections"):
            three._pyroBind()
        one._pyroRelease()
        eventually(lambda: service.statistics()["connections"] == 1)
        three._pyroBind()


@pytest.mark.parametrize("mode", [0o600, 0o660, 0o666])
def test_others_may_be_let_in(path: Path, mode: int) -> None:
    """The permissions are the requested ones, whatever the umask."""
    before = os.umask(0o077)
    try:
        with EventService(f"./u:{path}", register=False, socket_mode=mode):
            assert stat.S_IMODE(path.stat().st_mode) == mode
    finally:
        os.umask(before)


@pytest.mark.parametrize("mode", [-1, 0o1777])
def test_permissions_are_checked(mode: int) -> None:
    """Invalid permissions are refused by name."""
    with pytest.raises(ValueError, match="socket_mode"):
        EventService("./u:/x", socket_mode=mode)


def test_a_stale_socket_is_replaced(path: Path) -> None:
    """The socket of a killed process does not prevent a start."""
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with EventService(f"./u:{path}", register=False) as service, proxy(service.uri) as es:
        es.publish("a", 1)


@pytest.mark.parametrize("backlog", [5, 0])
def test_a_socket_with_a_listener_is_left_alone(path: Path, backlog: int) -> None:
    """This holds whether or not it accepts connections."""
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen(backlog)
        waiting = [socket.socket(socket.AF_UNIX) for _ in range(3)]
        for sock in waiting:
            sock.setblocking(False)
            sock.connect_ex(str(path))
        with pytest.raises(AddressUnusable, match="another program listens there"):
            EventService(f"./u:{path}", register=False).start()
        assert path.is_socket()
        for sock in waiting:
            sock.close()


def test_a_file_is_left_alone(path: Path) -> None:
    """Only sockets are ever replaced."""
    path.write_text("precious")
    with pytest.raises(AddressUnusable, match="it is not a socket"):
        EventService(f"./u:{path}", register=False).start()
    assert path.read_text() == "precious"


def test_the_socket_of_a_successor_stays(path: Path) -> None:
    """A service removes only its own file at its end."""
    service = EventService(f"./u:{path}", register=False)
    service.start()
    path.unlink()
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        service.stop()
        assert path.is_socket()


@pytest.mark.parametrize(
    ("host", "port", "what"),
    [
        ("./u:", 0, "can't be the path"),
        ("./u:/a:b", 0, "can't be the path"),
        ("./u:/nowhere/at/all", 0, "No such file"),
        ("./u:/" + 200 * "x", 0, "too long"),
        ("./u:/nul\0", 0, "nul"),
        ("./u:/proc/es.sock", 0, "can't listen"),
        ("./u:/es.sock", 5, "no port"),
    ],
)
def test_what_can_not_be_a_socket(tidy: None, host: str, port: int, what: str) -> None:
    """A path that can't be listened on is an error with a hint."""
    with pytest.raises(AddressUnusable, match=what) as caught:
        EventService(host, port, register=False).start()
    assert caught.value.hint


def test_the_command(process: Start, tmp_path: Path) -> None:
    """`es -n ./u:PATH` serves, with the path made absolute, and cleans up after itself."""
    path = tmp_path / "es.sock"
    relative = os.path.relpath(path)
    es = process("-m", "pyro_events", "-N", "-n", f"./u:{relative}", "--socket-mode", "0660")
    assert es.first_line.split()[0] == f"PYRO:Pyro.EventService@./u:{path}"
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    with proxy(es.first_line.split()[0]) as remote:
        remote.publish("a", 1)
    es.signal(signal.SIGTERM)
    status, _, err = es.end()
    assert status == 0
    assert "identification" not in err
    assert not path.exists()


def test_after_a_kill_the_command_comes_back(process: Start, tmp_path: Path) -> None:
    """The socket that kill -9 leaves behind is replaced."""
    place = f"./u:{tmp_path}/es.sock"
    first = process("-m", "pyro_events", "-N", "-n", place)
    second = process("-m", "pyro_events", "-N", "-n", place)
    status, _, err = second.end()
    assert status == 1
    assert "another program listens there" in err
    first.signal(signal.SIGKILL)
    first.end()
    third = process("-m", "pyro_events", "-N", "-n", place)
    with proxy(third.first_line.split()[0]) as remote:
        remote.publish("a", 1)


def test_it_can_be_registered(name_server: str, path: Path) -> None:
    """The name server returns its URI like any other."""
    with EventService(f"./u:{path}", ns=name_server):
        host, _, port = name_server.partition(":")
        with Publisher(f"PYRONAME:Pyro.EventService@{host}:{port}") as publisher:
            publisher.publish("a", 1)


def test_streams_work_over_it(service: EventService, path: Path) -> None:
    """A client on the bare wire gets its events."""
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(10)
    sock.connect(str(path))
    with WireClient(0, sock) as client:
        client.greet()
        client.attach("id", ["a"])
        service.publish("a", 1)
        assert client.events(1)[0][0] == "a"
