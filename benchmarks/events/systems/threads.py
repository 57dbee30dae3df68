"""The obvious event service with Pyro5: a queue, a thread and a proxy for every subscriber.

Run as a program it is that service.
"""

# ruff: noqa: PLC0415 - every process imports what it needs, and a rival may not be there
from __future__ import annotations

import contextlib
import sys
import threading
from queue import Queue
from typing import TYPE_CHECKING, Any

from benchmarks.events.message import SUBJECT
from benchmarks.events.processes import Broker, first_line, program
from benchmarks.events.system import System

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from benchmarks.events.message import Message, Plan

_QUEUE = 1000


class Threads(System):
    """`serializer` is the one of all calls; serpent is Pyro5's default."""

    acked = True

    def __init__(self, serializer: str = "serpent") -> None:
        self.serializer = serializer
        self.name = "threads" + ("" if serializer == "serpent" else f"-{serializer}")
        self.title = f"thread per subscriber, Pyro5 with {serializer}"

    @contextlib.contextmanager
    def broker(self, directory: Path) -> Iterator[Broker]:
        with program([sys.executable, __file__, self.serializer], directory) as service:
            yield Broker(first_line(service), service.pid)

    def publish(self, address: str, plan: Plan) -> None:
        with self._proxy(address) as service:
            service._pyroBind()  # noqa: SLF001 - a proxy's public methods begin so
            for message in plan:
                service.publish(SUBJECT, message)

    def subscribe(
        self, address: str, ready: Callable[[], None], take: Callable[[Message], None]
    ) -> None:
        import Pyro5.api

        @Pyro5.api.expose
        class Listener:
            def event(self, _subject: str, message: Message) -> None:
                take(message)

        daemon = Pyro5.api.Daemon(host="localhost")
        uri = str(daemon.register(Listener()))
        threading.Thread(target=daemon.requestLoop, daemon=True).start()
        with self._proxy(address) as service:
            service.subscribe(SUBJECT, uri)
        ready()
        threading.Event().wait()

    def idle(self, address: str, number: int) -> object:
        daemon, uris = idle_objects(number)
        with self._proxy(address) as service:
            for each, uri in enumerate(uris):
                service.subscribe(f"idle.{each}", uri)
        return daemon

    def _proxy(self, address: str) -> Any:
        import Pyro5.api

        proxy = Pyro5.api.Proxy(address)
        proxy._pyroSerializer = self.serializer  # noqa: SLF001 - the same
        return proxy


def idle_objects(number: int) -> tuple[Any, list[str]]:
    """Return a daemon in a thread of its own, and the addresses of `number` objects in it."""
    import Pyro5.api

    @Pyro5.api.expose
    class Listener:
        def event(self, *event: object) -> None:
            """Take the event."""

    Pyro5.config.SERVERTYPE = "multiplex"  # one thread for all of them
    daemon = Pyro5.api.Daemon(host="localhost")
    uris = [str(daemon.register(Listener())) for _ in range(number)]
    threading.Thread(target=daemon.requestLoop, daemon=True).start()
    return daemon, uris


def serve(serializer: str) -> None:
    """Run the service."""
    import Pyro5.api

    Pyro5.config.SERIALIZER = serializer
    Pyro5.config.THREADPOOL_SIZE = 10_000

    @Pyro5.api.expose
    class Service:
        def __init__(self) -> None:
            self._queues: dict[str, list[Queue[Any]]] = {}

        def subscribe(self, subject: str, uri: str) -> None:
            queue: Queue[Any] = Queue(_QUEUE)
            self._queues.setdefault(subject, []).append(queue)
            threading.Thread(target=_deliver, args=(uri, queue), daemon=True).start()

        def publish(self, subject: str, message: Any) -> None:
            for queue in self._queues.get(subject, ()):
                queue.put((subject, message))

    daemon = Pyro5.api.Daemon(host="localhost")
    print(daemon.register(Service()), flush=True)
    daemon.requestLoop()


def _deliver(uri: str, queue: Queue[Any]) -> None:
    import Pyro5.api

    with Pyro5.api.Proxy(uri) as subscriber:
        subscriber._pyroBind()  # noqa: SLF001 - a proxy's public methods begin so
        while True:
            subscriber.event(*queue.get())


if __name__ == "__main__":
    serve(sys.argv[1])
