"""The event service's name in a real name server."""

from __future__ import annotations

import signal
import socket
import threading
import time
from typing import TYPE_CHECKING

import Pyro5.api
import pytest

from pyro_events import EventService
from pyro_events._broker.errors import NameServerUnreachable, NameTaken, ServiceFault
from pyro_events._broker.registration import HANDSHAKE, Registration
from pyro_events._protocol.event import EVENTSERVICE_NAME
from pyro_wire.address import name_server_uri
from pyro_wire.registration import probe
from tests.events.service_harness import Process, Recorder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.events.service_harness import Stock


def registered(name_server: str) -> str | None:
    host, _, port = name_server.partition(":")
    with Pyro5.api.locate_ns(host, int(port)) as ns:
        try:
            return str(ns.lookup(EVENTSERVICE_NAME))
        except Pyro5.errors.NamingError:
            return None


def register(name_server: str, uri: str) -> None:
    host, _, port = name_server.partition(":")
    with Pyro5.api.locate_ns(host, int(port)) as ns:
        ns.register(EVENTSERVICE_NAME, uri)


@pytest.fixture
def dead_port() -> Iterator[int]:
    """A port without a listener."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port of a server that accepts connections and sends nothing."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock.getsockname()[1]


def test_the_name_is_there_while_the_service_is(name_server: str) -> None:
    """The name is registered when `start` returns, and removed by `stop`."""
    with EventService(ns=name_server) as service:
        assert registered(name_server) == service.uri
        assert service.registered == name_server
    assert registered(name_server) is None


@pytest.mark.parametrize("form", ["{}", "PYRO:Pyro.NameServer@{}"])
def test_the_address_may_be_a_uri(name_server: str, form: str) -> None:
    """HOST:PORT and a PYRO URI are both understood."""
    with EventService(ns=form.format(name_server)) as service:
        assert registered(name_server) == service.uri


def test_a_living_holder_keeps_the_name(name_server: str) -> None:
    """When the registered service answers, a second one is refused and names it."""
    with EventService(ns=name_server) as first:
        second = EventService(ns=name_server)
        with pytest.raises(NameTaken, match=first.uri) as caught:
            second.start()
        assert "-N" in str(caught.value.hint)
        assert second.ended.done()
        assert registered(name_server) == first.uri


def test_a_holder_with_an_identification_lives(name_server: str) -> None:
    """A refusal for a wrong identification is an answer, too."""
    with EventService(ns=name_server, ident="secret") as first:
        with pytest.raises(NameTaken):
            EventService(ns=name_server).start()
        assert registered(name_server) == first.uri


def test_a_dead_holder_loses_the_name(
    name_server: str, dead_port: int, caplog: pytest.LogCaptureFixture
) -> None:
    """A name that leads nowhere is taken over, and that is logged."""
    old = f"PYRO:{EVENTSERVICE_NAME}@localhost:{dead_port}"
    register(name_server, old)
    with EventService(ns=name_server) as service:
        assert registered(name_server) == service.uri
    assert "took" in caplog.text
    assert old in caplog.text


def test_a_silent_holder_loses_the_name(name_server: str, silent_port: int) -> None:
    """A holder that takes the connection but never answers counts as dead after two seconds."""
    register(name_server, f"PYRO:{EVENTSERVICE_NAME}@localhost:{silent_port}")
    began = time.monotonic()
    with EventService(ns=name_server) as service:
        assert time.monotonic() - began < 4
        assert registered(name_server) == service.uri


def test_another_object_on_the_old_port_is_not_a_holder(name_server: str, stock: Stock) -> None:
    """A stock daemon that has the port now doesn't know the object: the name is taken over."""
    daemon = stock()
    daemon.register(Recorder())
    register(name_server, f"PYRO:{EVENTSERVICE_NAME}@localhost:{daemon.port}")
    with EventService(ns=name_server) as service:
        assert registered(name_server) == service.uri


def test_the_same_address_is_taken_back(name_server: str, dead_port: int) -> None:
    """After a crash the service on the same fixed port takes its own name again."""
    for host in ("localhost", "127.0.0.1"):
        register(name_server, f"PYRO:{EVENTSERVICE_NAME}@{host}:{dead_port}")
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    for host in ("localhost", "127.0.0.1"):
        register(name_server, f"PYRO:{EVENTSERVICE_NAME}@{host}:{port}")
        with EventService(port=port, ns=name_server) as service:
            assert registered(name_server) == service.uri


def test_a_name_that_is_not_ours_any_more_stays(name_server: str, dead_port: int) -> None:
    """`stop` removes only its own entry."""
    other = f"PYRO:{EVENTSERVICE_NAME}@localhost:{dead_port}"
    with EventService(ns=name_server):
        register(name_server, other)
    assert registered(name_server) == other


def test_registering_again(name_server: str) -> None:
    """A name server that came back empty gets the name again."""
    with EventService(ns=name_server) as service:
        host, _, port = name_server.partition(":")
        with Pyro5.api.locate_ns(host, int(port)) as ns:
            ns.remove(EVENTSERVICE_NAME)
        service.register()
        assert registered(name_server) == service.uri
        service.register(name_server)
        assert registered(name_server) == service.uri
    assert registered(name_server) is None


def test_registering_later(name_server: str) -> None:
    """A service that was started without a name server may register later."""
    with EventService(register=False) as service:
        service.register(name_server)
        assert registered(name_server) == service.uri
    assert registered(name_server) is None


def test_stopping_without_the_name_server(process: Callable[..., Process]) -> None:
    """A name server that is frozen or gone delays the stop for its time-out at most."""
    from tests.events.service_harness import NAME_SERVER

    frozen = process("-c", NAME_SERVER)
    service = EventService(ns=frozen.first_line.strip())
    service.start()
    frozen.signal(signal.SIGSTOP)
    began = time.monotonic()
    service.stop()
    assert time.monotonic() - began < 4
    frozen.signal(signal.SIGKILL)


def test_no_name_server(tidy: None, dead_port: int) -> None:
    """The error has the address and an alternative."""
    with pytest.raises(NameServerUnreachable, match=f"localhost:{dead_port}.*refused") as caught:
        Registration(f"localhost:{dead_port}", "PYRO:x@localhost:1", "x").register()
    assert "-N" in str(caught.value.hint)


def test_a_silent_name_server(tidy: None, silent_port: int) -> None:
    """A name server that doesn't answer is given up in bounded time."""
    began = time.monotonic()
    with pytest.raises(NameServerUnreachable):
        Registration(f"localhost:{silent_port}", "PYRO:x@localhost:1", "x").register()
    assert time.monotonic() - began < 4


def test_something_else_for_a_name_server(stock: Stock) -> None:
    """A stock daemon without a name server is reported as unreachable."""
    daemon = stock()
    with pytest.raises(NameServerUnreachable, match="unknown object"):
        Registration(f"localhost:{daemon.port}", "PYRO:x@localhost:1", "x").register()
    uri = daemon.register(Recorder())
    with pytest.raises(NameServerUnreachable):
        Registration(uri, "PYRO:x@localhost:1", "x").register()


@pytest.mark.parametrize("location", ["a:b:c", "", "PYRO:x", "host:"])
def test_nonsense_for_a_place(location: str) -> None:
    """An invalid address is refused with a reason."""
    with pytest.raises(ServiceFault, match="is not a name server address"):
        Registration(location, "PYRO:x@localhost:1", "x")


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        (None, "localhost:9090"),
        ("lab", "lab:9090"),
        ("lab:9", "lab:9"),
        ("[::1]", "[::1]:9090"),
        ("[::1]:9", "[::1]:9"),
        ("./u:/run/ns", "./u:/run/ns"),
        ("PYRO:Pyro.NameServer@./u:/run/ns", "./u:/run/ns"),
    ],
)
def test_places(location: str | None, expected: str) -> None:
    """The port has Pyro5's default; Unix sockets and URIs have none."""
    assert str(name_server_uri(location)) == f"PYRO:Pyro.NameServer@{expected}"


def test_a_configured_name_server_may_have_an_ipv6_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """NS_HOST is written without brackets."""
    monkeypatch.setattr(Pyro5.api.config, "NS_HOST", "::1")
    assert name_server_uri(None).location == "[::1]:9090"


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 400 no\r\n\r\n", b"PYRO" + bytes(36), None])
def test_probing_strangers(tidy: None, answer: bytes | None) -> None:
    """A server that answers wrongly, or byte by byte, is ruled out in bounded time."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            sock, _ = server.accept()
            with sock:
                for _ in range(200):
                    try:
                        sock.sendall(b"P" if answer is None else answer)
                    except OSError:
                        return
                    if answer is not None:
                        return
                    time.sleep(0.05)  # sleep: it drips

        thread = threading.Thread(target=serve)
        thread.start()
        began = time.monotonic()
        uri = f"PYRO:x@localhost:{server.getsockname()[1]}"
        assert probe(uri, HANDSHAKE, 0.4) is None
        assert time.monotonic() - began < 5
        thread.join(5)


@pytest.mark.parametrize(
    "uri", ["nonsense", "PYRO:x@./u:/nowhere", "PYRO:x@no.such.host.invalid:1"]
)
def test_probing_nowhere(tidy: None, uri: str) -> None:
    """An entry that leads nowhere has no holder."""
    assert probe(uri, HANDSHAKE) is None
