"""Listening sockets that the manager holds for its services."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
import threading
from typing import Any

import pytest

from pyro_events._broker.net.socket_owner import SocketOwners
from pyroctl.kinds import TcpAddress, UnixAddress
from pyroctl.manager.process import listening
from pyroctl.manager.process.listening import AddressRefused, HeldSocket, lent_sockets
from tests.other_user import OTHER, needs_root


def port_of(held: HeldSocket) -> int:
    with socket.socket(fileno=os.dup(held.fileno())) as sock:
        return int(sock.getsockname()[1])


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1", "[::1]", "0.0.0.0", "::"])
def test_every_form_of_a_host_is_listened_on(host: str) -> None:
    """Names, both kinds of addresses, with brackets or without, and those that mean every one."""
    try:
        held = HeldSocket(TcpAddress(host, 0))
    except AddressRefused:
        if ":" in host and not socket.has_dualstack_ipv6():
            pytest.skip("no IPv6 here")
        raise
    client = "::1" if ":" in host else "127.0.0.1"
    with socket.create_connection((client, port_of(held)), 5):
        held.close()


@needs_root
def test_a_port_belongs_to_the_user_of_the_service() -> None:
    """The kernel tells it to an event service, for example, that is to call an object there."""
    held = HeldSocket(TcpAddress("127.0.0.1", 0), (OTHER, OTHER))
    owners = SocketOwners()
    assert owners.listening_user("127.0.0.1", port_of(held)) == OTHER
    owners.close()
    held.close()


def test_a_client_waits_until_a_process_accepts() -> None:
    """A held socket refuses no client, though no process serves on it."""
    held = HeldSocket(TcpAddress("localhost", 0))
    with socket.create_connection(("localhost", port_of(held)), 5) as client:
        client.sendall(b"early")
        with socket.socket(fileno=os.dup(held.fileno())) as later:
            connection, _ = later.accept()
            with connection:
                assert connection.recv(10) == b"early"
    held.close()


def test_a_port_that_is_taken_is_refused_with_its_address_and_a_way_out() -> None:
    """The refusal may be temporary, as the port may be free soon."""
    with socket.create_server(("localhost", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(AddressRefused, match=f"port {port} on localhost is taken") as refused:
            HeldSocket(TcpAddress("localhost", port))
    assert "another port" in str(refused.value)
    assert not refused.value.permanent


@pytest.mark.parametrize("host", ["no-such-host.invalid", "203.0.113.1", "bad\0name", "." * 300])
def test_a_host_that_is_not_ours_is_named(host: str) -> None:
    """Every error of a host is one sentence."""
    with pytest.raises(AddressRefused, match="is the host a name or address of this machine"):
        HeldSocket(TcpAddress(host, 0))


def test_a_lookup_that_takes_too_long_is_given_up(monkeypatch) -> None:
    """The manager waits a moment for the name of a host, and not until the network is back."""
    over = threading.Event()
    system = socket.getaddrinfo

    def slow(*args: Any, **more: Any) -> Any:
        if not more["flags"] & socket.AI_NUMERICHOST:
            over.wait(20)
        return system(*args, **more)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    monkeypatch.setattr(listening, "LOOKUP_TIMEOUT", 0.05)
    with pytest.raises(AddressRefused, match="lookup timed out"):
        HeldSocket(TcpAddress("localhost", 0))
    over.set()


def test_a_unix_socket_has_its_mode_and_goes_with_its_holder(tmp_path) -> None:
    """No client can connect before the permissions are set; the file is removed at the end."""
    path = tmp_path / "es.sock"
    held = HeldSocket(UnixAddress(str(path), 0o640))
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
    held.close()
    assert not path.exists()


def test_an_abandoned_unix_socket_is_replaced_and_one_in_use_is_not(tmp_path) -> None:
    """The socket of a killed process is replaced; one with a listener is not."""
    path = str(tmp_path / "es.sock")
    with socket.socket(socket.AF_UNIX) as abandoned:
        abandoned.bind(path)
    held = HeldSocket(UnixAddress(path))
    with pytest.raises(AddressRefused, match="taken by another program"):
        HeldSocket(UnixAddress(path))
    held.close()


def test_a_file_or_a_missing_directory_in_the_way_is_reported(tmp_path) -> None:
    """A regular file isn't touched; without the directory, trying again is pointless."""
    file = tmp_path / "file"
    file.write_text("mine")
    with pytest.raises(AddressRefused, match="taken"):
        HeldSocket(UnixAddress(str(file)))
    assert file.read_text() == "mine"
    with pytest.raises(AddressRefused, match="directory doesn't exist") as refused:
        HeldSocket(UnixAddress(str(tmp_path / "no" / "es.sock")))
    assert refused.value.permanent
    with pytest.raises(AddressRefused, match="of at most 100 characters"):
        HeldSocket(UnixAddress(str(tmp_path / ("x" * 200))))


def test_sockets_that_our_own_manager_holds_are_known_by_name() -> None:
    """LISTEN_FDNAMES names their services; sockets meant for another process are not taken."""
    environ = {"LISTEN_PID": "7", "LISTEN_FDS": "2", "LISTEN_FDNAMES": "ns:es"}
    assert lent_sockets(environ, 8) == {}
    assert lent_sockets({}, 8) == {}
    script = (
        "import os, socket; from pyroctl.manager.process.listening import lent_sockets\n"
        "a, b = (socket.create_server(('localhost', 0)) for _ in 'ab')\n"
        "os.dup2(a.fileno(), 3); os.dup2(b.fileno(), 4)\n"
        f"found = lent_sockets({environ}, 7)\n"
        "print(found, os.get_inheritable(4))\n"
        "os._exit(0)"
    )
    code = [
        sys.executable,
        "-c",
        script.replace("os._exit", "import sys; sys.stdout.flush(); os._exit"),
    ]
    output = subprocess.run(code, capture_output=True, text=True, check=True, timeout=20).stdout
    assert output == "{'ns': 3, 'es': 4} False\n"
