"""Which addresses the event service agrees to call back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from Pyro5.core import URI

from pyro_events._broker.rpc.targets import is_loopback, subscriber_uri
from tests.events.service_harness import proxy

if TYPE_CHECKING:
    from tests.events.service_harness import Make


@pytest.mark.parametrize(
    ("text", "peer", "expected"),
    [
        ("PYRO:x@localhost:5", "127.0.0.1", "PYRO:x@localhost:5"),
        ("PYRO:x@lab:5", "10.0.0.7", "PYRO:x@lab:5"),
        ("pyro:x@lab:5", None, "PYRO:x@lab:5"),
        ("PYRO:x@0.0.0.0:5", "127.0.0.1", "PYRO:x@127.0.0.1:5"),
        ("PYRO:x@0.0.0.0:5", "10.0.0.7", "PYRO:x@10.0.0.7:5"),
        ("PYRO:x@0.0.0.0:5", None, "PYRO:x@127.0.0.1:5"),
        ("PYRO:x@[::]:5", "fe80::1", "PYRO:x@[fe80::1]:5"),
        ("PYRO:x@localhost:5", "10.0.0.7", "PYRO:x@10.0.0.7:5"),
        ("PYRO:x@127.0.0.1:5", "10.0.0.7", "PYRO:x@10.0.0.7:5"),
        ("PYRO:x@./u:/run/x", None, "PYRO:x@./u:/run/x"),
    ],
)
def test_usable_addresses(text: str, peer: str | None, expected: str) -> None:
    """An address that only makes sense on the caller's machine is replaced by the caller's."""
    assert str(subscriber_uri(text, peer)) == expected
    assert str(subscriber_uri(URI(text), peer)) == expected


@pytest.mark.parametrize(
    "text", ["PYRO:x@./u:/run/x", "PYRO:x@lab:0", "PYRO:x@lab:70000", "PYRONAME:x", "PYRO:x",
             "x", "", "PYRO:x@:5", f"PYRO:{'x' * 2000}@lab:5"]
)  # fmt: skip
def test_unusable_addresses(text: str) -> None:
    """An address that can't be called from here is a ValueError with the reason."""
    with pytest.raises(ValueError, match="subscriber"):
        subscriber_uri(text, "10.0.0.7")


def test_a_unix_socket_is_called_only_for_clients_on_unix_sockets() -> None:
    """A client on TCP may be any user of this machine, and must not use our permissions."""
    with pytest.raises(ValueError, match="event service's own Unix socket"):
        subscriber_uri("PYRO:x@./u:/run/x", "127.0.0.1")


def test_loopback() -> None:
    """This machine is known by its addresses."""
    assert all(map(is_loopback, ["127.0.0.1", "127.9.9.9", "::1", "localhost", None, ""]))
    assert not any(map(is_loopback, ["10.0.0.7", "lab", "fe80::1%eth0", "0.0.0.0"]))


def test_subscribers_are_limited(engine: Make) -> None:
    """The tables are bounded; a present subscriber may change its subscriptions."""
    running = engine(max_subscribers=2)
    with proxy(running.uri) as es:
        es.subscribe("a", "PYRO:x@localhost:1")
        es.subscribe("a", "PYRO:y@localhost:1")
        with pytest.raises(ValueError, match="2 subscribers"):
            es.subscribe("a", "PYRO:z@localhost:1")
        es.subscribe("b", "PYRO:x@localhost:1")
    assert len(running.subscriptions()) == 2
