"""This project's event service."""

from __future__ import annotations

import contextlib
import sys
import threading
from typing import TYPE_CHECKING, Literal

from benchmarks.events.message import SUBJECT
from benchmarks.events.processes import Broker, first_line, program
from benchmarks.events.system import System

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from benchmarks.events.message import Message, Plan

Delivery = Literal["stream", "callback", "stock"]
_TITLES = {
    "stream": "helpers, stream",
    "callback": "helpers, callback",
    "stock": "stock Pyro5 subscribers",
}


class EventService(System):
    """Helpers or stock Pyro5 daemons as subscribers; a helper publishes, by `post` or `publish`."""

    def __init__(self, delivery: Delivery, *, acked: bool = False) -> None:
        self.delivery = delivery
        self.acked = acked
        self.name = f"es-{delivery}" + ("-publish" if acked else "")
        self.title = f"event service, {_TITLES[delivery]}"

    @contextlib.contextmanager
    def broker(self, directory: Path) -> Iterator[Broker]:
        with program([sys.executable, "-m", "pyro_events", "-N", "-p", "0", "-q"], directory) as es:
            yield Broker(first_line(es).split()[0], es.pid)

    def publish(self, address: str, plan: Plan) -> None:
        from pyro_events import Publisher

        with Publisher(address, timeout=60) as publisher:
            publisher.publish("hello", None)
            send = publisher.publish if self.acked else publisher.post
            for message in plan:
                send(SUBJECT, message)
            publisher.flush()

    def subscribe(
        self, address: str, ready: Callable[[], None], take: Callable[[Message], None]
    ) -> None:
        subscribe = _stock if self.delivery == "stock" else self._helper
        subscribe(address, ready, take)

    def _helper(
        self, address: str, ready: Callable[[], None], take: Callable[[Message], None]
    ) -> None:
        from pyro_events import Event, Subscriber

        assert self.delivery != "stock"

        class Listener(Subscriber):
            def event(self, event: Event) -> None:
                take(event.msg)

        with Listener(address, delivery=self.delivery) as listener:
            listener.subscribe(SUBJECT)
            ready()
            listener.listen()


def _stock(address: str, ready: Callable[[], None], take: Callable[[Message], None]) -> None:
    import Pyro5.api

    from pyro_events import Event

    @Pyro5.api.expose
    class Listener:
        def event(self, event: Event) -> None:
            take(event.msg)

    daemon = Pyro5.api.Daemon(host="localhost")
    uri = daemon.register(Listener())
    threading.Thread(target=daemon.requestLoop, daemon=True).start()
    with Pyro5.api.Proxy(address) as es:
        es.subscribe(SUBJECT, uri)
    ready()
    threading.Event().wait()
