"""Publishes every change of a service's state through the deployment's event services.

The subject is `pyroctl.DEPLOYMENT.SERVICE.STATE`, the message a dict. It uses the control socket of
each event service, so that the manager needs neither Pyro5 nor a connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from collections import deque
from typing import TYPE_CHECKING

from pyroctl.core.alerts.policy import HEALTHY, UNHEALTHY
from pyroctl.core.spec import EventServiceOptions
from pyroctl.core.state import State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pyroctl.manager.deployment.unit import Unit

    Event = tuple[str, dict[str, object]]

QUEUE_SIZE = 1000
"""Changes that wait for an event service that isn't running; then the oldest are dropped."""
BATCH = 20
"""Changes in one request, so that it fits into the control socket's buffer."""
LONGEST_REASON = 300
FIRST_PAUSE = 0.1
LONGEST_PAUSE = 60.0
"""Seconds between attempts, while an event service refuses."""
FLUSH_TIMEOUT = 0.5
"""Seconds that a stop of an event service waits for what is to be published."""

log = logging.getLogger(__name__)


class StateEvents:
    """Passes each change to every event service. Lives in the event loop's thread.

    `publish` never blocks and never fails. Changes wait, bounded and in order, until an event
    service runs.
    """

    def __init__(self, deployment: str, units: Callable[[], Mapping[str, Unit]]) -> None:
        self._deployment = deployment
        self._units = units
        self._sinks: dict[Unit, EventSink] = {}
        self._uris: dict[str, str] = {}

    def publish(self, unit: Unit) -> None:
        """Publish the state that the unit has entered."""
        if unit.uri is not None:
            self._uris[unit.name] = unit.uri
        self._add(self._event(unit))

    def publish_health(self, unit: Unit, fault: str | None) -> None:
        """Publish that a running service is unhealthy, or healthy again."""
        state = HEALTHY if fault is None else UNHEALTHY
        subject, message = self._event(unit)
        subject = f"{subject.rpartition('.')[0]}.{state}"
        reason = fault and fault[:LONGEST_REASON]
        self._add((subject, {**message, "state": state, "reason": reason}))

    def send(self, subject: str, message: dict[str, object]) -> None:
        """Publish a message under a subject of the user's own."""
        self._add((subject, message))

    def announce(self, what: str, state: str, about: dict[str, object]) -> None:
        """Publish the state of something that is not a service; `what` begins with `_`."""
        message = {"deployment": self._deployment, "state": state, "time": time.time(), **about}
        self._add((f"pyroctl.{self._deployment}.{what}.{state}", message))

    def _add(self, event: Event) -> None:
        units = self._units().values()
        services = [u for u in units if isinstance(u.spec.options, EventServiceOptions)]
        self._sinks = {u: self._sinks.get(u) or EventSink(u) for u in services}
        for sink in self._sinks.values():
            sink.add(event)

    def counted(self) -> tuple[int, int]:
        """Return how many changes wait, and how many were dropped."""
        sinks = self._sinks.values()
        return sum(sink.waiting for sink in sinks), sum(sink.dropped for sink in sinks)

    async def flush(self, names: Iterable[str]) -> None:
        """Wait, for a bounded time, until those of the named services have published everything."""
        busy = [o.sender for u, o in self._sinks.items() if u.name in names and o.sender]
        if busy:
            await asyncio.wait(busy, timeout=FLUSH_TIMEOUT)

    def close(self) -> None:
        """Stop publishing."""
        for sink in self._sinks.values():
            sink.close()

    def _event(self, unit: Unit) -> Event:
        message: dict[str, object] = {
            "deployment": self._deployment,
            "service": unit.name,
            "state": str(unit.state),
            "pid": unit.pid,
            "uri": self._uris.get(unit.name),
            "reason": unit.service_state.reason[:LONGEST_REASON] or None,
            "time": time.time(),
        }
        return f"pyroctl.{self._deployment}.{unit.name}.{unit.state}", message


class EventSink:
    """The changes that one event service has to publish."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit
        self._queue: deque[Event] = deque()
        self._added = asyncio.Event()
        self._missed = 0
        self.sender: asyncio.Task[None] | None = None
        """Runs while the queue is not empty and the event service is running."""
        self.dropped = 0

    @property
    def waiting(self) -> int:
        """How many changes wait."""
        return len(self._queue)

    def add(self, event: Event) -> None:
        """Publish an event after all earlier ones."""
        if len(self._queue) >= QUEUE_SIZE:  # the latest states are worth more than the first
            self._queue.popleft()
            self._drop(1, "it isn't running")
        self._queue.append(event)
        self._added.set()
        if self.sender is None and self._unit.state is State.RUNNING:
            self.sender = asyncio.get_running_loop().create_task(self._send())

    def close(self) -> None:
        """Discard the queue."""
        if self.sender is not None:
            self.sender.cancel()

    async def _send(self) -> None:
        try:
            await self._send_all()
        finally:
            self.sender = None

    async def _send_all(self) -> None:
        pause = FIRST_PAUSE
        while self._queue and self._unit.state is State.RUNNING:
            batch = [self._queue.popleft() for _ in range(min(BATCH, len(self._queue)))]
            self._added.clear()
            try:  # wait for a frozen one: asking again would publish twice
                answer = await self._unit.ask("publish", math.inf, events=batch)
            except OSError as error:
                self._queue.extendleft(reversed(batch))
                log.debug("%s can't publish at the moment: %s", self._unit.name, error)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._added.wait()
                pause = min(2 * pause, LONGEST_PAUSE)
            else:
                pause = FIRST_PAUSE
                self._check(answer)

    def _check(self, answer: object) -> None:
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
