"""Every change of a service's state, published by the deployment's event services.

The subject is `pyroctl.DEPLOYMENT.SERVICE.STATE`, the message a dict. It goes over the control
channel of each event service, so that the manager needs neither Pyro5 nor a connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from collections import deque
from typing import TYPE_CHECKING

from pyroctl.core.spec import EventServiceOptions
from pyroctl.core.state import State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pyroctl.manager.deployment.unit import Unit

    Event = tuple[str, dict[str, object]]

ROOM = 1000
"""Changes that wait for an event service that doesn't run; then the oldest are dropped."""
BATCH = 20
"""Changes in one question, so that it fits the control channel."""
LONGEST_REASON = 300
FIRST_PAUSE = 0.1
LONGEST_PAUSE = 60.0
"""Seconds between attempts, while an event service refuses."""
LAST_WORDS = 0.5
"""Seconds that the end of an event service waits until it has what is to be published."""

log = logging.getLogger(__name__)


class StateEvents:
    """Gives each change to every event service there is. Lives in the event loop's thread.

    `changed` never waits and never fails. What an event service can't take now waits, within
    bounds and in order, until it runs.
    """

    def __init__(self, deployment: str, units: Callable[[], Mapping[str, Unit]]) -> None:
        self._deployment = deployment
        self._units = units
        self._outlets: dict[Unit, EventSink] = {}
        self._uris: dict[str, str] = {}

    def changed(self, unit: Unit) -> None:
        """Publish the state that the unit has entered."""
        if unit.uri is not None:
            self._uris[unit.name] = unit.uri
        services = [u for u in self._units().values() if _is_event_service(u)]
        self._outlets = {u: self._outlets.get(u) or EventSink(u) for u in services}
        if not self._outlets:
            return
        event = self._event(unit)
        for outlet in self._outlets.values():
            outlet.add(event)

    async def flush(self, names: Iterable[str]) -> None:
        """Let those of the named services that publish say what there is, for a moment at most."""
        busy = [o.sender for u, o in self._outlets.items() if u.name in names and o.sender]
        if busy:
            await asyncio.wait(busy, timeout=LAST_WORDS)

    def close(self) -> None:
        """Publish nothing more."""
        for outlet in self._outlets.values():
            outlet.close()

    def _event(self, unit: Unit) -> Event:
        message: dict[str, object] = {
            "deployment": self._deployment,
            "service": unit.name,
            "state": str(unit.state),
            "pid": unit.pid,
            "uri": self._uris.get(unit.name),
            "reason": unit.life.reason[:LONGEST_REASON] or None,
            "time": time.time(),
        }
        return f"pyroctl.{self._deployment}.{unit.name}.{unit.state}", message


class EventSink:
    """What is still to be published by one event service."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit
        self._waiting: deque[Event] = deque()
        self._news = asyncio.Event()
        self._missed = 0
        self.sender: asyncio.Task[None] | None = None
        """Works while there is something to publish and somebody to do it."""
        self.dropped = 0

    def add(self, event: Event) -> None:
        """Publish an event, after all that came before it."""
        if len(self._waiting) >= ROOM:  # the latest states are worth more than the first
            self._waiting.popleft()
            self._drop(1, "it doesn't run")
        self._waiting.append(event)
        self._news.set()
        if self.sender is None and self._unit.state is State.RUNNING:
            self.sender = asyncio.get_running_loop().create_task(self._send())

    def close(self) -> None:
        """Give up what is left."""
        if self.sender is not None:
            self.sender.cancel()

    async def _send(self) -> None:
        try:
            await self._send_all()
        finally:
            self.sender = None

    async def _send_all(self) -> None:
        pause = FIRST_PAUSE
        while self._waiting and self._unit.state is State.RUNNING:
            batch = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
            self._news.clear()
            try:  # one that is frozen is waited for: asking again would publish twice
                answer = await self._unit.ask("publish", math.inf, events=batch)
            except OSError as error:
                self._waiting.extendleft(reversed(batch))
                log.debug("%s publishes nothing now: %s", self._unit.name, error)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._news.wait()
                pause = min(2 * pause, LONGEST_PAUSE)
            else:
                pause = FIRST_PAUSE
                self._published(answer)

    def _published(self, answer: object) -> None:
        refused = answer.get("refused") if isinstance(answer, dict) else None
        if refused:
            self._drop(len(refused), str(refused[0]))
        elif self._missed:
            log.warning("%s: %d changes of state were not published",
                        self._unit.name, self._missed)  # fmt: skip
            self._missed = 0

    def _drop(self, number: int, why: str) -> None:
        if not self._missed:
            log.warning("%s: changes of state are not published: %s", self._unit.name, why)
        self._missed += number
        self.dropped += number


def _is_event_service(unit: Unit) -> bool:
    return isinstance(unit.spec.options, EventServiceOptions)
