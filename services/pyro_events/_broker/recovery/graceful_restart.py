"""A planned restart of the process, from both ends: retiring, and going on for one that has.

the old one                                      the new one
───────────                                      ───────────
tells the aware, reads from publishers no more
lets queues drain while they do
freezes: sends nothing any more
takes what publishers were waiting for
writes `parting`                            ──▶  makes the same subscribers, with their queues
refuses everything until it is told to go        waits for them, and takes events meanwhile
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from Pyro5.errors import PyroError

from pyro_events._broker.snapshot.model import BrokerSnapshot, LostSubscriber
from pyro_events._protocol.subjects import check_patterns

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pyro_events._broker.broker import Broker
    from pyro_events._broker.delivery.subscriber import BrokerSubscriber
    from pyro_events._broker.recovery.roster_store import RosterStore
    from pyro_events._broker.snapshot.model import SubscriberSnapshot
    from pyro_events._protocol.patterns import Pattern

_TICK = 0.02
_AWARE_DRAIN = 0.5
"""Seconds for the queues of the aware, which are kept anyway; the smaller they get, the better."""
_STUCK = 0.3
"""Seconds without progress after which an aware subscriber is not waited for."""
_ANSWERS = 1.0
"""Seconds that callbacks which are under way have to be answered."""
_MOST_LOST = 1000
"""Lost subscribers that are remembered by name."""

_log = logging.getLogger("pyro_events")


class DrainAndSave:
    """Ends the work of one process so that the next can go on with it. For the loop's thread.

    `done` gets what gives the outcome, or raises OSError when nothing could be handed on.
    """

    def __init__(
        self,
        hub: Broker,
        keeper: RosterStore,
        reason: str,
        done: Callable[[Callable[[], object]], None],
    ) -> None:
        self._hub = hub
        self._keeper = keeper
        self._reason = reason
        self._done = done
        self._began = hub.loop.clock()
        self._progress: dict[BrokerSubscriber, tuple[int, float]] = {}

    def begin(self) -> None:
        """Tell the aware, and let queues drain; publishers must be paused already."""
        for subscriber in self._hub.subscribers():
            if subscriber.aware:
                subscriber.notify({"kind": "stopping", "reason": self._reason, "restart": True})
        self._drain(self._hub.loop.clock() + self._hub.settings.drain_timeout)

    def _drain(self, deadline: float) -> None:
        now = self._hub.loop.clock()
        if now < deadline and any(self._moves(each, now) for each in self._hub.subscribers()):
            self._hub.loop.call_later(_TICK, lambda: self._drain(deadline))
        else:
            self._hub.frozen = True
            self._await_answers(now + _ANSWERS)

    def _moves(self, subscriber: BrokerSubscriber, now: float) -> bool:
        """Say whether waiting for the subscriber saves anything; an aware one's queue is kept."""
        if not subscriber.aware:
            return subscriber.busy
        if not subscriber.queued or now - self._began > _AWARE_DRAIN:
            return False
        done = subscriber.delivered + subscriber.errors
        before, since = self._progress.get(subscriber, (-1, now))
        if done != before:
            self._progress[subscriber] = done, now
        return done != before or now - since < _STUCK

    def _await_answers(self, deadline: float) -> None:
        flying = any(each.flying for each in self._hub.subscribers() if each.aware)
        if flying and self._hub.loop.clock() < deadline:
            self._hub.loop.call_later(_TICK, lambda: self._await_answers(deadline))
            return
        for subscriber in self._hub.subscribers():
            subscriber.lift_limit()
        self._hub.loop.call_soon(self._finish)

    def _finish(self) -> None:
        if self._hub.held:  # what was held goes into the queues now that they have no limit
            self._hub.loop.call_soon(self._finish)
            return
        state = self._state()
        outcome: dict[str, object] = {
            "parted": True,
            "aware": len(state.subscribers),
            "kept_events": sum(len(s.sent) + len(s.waiting) for s in state.subscribers),
        }
        try:
            self._keeper.part(state)
        except OSError as error:
            failure = error
            _log.error("can't hand on what waits for subscribers: %s", error)

            def failed() -> dict[str, object]:
                raise failure

            self._done(failed)
        else:
            self._done(lambda: outcome)

    def _state(self) -> BrokerSnapshot:
        incarnation = str(self._hub.identity["incarnation"])
        standings = [each.export() for each in self._hub.subscribers() if each.aware]
        return BrokerSnapshot(
            incarnation=incarnation,
            reason=self._reason,
            subscribers=[replace(s, lineage=[*s.lineage, incarnation]) for s in standings],
            publishers=self._hub.publishers.export(),
        )


def restore(hub: Broker, past: BrokerSnapshot) -> None:
    """Make the subscribers of an earlier process that can come back, and expect them."""
    for standing in past.subscribers:
        if not standing.aware:
            continue
        try:
            patterns = _patterns(standing)
            subscriber = hub.adopt(standing, patterns)
        except (TypeError, ValueError, PyroError) as error:
            _log.error("subscriber %s can't be taken over: %s", standing.name, error)
            continue
        subscriber.notify({"kind": "restarted", "reason": past.reason})
    hub.publishers.restore(past.publishers)
    if past.subscribers or past.lost:
        _log.info("after a %s: %d subscribers are expected back", past.reason, hub.awaited.expected)


def lost_with(past: BrokerSnapshot) -> list[LostSubscriber]:
    """Give the plain subscribers that crashes have cost up to now, and log the new ones by name."""
    new = [
        LostSubscriber(standing.name, standing.subjects, standing.patterns)
        for standing in past.subscribers
        if not standing.aware
    ]
    for lost in new:
        _log.warning(
            "subscriber %s was lost in a crash and can't be told: subjects %s, patterns %s",
            lost.subscriber, lost.subjects, lost.patterns,
        )  # fmt: skip
    by_name = {lost.subscriber: lost for lost in (*past.lost, *new)}
    return list(by_name.values())[-_MOST_LOST:]


def _patterns(standing: SubscriberSnapshot) -> Sequence[Pattern]:
    return check_patterns(standing.patterns) if standing.patterns else ()
