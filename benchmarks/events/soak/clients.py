"""Every way to publish and to subscribe, behind one interface each."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import Pyro5.api

from pyro_events import AsyncSubscriber, Publisher, Subscriber, identified

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pyro_events import Event

RECEIVERS = ("stream", "callback", "stock", "async")
SENDERS = ("post", "publish", "stock")
PATIENCE = 30.0
"""Seconds that a stock client waits for an answer."""


class Door(NamedTuple):
    """An event service, and what clients need there; stock proxies use no TLS."""

    uri: str
    tls: str | None = None
    ident: str | None = None

    @property
    def port(self) -> int:
        """Return the TCP port."""
        return int(self.uri.rpartition(":")[2])

    def helper(self) -> dict[str, Any]:
        """Return what helpers need besides the URI."""
        return {"tls": self.tls, "ident": self.ident}

    def proxy(self) -> Pyro5.api.Proxy:
        """Return a stock proxy."""
        proxy = Pyro5.api.Proxy(self.uri)
        proxy._pyroTimeout = PATIENCE  # noqa: SLF001 - Pyro5's public names look like that
        return proxy if self.ident is None else identified(proxy, ident=self.ident)


class Receiver(Protocol):
    """A subscriber that is listening."""

    @property
    def trouble(self) -> int:
        """Count gaps and new connections, of which a healthy one has none."""

    def subscribe(self, subjects: Sequence[str], patterns: Sequence[str]) -> None:
        """Ask for more."""

    def unsubscribe(self, texts: Sequence[str]) -> None:
        """Ask for less."""

    def close(self) -> None:
        """Leave in order."""


def receiver(kind: str, door: Door, take: Callable[[Event], object], **options: Any) -> Receiver:
    """Make a receiver; `take` is called by a thread of its own, `options` are the helpers'."""
    if kind == "stock":
        return _Stock(door.proxy(), take, options)
    options |= door.helper()
    if kind == "async":
        return _Async(door.uri, take, options)
    return _Helper(door.uri, take, {"delivery": kind, **options})


class _Helper:
    def __init__(self, uri: str, take: Callable[[Event], object], options: dict[str, Any]) -> None:
        self._subscriber = _Listener(uri, **options)
        self._subscriber.take = take
        self._thread = threading.Thread(target=self._subscriber.listen, daemon=True)
        self._thread.start()

    @property
    def trouble(self) -> int:
        counts = self._subscriber.statistics()
        return counts["gaps"] + counts["reconnects"]

    def subscribe(self, subjects: Sequence[str], patterns: Sequence[str]) -> None:
        if subjects:
            self._subscriber.subscribe(subjects)
        if patterns:
            self._subscriber.subscribeMatch(patterns)

    def unsubscribe(self, texts: Sequence[str]) -> None:
        self._subscriber.unsubscribe(texts)

    def close(self) -> None:
        self._subscriber.close()
        self._thread.join()


class _Listener(Subscriber):
    take: Callable[[Event], object]

    def event(self, event: Event) -> None:
        self.take(event)


class _Async:
    def __init__(self, uri: str, take: Callable[[Event], object], options: dict[str, Any]) -> None:
        self._loop = asyncio.new_event_loop()
        self._entered = threading.Event()
        self._subscriber: _Iterated
        self._iteration = self._loop.create_task(self._run(uri, take, options))
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._entered.wait()

    @property
    def trouble(self) -> int:
        return self._subscriber.trouble

    def subscribe(self, subjects: Sequence[str], patterns: Sequence[str]) -> None:
        if subjects:
            self._do(self._subscriber.subscribe(subjects))
        if patterns:
            self._do(self._subscriber.subscribeMatch(patterns))

    def unsubscribe(self, texts: Sequence[str]) -> None:
        self._do(self._subscriber.unsubscribe(texts))

    def close(self) -> None:
        self._do(self._leave())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _leave(self) -> None:
        """Close, and wait for the end of the iteration, in the loop, which goes on until then."""
        await self._subscriber.close()
        await self._iteration

    async def _run(self, uri: str, take: Callable[[Event], object], options: Any) -> None:
        async with _Iterated(uri, **options) as self._subscriber:
            self._entered.set()
            async for event in self._subscriber:
                take(event)


class _Iterated(AsyncSubscriber):
    trouble = 0

    def gap(self, notice: dict[str, Any]) -> None:  # noqa: ARG002 - it is a hook
        self.trouble += 1

    def disconnected(self, notice: dict[str, Any]) -> None:  # noqa: ARG002 - the same
        self.trouble += 1


class _Stock:
    """An object in a Pyro5 daemon, subscribed over a proxy; no helper takes part."""

    trouble = 0

    def __init__(
        self, es: Pyro5.api.Proxy, take: Callable[[Event], object], options: dict[str, Any]
    ) -> None:
        self._options = {key: value for key, value in options.items() if key != "name"}
        self._daemon = Pyro5.api.Daemon(host="localhost")
        self._uri = str(self._daemon.register(Target(take)))
        self._thread = threading.Thread(target=self._daemon.requestLoop, daemon=True)
        self._thread.start()
        self._es = es

    def subscribe(self, subjects: Sequence[str], patterns: Sequence[str]) -> None:
        if subjects:
            self._es.subscribe(list(subjects), self._uri, **self._options)
        if patterns:
            self._es.subscribeMatch(list(patterns), self._uri, **self._options)

    def unsubscribe(self, texts: Sequence[str]) -> None:
        self._es.unsubscribe(list(texts), self._uri)

    def close(self) -> None:
        self._es._pyroRelease()  # noqa: SLF001 - the same
        self._daemon.shutdown()
        self._thread.join()


@Pyro5.api.expose
class Target:
    def __init__(self, take: Callable[[Event], object]) -> None:
        self._take = take

    def event(self, event: Event) -> None:
        self._take(event)


class Sender:
    """A publisher of one of three kinds; belongs to one thread."""

    def __init__(self, kind: str, door: Door, serializer: str = "serpent") -> None:
        self._proxy = self._publisher = None
        if kind == "stock":
            self._proxy = door.proxy()
            self._proxy._pyroSerializer = serializer  # noqa: SLF001 - the same
            self.send = self._proxy.publish
        else:
            self._publisher = Publisher(door.uri, timeout=PATIENCE, **door.helper())
            self.send = getattr(self._publisher, kind)

    @property
    def trouble(self) -> int:
        """What was refused or sent again."""
        if self._publisher is None:
            return 0
        counts = self._publisher.statistics()
        return counts["failed"] + counts["retries"]

    def close(self) -> None:
        """Flush, and leave."""
        if self._publisher is not None:
            self._publisher.close()
        if self._proxy is not None:
            self._proxy._pyroRelease()  # noqa: SLF001 - the same
