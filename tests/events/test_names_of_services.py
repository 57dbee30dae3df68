"""How helpers find the event service: URIs, name servers, and clear errors when they can't."""

from __future__ import annotations

import socket
import threading
import time
from typing import TYPE_CHECKING

import pytest
from Pyro5 import config
from Pyro5.core import URI

from pyro_events import Publisher
from pyro_events._client import names
from pyro_events._client.names import Unregistered, parse, resolve, service
from pyro_events._client.waker import Stopped, Waker
from pyro_events.errors import Unreachable
from tests.events.client_fixtures import Recording

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.events.service_harness import Process

pytestmark = pytest.mark.usefixtures("tidy")


@pytest.fixture
def waker() -> Iterator[Waker]:
    made = Waker()
    yield made
    made.close()


def find(text: str | None, waker: Waker, timeout: float = 10, *, broadcast: bool = False) -> str:
    place = service(text, None, broadcast)
    return str(resolve(place, waker, time.monotonic, time.monotonic() + timeout))


@pytest.fixture
def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def test_a_pyro_uri_is_used_as_it_is(waker: Waker) -> None:
    """It needs no name server."""
    uri = "PYRO:Pyro.EventService@localhost:4711"
    assert find(uri, waker) == uri
    assert parse(None) == URI("PYRONAME:Pyro.EventService")


def test_a_name_is_looked_up(
    waker: Waker, name_server: str, process: Callable[..., Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name server is that of the URI, or of Pyro5's NS_HOST and NS_PORT."""
    es = process("-m", "pyro_events", "--ns", name_server)
    uri = es.first_line.split()[0]
    assert find(f"PYRONAME:Pyro.EventService@{name_server}", waker) == uri
    host, port = name_server.split(":")
    monkeypatch.setattr(config, "NS_HOST", host)
    monkeypatch.setattr(config, "NS_PORT", int(port))
    assert find(None, waker) == uri
    with Publisher() as pub, Recording() as sub:
        sub.subscribe("a")
        pub.publish("a", 1)


def test_an_unknown_name_is_a_clear_error(waker: Waker, name_server: str) -> None:
    """The error has the name server and the name."""
    with pytest.raises(Unregistered, match=f"name server at {name_server} knows no 'nothing'"):
        find(f"PYRONAME:nothing@{name_server}", waker)


def test_an_absent_name_server_is_a_clear_error(waker: Waker, free_port: int) -> None:
    """The error has the address."""
    with pytest.raises(Unreachable, match=f"localhost:{free_port} can't be reached"):
        find(f"PYRONAME:x@localhost:{free_port}", waker)


def test_a_silent_name_server_is_given_up(waker: Waker) -> None:
    """A server that accepts and never answers can't block a helper."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        place = f"127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(Unreachable, match=f"{place}: no answer"):
            find(f"PYRONAME:x@{place}", waker, 0.2)


def test_looking_up_can_be_cut_short(waker: Waker) -> None:
    """Closing a helper doesn't wait for a name server."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        place = f"127.0.0.1:{server.getsockname()[1]}"
        timer = threading.Timer(0.1, waker.stop)
        timer.start()
        start = time.monotonic()
        with pytest.raises(Stopped):
            find(f"PYRONAME:x@{place}", waker)
        timer.join()
        assert time.monotonic() - start < 5


def test_without_a_place_the_network_is_asked(
    waker: Waker, free_port: int, name_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When nobody answers at NS_HOST: by broadcast, but only if the program wants that."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as responder:
        responder.bind(("127.0.0.1", 0))
        responder.settimeout(10)
        monkeypatch.setattr(config, "NS_HOST", "127.0.0.1")
        monkeypatch.setattr(config, "NS_PORT", free_port)
        monkeypatch.setattr(config, "NS_BCPORT", responder.getsockname()[1])
        monkeypatch.setattr(config, "BROADCAST_ADDRS", ["127.0.0.1"])

        def answer() -> None:
            question, who = responder.recvfrom(100)
            assert question == b"GET_NSURI"
            responder.sendto(f"PYRO:Pyro.NameServer@{name_server}".encode(), who)

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(Unreachable, match="no name server found"):
            find(None, waker)
        with pytest.raises(Unregistered, match=f"{name_server} knows no 'Pyro.EventService'"):
            find(None, waker, broadcast=True)
        thread.join()
        monkeypatch.setattr(names, "_BROADCAST_WAIT", 0.05)
        with pytest.raises(Unreachable, match="no name server found"):
            find(None, waker, broadcast=True)


def test_ipv6_and_unix_places_are_understood(waker: Waker, tmp_path: object) -> None:
    """The errors come from attempts to connect."""
    with pytest.raises(Unreachable, match=r"name server|reached"):
        find("PYRONAME:x@[::1]:1", waker)
    with pytest.raises(Unreachable, match="No such file"):
        find(f"PYRONAME:x@./u:{tmp_path}/missing", waker)
