"""Whom the event service calls: attacks that would have it call others, and what holds them off."""

from __future__ import annotations

import os
import socket
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from Pyro5.core import URI
from Pyro5.errors import CommunicationError

from pyro_events import EventService, Publisher
from pyro_events._broker.callback_guard import CallbackGuard
from pyro_events._broker.delivery.callback.failure_limit import FailureLimit
from pyro_events._broker.delivery.publication import PendingResult
from pyro_events._broker.net.socket_owner import NoListener
from pyro_events._broker.principal import Principal
from pyro_events._broker.snapshot.model import Callee
from pyro_events.errors import Refused
from tests.events.client_fixtures import Recording
from tests.events.service_harness import Recorder, proxy
from tests.events.test_engine_limits import refusals
from tests.harness import eventually
from tests.other_user import OTHER, needs_root

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from tests.events.service_harness import Connect, Make, Stock

ME, SHE = 7, 8
LISTENING: dict[int, int | NoListener | None] = {
    1: NoListener("no process listens"),
    2: ME,
    3: SHE,
    4: None,
}


def guard(
    *allow: str, looked_up: Sequence[str] | OSError = (), clock: Callable[[], float] = lambda: 0.0
) -> CallbackGuard:
    """Return one on a machine where ports are listened on as in LISTENING."""

    def listening_user(_address: str, port: int) -> int | None:
        found = LISTENING[port]
        if isinstance(found, NoListener):
            raise found
        return found

    context: Any = SimpleNamespace(
        owners=SimpleNamespace(listening_user=listening_user),
        failures=FailureLimit(clock, 2),
        settings=SimpleNamespace(callback_allow=allow),
    )
    resolver: Any = SimpleNamespace(resolve=lambda _host, then: then(looked_up))
    return CallbackGuard(context, resolver)


def caller(peer: str | None, user: int | None = None) -> Any:
    return SimpleNamespace(peer=peer, user=user, principal=Principal("address", str(peer)))


def admit(guard: CallbackGuard, peer: str | None, user: int | None, uri: str) -> Callee:
    found = guard.admit(caller(peer, user), URI(uri), lambda callee: callee)
    if isinstance(found, PendingResult):
        assert found.done
        if found.error is not None:
            raise found.error
        found = found.value
    assert isinstance(found, Callee)
    return found


@pytest.mark.parametrize(
    ("peer", "user", "place", "expected"),
    [
        ("192.0.2.7", None, "192.0.2.7:2", ("192.0.2.7", None)),
        ("2001:db8::7", None, "[2001:DB8:0::7]:2", ("2001:db8::7", None)),
        ("127.0.0.1", ME, "localhost:2", ("127.0.0.1", ME)),
        ("127.0.0.1", ME, "127.0.0.9:2", ("127.0.0.9", ME)),
        (None, ME, "localhost:2", ("127.0.0.1", ME)),
        (None, ME, "localhost:1", ("127.0.0.1", ME)),
        (None, ME, "localhost:4", ("127.0.0.1", None)),
        ("127.0.0.1", None, "localhost:4", ("127.0.0.1", None)),
        ("192.0.2.7", None, "10.0.0.9:2", ("10.0.0.9", None)),
        ("127.0.0.1", ME, "10.0.0.9:2", ("10.0.0.9", None)),
    ],
)
def test_what_may_be_called(
    peer: str, user: int | None, place: str, expected: tuple[str, int | None]
) -> None:
    """A client's own address, any one of a client's own machine, and what is allowed."""
    found = admit(guard("10.0.0.0/24"), peer, user, f"PYRO:x@{place}")
    assert found[:3] == (f"PYRO:x@{place}", *expected)


@pytest.mark.parametrize(
    ("peer", "user", "place"),
    [
        ("192.0.2.7", None, "192.0.2.8:2"),
        ("192.0.2.7", None, "10.0.1.9:2"),
        ("127.0.0.1", ME, "192.0.2.8:2"),
        ("127.0.0.1", ME, "localhost:3"),
        (None, ME, "localhost:3"),
        ("127.0.0.1", None, "localhost:2"),  # its end is closed already: it may be anybody
        ("127.0.0.1", None, "localhost:1"),
    ],
)
def test_what_may_not(peer: str, user: int | None, place: str) -> None:
    """Other hosts, and on this machine the objects of other users; the reason says what to do."""
    with pytest.raises(ValueError, match=r"stream, or allow the address with callback_allow"):
        admit(guard("10.0.0.0/24"), peer, user, f"PYRO:x@{place}")


def test_a_name_stands_for_the_address_that_it_has_now() -> None:
    """It is looked up once, so it can't lead elsewhere later; an unknown one is refused."""
    found = admit(guard(looked_up=["10.0.0.9", "192.0.2.7"]), "192.0.2.7", None, "PYRO:x@lab:2")
    assert (found.uri, found.address) == ("PYRO:x@lab:2", "192.0.2.7")
    for looked_up in (["10.0.0.9"], OSError("no such host")):
        with pytest.raises(ValueError, match="callback_allow"):
            admit(guard(looked_up=looked_up), "192.0.2.7", None, "PYRO:x@lab:2")


def test_a_socket_of_another_user_is_not_called(tmp_path: Path) -> None:
    """The file's owner has to be the client."""
    path = tmp_path / "sock"
    with pytest.raises(ValueError, match="No such file"):
        admit(guard(), None, os.getuid(), f"PYRO:x@./u:{path}")
    path.touch()
    assert admit(guard(), None, os.getuid(), f"PYRO:x@./u:{path}").user == os.getuid()
    with pytest.raises(ValueError, match="another user"):
        admit(guard(), None, os.getuid() + 1, f"PYRO:x@./u:{path}")


def test_failures_are_counted_for_a_minute() -> None:
    """Of each principal; when its minute is over, it may try again."""
    now = 0.0
    tried = guard(clock=lambda: now)
    mine = caller("127.0.0.1", ME).principal
    for _ in range(2):
        admit(tried, "127.0.0.1", ME, "PYRO:x@localhost:2")
        tried._failures.failed(mine)
    with pytest.raises(ValueError, match="subscribe again in 60 s"):
        admit(tried, "127.0.0.1", ME, "PYRO:x@localhost:2")
    admit(tried, "127.0.0.2", ME, "PYRO:x@localhost:2")
    now = 60.0
    admit(tried, "127.0.0.1", ME, "PYRO:x@localhost:2")


# Attacks


def test_another_host_is_not_connected_to(engine: Make, wire_client: Connect) -> None:
    """A scan through the event service ends with the first call; the refusals are counted."""
    client = wire_client(running := engine())
    for method in ("subscribe", "subscribeMatch"):
        with pytest.raises(ValueError, match="callback_allow"):
            client.call(method, ["a"], "PYRO:x@192.0.2.1:4000")
    with pytest.raises(ValueError, match="unknown here"):
        client.call("subscribe", ["a"], "PYRO:x@no-such-host.invalid:4000")
    assert running.subscriptions() == []
    assert refusals(running) == {"callback_allow": 3}


def test_a_scan_of_ports_is_slow(engine: Make, wire_client: Connect) -> None:
    """After ten new subscribers that can't be connected to, there are no more for a while."""
    client = wire_client(running := engine())
    for number in range(10):
        client.call("subscribe", ["a"], f"PYRO:x{number}@localhost:1")
    eventually(lambda: {each["state"] for each in running.subscriptions()} == {"retrying"})
    with pytest.raises(ValueError, match="could not be connected to"):
        client.call("subscribe", ["a"], "PYRO:y@localhost:1")
    assert refusals(running) == {"callback_failures": 1}


@contextmanager
def as_other() -> Iterator[None]:
    os.seteuid(OTHER)
    try:
        yield
    finally:
        os.seteuid(0)


@needs_root
def test_the_object_of_another_user_is_not_called(engine: Make, stock: Stock) -> None:
    """Not even its greeting is heard there, unless the address is allowed."""
    with as_other():
        daemon = stock()
    instrument = Recorder()
    uri = daemon.register(instrument, "instrument")
    running = engine()
    refused = pytest.raises(ValueError, match=f"another user .uid {OTHER}.")
    with proxy(running.uri) as attacker, refused:
        attacker.subscribe("a", uri)
    with proxy(engine(callback_allow=("127.0.0.1",)).uri) as friend:
        friend.subscribe("a", uri)
        friend.publish("a", 1)
        eventually(lambda: instrument.messages() == [1])


@needs_root
def test_nor_is_one_that_comes_later(engine: Make) -> None:
    """An attacker that waits for a port of another user gets no byte there."""
    running = engine()
    with ExitStack() as stack:
        free = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        port = free.getsockname()[1]
        free.close()
        attacker = stack.enter_context(proxy(running.uri))
        attacker.subscribe("a", f"PYRO:instrument@localhost:{port}")
        eventually(lambda: running.subscriber()["state"] == "retrying")
        with as_other():
            instrument = stack.enter_context(socket.create_server(("127.0.0.1", port)))
        connection = stack.enter_context(instrument.accept()[0])
        assert connection.recv(100) == b""


# The daemon of a helper


def test_only_the_event_service_calls_a_helper(engine: Make) -> None:
    """A stranger with the URI gets nothing in, and learns nothing; events still arrive."""
    running = engine()
    with Recording(running.uri, delivery="callback") as helper, Publisher(running.uri) as publisher:
        helper.subscribe("a")
        helper.start()
        uri = running.subscriber()["subscriber"]
        location = uri.partition("@")[2]
        for target in (uri, f"PYRO:Pyro.Daemon@{location}"):
            for key in ("hello", "", "0" * 32, None, ["x"]):
                refused = pytest.raises(CommunicationError, match="only the event service")
                with proxy(target, handshake=key) as stranger, refused:
                    stranger._pyroBind()
        key = helper._subscription._options["key"]  # type: ignore[attr-defined] # a Callback's
        assert key not in str([running.subscriptions(), running.statistics()])
        with proxy(f"PYRO:Pyro.Daemon@{location}", handshake=key) as informed:
            assert informed.registered() == []
            assert "subscriber" in informed.info()
        publisher.publish("a", 1)
        assert helper.wait(1) == [1]


def test_a_helper_is_told_why_it_is_not_called(tidy: None) -> None:
    """One behind a port forwarding needs `callback_allow`, and the error names it."""
    with EventService(register=False) as es:
        helper = Recording(es.uri, delivery="callback", nathost="192.0.2.1", natport=4000)
        with helper, pytest.raises(Refused, match="callback_allow"):
            helper.subscribe("a")
