"""An event service that runs alone, dies, and is started again by hand, somewhere else."""

from __future__ import annotations

import signal
import socket
from typing import TYPE_CHECKING

from pyro_events import Publisher
from tests.events.client_fixtures import Recording
from tests.harness import eventually

if TYPE_CHECKING:
    from tests.events.service_harness import Process, Start

NAME_SERVER = """
import sys
from Pyro5.nameserver import start_ns
uri, daemon, broadcast = start_ns("localhost", int(sys.argv[1]), enableBroadcast=False)
print(uri.location, flush=True)
daemon.requestLoop()
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def start_es(process: Start, names: int) -> Process:
    return process("-m", "pyro_events", "-q", "--ns", f"localhost:{names}")


def test_helpers_find_it_on_another_port(process: Start) -> None:
    """They need no help, even if the name server was restarted and forgot everything."""
    port = free_port()
    names = process("-c", NAME_SERVER, str(port))
    es = start_es(process, port)
    where = f"PYRONAME:Pyro.EventService@localhost:{port}"
    with (
        Recording(where) as stream,
        Recording(where, delivery="callback") as callback,
        Publisher(where, timeout=30) as publisher,
    ):
        for each in (stream, callback):
            each.subscribe("a")
            each.start()
        publisher.publish("a", 1)
        for each in (stream, callback):
            each.wait(1)
        first = es.first_line.split()[0]
        es.signal(signal.SIGKILL)
        es.end()
        publisher.post("a", "while nobody was there")
        names.signal(signal.SIGKILL)
        names.end()
        process("-c", NAME_SERVER, str(port))
        es = start_es(process, port)
        assert es.first_line.split()[0] != first
        both = (stream, callback)
        eventually(lambda: all(each.hook_names().count("connected") == 2 for each in both))
        publisher.publish("a", 2)
        for each in (stream, callback):
            eventually(lambda each=each: each.messages()[-1] == 2)
            assert set(each.messages()) <= {1, "while nobody was there", 2}
            assert [gap["missed"] for gap in each.gaps()] == [None]


def test_an_orderly_end_loses_nothing(process: Start) -> None:
    """A subscriber that reconnects before the next event has missed nothing."""
    port = free_port()
    process("-c", NAME_SERVER, str(port))
    es = start_es(process, port)
    where = f"PYRONAME:Pyro.EventService@localhost:{port}"
    with Recording(where) as subscriber:
        subscriber.subscribe("a")
        subscriber.start()
        with Publisher(where) as publisher:
            publisher.publish("a", 1)
        subscriber.wait(1)
        es.signal(signal.SIGTERM)
        es.end()
        start_es(process, port)
        eventually(lambda: subscriber.hook_names().count("connected") == 2)
        with Publisher(where) as publisher:
            publisher.publish("a", 2)
        assert subscriber.wait(2) == [1, 2]
        assert subscriber.gaps() == []
