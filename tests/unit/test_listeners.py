"""Which process listens where, as proc(5) tells it."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest

from pyroctl.manager.process.listeners import is_at, is_ours, places_of, plain

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0", "::1", "::"])
def test_a_tcp_socket_is_found_by_its_process(address: str) -> None:
    """With address and port, whatever the version of IP."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, 0), family=family) as sock:
        place = (address, sock.getsockname()[1])
        assert places_of({7: [os.getpid()], 8: [1]})[place] == 7
    assert place not in places_of({7: [os.getpid()]})


def test_a_unix_socket_is_found_by_its_path(tmp_path: Path) -> None:
    """Blanks included; an abstract one begins with an @."""
    abstract = f"pyroctl-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as one, socket.socket(socket.AF_UNIX) as other:
        one.bind(str(tmp_path / "a b"))
        other.bind("\0" + abstract)
        assert str(tmp_path / "a b") not in places_of({7: [os.getpid()]})  # nothing listens yet
        one.listen()
        other.listen()
        found = places_of({7: [os.getpid()]})
    assert (found[str(tmp_path / "a b")], found["@" + abstract]) == (7, 7)


def test_a_place_is_reached_by_its_address_or_any_of_this_machine() -> None:
    """Another machine's address is never ours, even with the same port."""
    assert is_at(("127.0.0.1", 5), {"127.0.0.1", "::1"}, 5)
    assert not is_at(("127.0.0.1", 5), {"127.0.0.1"}, 6)
    assert not is_at(("127.0.0.1", 5), {"192.0.2.1"}, 5)
    assert is_at(("0.0.0.0", 5), {"127.0.0.9"}, 5)
    assert not is_at(("::", 5), {"192.0.2.1"}, 5)
    assert not is_at("/run/x.sock", {"127.0.0.1"}, 5)
    assert (is_ours("127.0.0.1"), is_ours("192.0.2.1")) == (True, False)
    assert plain("::ffff:10.0.0.1") == "10.0.0.1"
