"""This project's event service."""

# ruff: noqa: PLC0415 - every process imports what it needs, and a rival may not be there
from __future__ import annotations

import contextlib
import sys
import threading
import time
from typing import TYPE_CHECKING, Literal

from benchmarks.events.certificates import make_certificates
from benchmarks.events.message import SUBJECT
from benchmarks.events.processes import Broker, first_line, program
from benchmarks.events.sockets import open_idle
from benchmarks.events.system import System
from benchmarks.events.systems.threads import idle_objects

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

    def __init__(
        self, delivery: Delivery, *, acked: bool = False, tls: bool = False, unix: bool = False
    ) -> None:
        self.delivery = delivery
        self.acked = acked
        self.tls = tls
        self.unix = unix
        words = ["publish"] * acked + ["tls"] * tls + ["unix"] * unix
        self.name = "-".join([f"es-{delivery}", *words])
        how = [_TITLES[delivery], *["TLS"] * tls, *["Unix socket"] * unix]
        self.title = ", ".join(["event service", *how])

    @contextlib.contextmanager
    def broker(self, directory: Path) -> Iterator[Broker]:
        argv = [sys.executable, "-m", "pyro_events", "-N", "-p", "0", "-q"]
        if self.unix:
            argv += ["-n", f"./u:{directory}/socket"]
        certificates = ""
        if self.tls:
            certificates = make_certificates(directory)
            argv += ["--tls=required", f"--tls-certificate={certificates}/cert.pem"]
        with program(argv, directory) as es:
            yield Broker(f"{first_line(es).split()[0]} {certificates}".strip(), es.pid)

    def publish(self, address: str, plan: Plan) -> None:
        from pyro_events import Publisher

        uri, tls = _place(address)
        with Publisher(uri, timeout=60, patience=None, tls=tls) as publisher:
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

        uri, tls = _place(address)
        with Listener(uri, delivery=self.delivery, tls=tls) as listener:
            listener.subscribe(SUBJECT)
            ready()
            listener.listen()

    def idle(self, address: str, number: int) -> object:
        return _idle_stock(address, number) if self.delivery == "stock" else _idle(address, number)

    def patterns(self, address: str, number: int) -> object:
        from pyro_events import Event, Subscriber

        class Nobody(Subscriber):
            def event(self, event: Event) -> None:
                """Do nothing: none comes."""

        subscriber = Nobody(address)
        subscriber.subscribeMatch([rf"none\.{each}\..*" for each in range(number)])
        return subscriber


def _place(address: str) -> tuple[str, str | None]:
    """Return the URI, and the directory with a certificate if it is needed."""
    uri, _, tls = address.partition(" ")
    return uri, tls or None


def _stock(address: str, ready: Callable[[], None], take: Callable[[Message], None]) -> None:
    import Pyro5.api

    from pyro_events import Event  # noqa: TC001 - it registers the class of what comes

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


def _idle(address: str, number: int) -> object:
    """Attach bare connections as streams."""
    from Pyro5.serializers import serializers

    from pyro_events._client.calls import encode_call
    from pyro_events._protocol.event import EVENTSERVICE_NAME
    from pyro_wire import framing

    greeting = {"pyro_events": 2, "role": "subscriber"}
    hello = serializers["msgpack"].dumps({"handshake": greeting, "object": EVENTSERVICE_NAME})
    connect = framing.encode_frame(framing.CONNECT, framing.MSGPACK, 0, 0, hello)

    def request(each: int) -> bytes:
        params = [f"idle{each}", [f"idle.{each}"], [], {}]
        return connect + encode_call(1, EVENTSERVICE_NAME, "attach", params)

    def answered(answer: bytes) -> bool:
        reader = framing.FrameReader(1 << 20)
        reader.feed(answer)
        frames = list(reader)
        if len(frames) == 2 and frames[1].flags & framing.EXCEPTION:
            raise RuntimeError(f"refused: {frames[1].data!r:.200}")
        return len(frames) == 2

    port = int(address.rpartition(":")[2])
    return open_idle(port, map(request, range(number)), answered)


def _idle_stock(address: str, number: int) -> object:
    import Pyro5.api

    daemon, uris = idle_objects(number)
    with Pyro5.api.Proxy(address) as es:
        for each, uri in enumerate(uris):
            es.subscribe(f"idle.{each}", uri)
        while any(known["state"] != "connected" for known in es.subscriptions()):
            time.sleep(0.2)
    return daemon
