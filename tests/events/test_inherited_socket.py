"""A listening socket that is held for the event service (sd_listen_fds(3))."""

from __future__ import annotations

import signal
import socket
from typing import TYPE_CHECKING

import pytest

from pyro_events import Publisher
from pyro_events._broker.net.address import location
from tests.events.client_fixtures import Recording
from tests.events.service_harness import WireClient, proxy

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.events.held_service import HeldService
    from tests.events.service_harness import Start

    Held = Callable[..., HeldService]


def test_clients_wait_while_no_process_serves(held: Held) -> None:
    """Between two processes connections are neither refused nor lost."""
    es = held()
    es.kill()
    with WireClient(int(es.uri.rpartition(":")[2])) as client:
        client.send(1, b"\x82\xa9handshake\xa5hello\xa6object\xb1Pyro.EventService")
        es.start()
        answer = client.frame()
    assert answer is not None
    assert answer.type == 2


def test_a_unix_socket_stays_where_it_is(held: Held, tmp_path: Path) -> None:
    """It is served like any other, and its file stays over a restart and a crash."""
    path = tmp_path / "es.sock"
    es = held("-N", "-q", "-n", f"./u:{path}", path=path)
    with Recording(es.uri) as subscriber, Publisher(es.uri) as publisher:
        subscriber.subscribe("a")
        subscriber.start()
        publisher.publish("a", 1)
        es.restart()
        publisher.publish("a", 2)
        subscriber.wait(2)
        es.crash()
        publisher.publish("a", 3)
        assert subscriber.wait(3) == [1, 2, 3]
    es.end(signal.SIGTERM)
    assert path.is_socket()
    es.start()


def test_the_host_of_the_uri_is_the_configured_one(held: Held) -> None:
    """The port is the socket's, whatever the value of -p."""
    es = held("-N", "-q", "-n", "localhost", "-p", "1")
    with proxy(es.uri) as remote:
        assert remote.statistics()["uri"] == es.uri


def test_the_socket_decides_what_the_uri_is(tmp_path: Path) -> None:
    """It overrides a different configured host; the wildcard address gives this machine's name."""
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_UNIX) as unix:
        port = tcp.getsockname()[1]
        unix.bind(str(tmp_path / "x"))
        assert location("./u:/somewhere", tcp) == f"127.0.0.1:{port}"
        assert location("localhost", unix) == f"./u:{tmp_path / 'x'}"
        assert location("::1", tcp) == f"[::1]:{port}"
        assert location("0.0.0.0", tcp) == f"{socket.gethostname()}:{port}"


LAUNCH = """
import os, sys
os.environ["LISTEN_PID"] = os.environ["FOR"] or str(os.getpid())
os.dup2(int(sys.argv[1]), 3)
os.execv(sys.executable, [sys.executable, *sys.argv[2:]])
"""


@pytest.mark.parametrize("whose", ["1", ""])
def test_sockets_for_another_process_are_left_alone(process: Start, whose: str) -> None:
    """With another process' variables, or a socket that doesn't listen, it binds its own."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        es = process(
            "-c", LAUNCH, str(sock.fileno()), "-m", "pyro_events", "-N", "-p", "0",
            pass_fds=[sock.fileno()], LISTEN_FDS="1", FOR=whose,
        )  # fmt: skip
        uri = es.first_line.split()[0]
        assert not uri.endswith(f":{sock.getsockname()[1]}")
        with proxy(uri) as remote:
            assert remote.statistics()["uri"] == uri
    es.signal(signal.SIGTERM)
    status, _, err = es.end()
    assert status == 0
    assert ("doesn't listen" in err) == (whose == "")
