"""An event service without a free file descriptor serves, and tells new clients the reason."""

from __future__ import annotations

import contextlib
import resource
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from Pyro5.errors import CommunicationError

from pyro_events import Publisher
from pyro_events.errors import Refused
from tests.events.service_harness import WireClient, proxy
from tests.harness import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.events.service_harness import Start


@contextlib.contextmanager
def no_more_descriptors(pid: int) -> Iterator[None]:
    """Allow the process those descriptors that it has."""
    soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    used = max(int(path.name) for path in Path(f"/proc/{pid}/fd").iterdir())
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (used + 1, hard))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))


def test_new_clients_are_told_and_others_are_served(process: Start) -> None:
    """Helpers and stock proxies get the reason at once; it is counted, and ends with its cause."""
    es = process("-m", "pyro_events", "-N", "-q")
    uri = es.first_line.split()[0]
    port = int(uri.rpartition(":")[2])
    with WireClient(port) as pair:
        pair.greet()
        pair.attach("pair", ["pair"])
        with no_more_descriptors(es.pid), contextlib.ExitStack() as stack:
            while True:  # gaps among the numbers are taken by clients
                client = stack.enter_context(WireClient(port))
                if b"descriptors" in client.greet().data:
                    break
            for serializer in ("serpent", "json", "msgpack"):
                with (
                    proxy(uri, serializer) as stock,
                    pytest.raises(CommunicationError, match="no more file descriptors"),
                ):
                    stock.statistics()
            with pytest.raises(Refused, match="file descriptors"), Publisher(uri) as publisher:
                publisher.publish("pair", 1)
            for _ in range(100):  # as many at once as like; none has to wait for another one
                stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            pair.call("publish", "pair", 1)
            assert len(pair.events(1)) == 1
            eventually(lambda: pair.call("statistics")["refusals"]["descriptors"] >= 105)
        with proxy(uri) as stock:
            stock.publish("pair", 2)
        assert len(pair.events(1)) == 1
    es.process.terminate()
    status, _, err = es.end()
    assert (status, "Traceback" in err) == (0, False)
    assert "no more file descriptors (see ulimit -n)" in err
    assert err.count("\n") < 20
