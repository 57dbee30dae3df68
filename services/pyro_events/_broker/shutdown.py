"""How the event service ends: for good, or so that the next process continues its work.

A planned restart, seen from both processes:

the old one                                      the new one
───────────                                      ───────────
notifies aware subscribers, stops reading
from publishers, lets queues drain
freezes: sends nothing any more
queues what publishers were waiting for
writes `parting`                            ──▶  makes the same subscribers, with their queues
refuses all requests until it is stopped         waits for them, and queues events until then
"""

from __future__ import annotations

import logging
from concurrent.futures import Future
from dataclasses import replace
from typing import TYPE_CHECKING

from pyro_events._broker.snapshot.model import BrokerSnapshot

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyro_events._broker.broker import Broker
    from pyro_events._broker.delivery.subscriber import BrokerSubscriber
    from pyro_events._broker.net.loop import Loop
    from pyro_events._broker.recovery.roster_store import RosterStore

_TICK = 0.02
_HANG_UP = 0.5
"""Seconds that streams have to close their end."""
_AWARE_DRAIN = 0.5
"""Seconds for the queues of aware subscribers, which are kept anyway; the shorter, the better."""
_STUCK = 0.3
"""Seconds without progress after which an aware subscriber is not waited for."""
_ANSWERS = 1.0
"""Seconds for the answers to callbacks that are under way."""

_log = logging.getLogger("pyro_events")


class Shutdown:
    """Ends the service for good; nothing may be read from publishers any more.

    It notifies aware subscribers, drains the queues for a moment, hangs up, and stops the loop.
    """

    def __init__(self, broker: Broker, reason: str) -> None:
        self._broker = broker
        self._loop = broker.loop
        _notify_aware(broker, {"kind": "stopping", "reason": reason})
        _wait(self._loop, broker.settings.drain_timeout, self._is_busy, self._hang_up)

    def _is_busy(self) -> bool:
        return any(each.busy for each in self._broker.subscribers())

    def _hang_up(self) -> None:
        left = sum(subscriber.queued for subscriber in self._broker.subscribers())
        if left:
            _log.warning("stopped with %d events undelivered", left)
        for stream in list(self._broker.streams.values()):
            stream.finish("the event service stops")
        _wait(self._loop, _HANG_UP, self._is_connected, self._end)

    def _is_connected(self) -> bool:
        """Return whether streams still have to read the last frames."""
        return any(each.state == "connected" for each in self._broker.streams.values())

    def _end(self) -> None:
        if self._broker.store is not None:
            self._broker.store.remove()  # subscribers were notified that their subscriptions end
        self._loop.stop()


class DrainAndSave:
    """Ends the work of one process so that the next can continue it; see above.

    Publishers must be paused already. `done` gets a function that returns the outcome, or raises
    OSError when nothing could be saved.
    """

    def __init__(
        self,
        broker: Broker,
        store: RosterStore,
        reason: str,
        done: Callable[[Callable[[], object]], None],
    ) -> None:
        self._broker = broker
        self._loop = broker.loop
        self._store = store
        self._reason = reason
        self._done = done
        self._began = self._loop.clock()
        self._progress: dict[BrokerSubscriber, tuple[int, float]] = {}
        _notify_aware(broker, {"kind": "stopping", "reason": reason, "restart": True})
        _wait(self._loop, broker.settings.drain_timeout, self._is_draining, self._freeze)

    def _is_draining(self) -> bool:
        now = self._loop.clock()
        return any(self._moves(each, now) for each in self._broker.subscribers())

    def _freeze(self) -> None:
        self._broker.context.frozen = True
        _wait(self._loop, _ANSWERS, self._is_unanswered, self._take_the_rest)

    def _moves(self, subscriber: BrokerSubscriber, now: float) -> bool:
        """Return whether it helps to wait for the subscriber; an aware one's queue is kept."""
        if not subscriber.aware:
            return subscriber.busy
        if not subscriber.queued or now - self._began > _AWARE_DRAIN:
            return False
        done = subscriber.delivered + subscriber.errors
        before, since = self._progress.get(subscriber, (-1, now))
        if done != before:
            self._progress[subscriber] = done, now
        return done != before or now - since < _STUCK

    def _is_unanswered(self) -> bool:
        return any(each.in_flight for each in self._broker.subscribers() if each.aware)

    def _take_the_rest(self) -> None:
        for subscriber in self._broker.subscribers():
            subscriber.lift_limit()
        self._loop.call_soon(self._finish)

    def _finish(self) -> None:
        if self._broker.context.held:  # now that queues have no limit, this goes into them
            self._loop.call_soon(self._finish)
            return
        snapshot = self._snapshot()
        kept = sum(s.kept for s in snapshot.subscribers)
        outcome: Future[object] = Future()
        try:
            self._store.save(snapshot)
        except OSError as error:
            _log.error("can't save what is queued for subscribers: %s", error)
            outcome.set_exception(error)
        else:
            aware = len(snapshot.subscribers)
            outcome.set_result({"parted": True, "aware": aware, "kept_events": kept})
        self._done(outcome.result)

    def _snapshot(self) -> BrokerSnapshot:
        incarnation = str(self._broker.identity["incarnation"])
        subscribers = [each.export() for each in self._broker.subscribers() if each.aware]
        return BrokerSnapshot(
            incarnation=incarnation,
            reason=self._reason,
            subscribers=[replace(s, lineage=[*s.lineage, incarnation]) for s in subscribers],
            publishers=self._broker.publishers.export(),
        )


def _wait(
    loop: Loop, seconds: float, unfinished: Callable[[], bool], then: Callable[[], None]
) -> None:
    """Call `then` when `unfinished` returns False, or after `seconds`."""
    deadline = loop.clock() + seconds

    def check() -> None:
        if loop.clock() < deadline and unfinished():
            loop.call_later(_TICK, check)
        else:
            then()

    check()


def _notify_aware(broker: Broker, notice: dict[str, object]) -> None:
    for subscriber in broker.subscribers():
        if subscriber.aware:
            subscriber.notify(notice)
