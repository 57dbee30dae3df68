"""The streams of all browsers: makes, finds and ends them, and gives each what it wants.

Messages of a stream (server-sent events), each with JSON as data:

* `hello`: `{"id": ID}`, the first; the ID is for `POST api/v1/stream/ID {"topics": […]}`.
* `reset`: `{}`: what came meanwhile is not kept any more; everything follows as in a new stream.
* `state`: the whole data of `GET api/v1/status`, at most four a second.
* `manager`: `{"alive", "error"}`, when the manager ends, does not answer, or is back.
* `sample`: see `live.samples`.
* `operation`: `{"id", "do", "services", "state", "messages", "errors"}`, see `api.operations`.
* `log`: `{"topic", "lines": [{"time", "service", "stream", "text"}], "missed"}`.
* `tap`: `{"topic", "events": [{"n", "time", "service", "subject", "text", "truncated"}],
  "missed"}`.
* `timeline`: one entry of `GET api/v1/timeline`.
* `gap`: `{"missed"}`: the browser was too slow for so many messages.

Topics are `log:SERVICE`, `log:*`, `tap:SERVICE:PATTERN` and `timeline`; all else is always sent.
"""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING, Any

from pyroctl.web.live.stream import Stream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

MOST_STREAMS = 64
"""Then the one that is longest without a browser ends, or else the oldest."""
LINGER = 60.0
"""Seconds that a stream waits for its browser to come back."""
COMMENT_INTERVAL = 15.0
"""Seconds after which something is sent, so that nobody between takes the connection for dead."""
MOST_TOPICS = 50


class Listener:
    """A stream, and the connection that it has at the moment."""

    def __init__(self, stream: Stream, role: str) -> None:
        self.stream = stream
        self.role = role
        self.connection: asyncio.Event | None = None
        """Set to send what waits; None without a connection."""
        self.left_at = 0.0

    def put(self, kind: str, data: Any) -> None:
        """Send a message, or keep it for a browser that comes back."""
        self.stream.put(kind, data)
        if self.connection is not None:
            self.connection.set()


class Hub:
    """Lives in the event loop's thread. `begin` greets each new stream with what there is."""

    def __init__(self, begin: Callable[[Listener], None]) -> None:
        self.listeners: dict[str, Listener] = {}
        self.changed: list[Callable[[], None]] = []
        """Called when a stream begins or ends, gets or loses its browser, or wants other topics."""
        self._begin = begin
        self._linger: set[asyncio.TimerHandle] = set()

    @property
    def connected(self) -> int:
        """How many browsers listen."""
        return sum(each.connection is not None for each in self.listeners.values())

    def topics(self) -> set[str]:
        """Return what any browser wants."""
        return {topic for each in self.listeners.values() for topic in each.stream.topics}

    def put(self, kind: str, data: Any, topic: str | None = None) -> None:
        """Send a message to all, or to those with the topic."""
        for each in self.listeners.values():
            if topic is None or topic in each.stream.topics:
                each.put(kind, data)

    def open(self, last: tuple[str, int] | None, role: str) -> tuple[Listener, str]:
        """Return a stream for a browser, and what to send at once; `last` is what it had last."""
        found = self.listeners.get(last[0]) if last is not None else None
        if found is not None and last is not None and found.role == role:
            again = found.stream.resume(last[1])
            if again is not None:
                return found, again
        if len(self.listeners) >= MOST_STREAMS:
            self._end(
                min(self.listeners.values(), key=lambda e: (e.connection is not None, e.left_at))
            )
        new = Listener(Stream(secrets.token_hex(8)), role)
        self.listeners[new.stream.name] = new
        new.put("hello", {"id": new.stream.name})
        if last is not None:
            new.put("reset", {})
        self._begin(new)
        return new, ""

    async def serve(self, listener: Listener, first: str) -> AsyncIterator[str]:
        """Yield what is to be sent, until the browser leaves or another one has the stream."""
        news = asyncio.Event()
        if listener.connection is not None:
            listener.connection.set()
        listener.connection = news
        self._tell()
        try:
            yield first or ": \n\n"
            while listener.connection is news and listener.stream.name in self.listeners:
                if listener.stream.waiting:
                    yield listener.stream.take()
                    continue
                news.clear()
                try:
                    async with asyncio.timeout(COMMENT_INTERVAL):
                        await news.wait()
                except TimeoutError:
                    yield ": \n\n"
        finally:
            if listener.connection is news:
                listener.connection = None
                listener.left_at = asyncio.get_running_loop().time()
                self._end_later(listener)
            self._tell()

    def choose(self, name: str, topics: frozenset[str]) -> bool:
        """Replace what a stream wants; return whether there is such a stream."""
        found = self.listeners.get(name)
        if found is None:
            return False
        found.stream.topics = topics
        self._tell()
        return True

    def close(self) -> None:
        """End all streams."""
        for handle in self._linger:
            handle.cancel()
        for each in list(self.listeners.values()):
            self._end(each)

    def _end(self, listener: Listener) -> None:
        self.listeners.pop(listener.stream.name, None)
        if listener.connection is not None:
            listener.connection.set()

    def _end_later(self, listener: Listener) -> None:
        def end() -> None:
            self._linger.discard(handle)
            if listener.connection is None:
                self._end(listener)
                self._tell()

        handle = asyncio.get_running_loop().call_later(LINGER, end)
        self._linger.add(handle)

    def _tell(self) -> None:
        for tell in self.changed:
            tell()
