"""Tells watchers what changes: a whole picture first, then numbered deltas, and measurements."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from pyroctl.core.changes import compare
from pyroctl.errors import PyroctlError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pyroctl.control.protocol import Message
    from pyroctl.control.server import Events
    from pyroctl.core.changes import Picture

MOST_WATCHERS = 100
QUEUE_SIZE = 100
"""Deltas that wait for a watcher that doesn't read; then it gets a whole picture instead."""
SHORTEST_INTERVAL = 0.1
"""Seconds between measurements at least."""


class Feed:
    """Compares pictures when something has changed, and only while somebody watches.

    Lives in the event loop's thread. `picture` returns what is seen now, `measure` the numbers.
    """

    def __init__(
        self, picture: Callable[[], Picture], measure: Callable[[], Awaitable[dict[str, Any]]]
    ) -> None:
        self._picture = picture
        self._measure = measure
        self._watchers: set[Watcher] = set()
        self._number = 0
        self._last: Picture = {}
        self._due = False

    def changed(self, *_: object) -> None:
        """Notify the watchers, soon, of whatever has changed."""
        if self._watchers and not self._due:
            self._due = True
            asyncio.get_running_loop().call_soon(self._compare)

    async def watch(self, send: Events, interval: float | None) -> None:
        """Send one watcher everything until it leaves; with measurements if it has an `interval`.

        Never returns; it is cancelled. A watcher that doesn't read holds nobody: it gets a new
        picture when it reads again, with the number of deltas that it has missed. Raises
        PyroctlError for one watcher too many.
        """
        if len(self._watchers) >= MOST_WATCHERS:
            raise PyroctlError(f"there are {MOST_WATCHERS} watchers already", hint="end some")
        watcher = Watcher()
        if not self._watchers:
            self._last = self._picture()
        self._watchers.add(watcher)
        pause = max(interval or 1.0, SHORTEST_INTERVAL)
        try:
            while True:
                due = asyncio.get_running_loop().time() + pause
                if interval is not None:
                    watcher.sample = await self._measure()
                self.changed()  # of what nothing tells, such as a status text
                await self._pass_on(watcher, send, due)
        finally:
            self._watchers.discard(watcher)

    async def _pass_on(self, watcher: Watcher, send: Events, until: float) -> None:
        """Send what there is, and what comes, until that time of the loop's clock."""
        while True:
            for message in watcher.take(self._last, self._number):
                send(message)
                await send.drain()
            if asyncio.get_running_loop().time() >= until:
                return
            try:
                async with asyncio.timeout_at(until):
                    await watcher.news.wait()
            except TimeoutError:
                return

    def _compare(self) -> None:
        self._due = False
        before, self._last = self._last, self._picture()
        delta = compare(before, self._last)
        if delta:
            self._number += 1
            message = {"kind": "delta", "seq": self._number, "clock": time.monotonic(), **delta}
            for watcher in self._watchers:
                watcher.add(message)


class Watcher:
    """What one watcher has not been sent yet."""

    def __init__(self) -> None:
        self.news = asyncio.Event()
        self.sample: dict[str, Any] | None = None
        """The newest measurement, which replaces older ones."""
        self._deltas: deque[Message] = deque()
        self._missed = 0
        self._whole = True
        self.news.set()

    def add(self, delta: Message) -> None:
        """Add a delta; if the watcher is too slow, begin with a whole picture again."""
        if len(self._deltas) >= QUEUE_SIZE:
            self._missed += len(self._deltas)
            self._deltas.clear()
            self._whole = True
        if self._whole and self._missed:
            self._missed += 1
        elif not self._whole:
            self._deltas.append(delta)
        self.news.set()

    def take(self, picture: Picture, number: int) -> list[Message]:
        """Return what to send now, given the present picture and its number."""
        self.news.clear()
        found: list[Message] = []
        if self._whole:
            found.append(snapshot(picture, number, self._missed))
            self._whole, self._missed = False, 0
        found += self._deltas
        self._deltas.clear()
        if self.sample is not None:
            found.append({"kind": "sample", "data": self.sample})
            self.sample = None
        return found


def snapshot(picture: Picture, number: int, missed: int) -> Message:
    """Return a whole picture as a message; `missed` deltas came to nothing before it."""
    head = {"kind": "snapshot", "seq": number, "missed": missed, "clock": time.monotonic()}
    return {**head, "data": picture}
