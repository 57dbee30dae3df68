"""The identity of a client before its handshake: what the kernel tells, and its address."""

from __future__ import annotations

import os
import socket
import struct
import threading
from typing import TYPE_CHECKING

import msgpack
import pytest

from pyro_events._broker.net.socket_owner import (
    NoListener,
    PeerGone,
    SocketOwners,
    is_own,
    plain_address,
)
from pyro_events._broker.principal import Principal, principal_at
from pyro_events._broker.rules import Rule
from pyro_wire import framing
from tests.events.service_harness import WireClient

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.events.service_harness import Make

ME = os.getuid()


@pytest.fixture
def owners() -> Iterator[SocketOwners]:
    made = SocketOwners()
    yield made
    made.close()


@pytest.mark.parametrize(
    ("address", "user", "expected"),
    [
        (None, 7, Principal("user", "uid:7")),
        ("127.0.0.1", 7, Principal("user", "uid:7")),
        ("::1", 7, Principal("user", "uid:7")),
        ("192.168.1.9", 7, Principal("user", "uid:7")),
        ("127.0.0.2", 7, Principal("user", "uid:7@127.0.0.2")),
        ("127.0.0.1", None, Principal("address", "127.0.0.1")),
        ("192.168.1.9", None, Principal("address", "192.168.1.9")),
    ],
)
def test_a_user_of_this_machine_is_known_by_the_user_others_by_their_address(
    address: str | None, user: int | None, expected: Principal
) -> None:
    """The same user is the same principal over TCP and over the Unix socket."""
    assert principal_at(address, user) == expected


def test_a_user_s_addresses_have_one_account() -> None:
    """So that they have the places of one client together; others have their own."""
    me, elsewhere = principal_at("127.0.0.1", 7), principal_at("127.0.0.2", 7)
    assert me != elsewhere
    assert me.account == elsewhere.account == me
    for other in (principal_at("127.0.0.2", None), Principal("certificate", "uid:7@127.0.0.2")):
        assert other.account == other


@pytest.mark.parametrize("reset", [True, False])
def test_who_leaves_before_it_is_accepted_is_not_served(engine: Make, reset: bool) -> None:
    """Its user can't be told any more; as an address it might be allowed more than its user."""
    running = engine(allow=(Rule(("127.0.0.1",), publish=(".*",)),))
    blocked = threading.Event()

    def block() -> None:
        blocked.wait(10)

    running.engine.loop.call_soon(block)
    body = {"handshake": "x", "object": "Pyro.EventService"}
    hello = framing.encode_frame(framing.CONNECT, framing.MSGPACK, 0, 0, msgpack.packb(body))
    call = msgpack.packb(["Pyro.EventService", "publish", ["a", 1], {}])
    publish = framing.encode_frame(framing.INVOKE, framing.MSGPACK, framing.ONEWAY, 1, call)
    try:
        with socket.create_connection(("127.0.0.1", running.port)) as client:
            client.sendall(hello + publish)
            if reset:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    finally:
        blocked.set()
    with WireClient(running.port) as witness:
        witness.greet()
        assert witness.call("statistics")["connections"] == 1
    assert running.statistics()["published"] == 0


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "::"])
def test_the_kernel_tells_who_is_at_the_other_end(owners: SocketOwners, host: str) -> None:
    """Of exactly one connection; once the other end is closed, it can't be told any more."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    to = "127.0.0.1" if host == "::" else host
    with socket.create_server((host, 0), family=family, dualstack_ipv6=host == "::") as server:
        port = server.getsockname()[1]
        with socket.create_connection((to, port)) as client:
            served, address = server.accept()
            with served:
                assert plain_address(address[0]) == to
                assert owners.peer_user(served) == ME
                assert owners.listening_user(to, port) == ME
                client.close()
                with pytest.raises(PeerGone):
                    owners.peer_user(served)
    with pytest.raises(NoListener):
        owners.listening_user(to, port)


@pytest.mark.skipif(ME != 0, reason="only root can be another user")
def test_it_tells_of_other_users(owners: SocketOwners) -> None:
    """A socket belongs to the user who has made it, whoever asks."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname()).close()  # what it imports may not be others'
        server.accept()[0].close()
        os.seteuid(1234)
        try:
            foreign = socket.create_server(("127.0.0.1", 0))
            client = socket.create_connection(server.getsockname())
        finally:
            os.seteuid(0)
        served, _ = server.accept()
        with foreign, client, served:
            assert owners.peer_user(served) == 1234
            assert owners.listening_user(*foreign.getsockname()) == 1234


def test_without_netlink_nothing_is_known() -> None:
    """It is not an error: then the address has to do."""
    owners = SocketOwners()
    owners.close()
    with socket.create_server(("127.0.0.1", 0)) as server:
        with socket.create_connection(server.getsockname()), server.accept()[0] as served:
            assert owners.peer_user(served) is None
        assert owners.listening_user(*server.getsockname()) is None


def test_own_addresses() -> None:
    """All of the loopback network, and none of another network."""
    assert [is_own(each) for each in ("127.0.0.1", "127.8.8.8", "::1")] == [True] * 3
    assert [is_own(each) for each in ("192.0.2.1", "2001:db8::1", "224.0.0.1", "::")] == [False] * 4
