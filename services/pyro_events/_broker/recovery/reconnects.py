"""Those who were there before a restart, and are expected back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pyro_events._broker.delivery.subscriber import BrokerSubscriber
    from pyro_events._broker.net.loop import Loop


class ReconnectTracker:
    """Counts who comes back. For the loop's thread only."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._missing: set[BrokerSubscriber] = set()
        self._waiting: list[Callable[[], None]] = []
        self.expected = 0
        self.back = 0

    def expect(self, subscriber: BrokerSubscriber) -> None:
        """Count somebody who was there before."""
        self.expected += 1
        self._missing.add(subscriber)

    def expects(self, subscriber: BrokerSubscriber) -> bool:
        """Say whether that one is missing."""
        return subscriber in self._missing

    def returned(self, subscriber: BrokerSubscriber) -> None:
        """Learn that somebody is here, whoever it is."""
        if subscriber in self._missing:
            self.back += 1
            self.given_up(subscriber)

    def given_up(self, subscriber: BrokerSubscriber) -> None:
        """Learn that nobody has to wait for that one any more."""
        self._missing.discard(subscriber)
        if not self._missing:
            waiting, self._waiting = self._waiting, []
            for callback in waiting:
                callback()

    def hand_over(self) -> dict[str, Any]:
        """Say everything but who asks."""
        missing = [(each.kind, each.key) for each in self._missing]
        return {"expected": self.expected, "back": self.back, "missing": missing}

    def take_over(self, values: Mapping[str, Any], found: Callable[..., BrokerSubscriber]) -> None:
        """Go on from what another process has handed over; `found` gives who has kind and key."""
        self.expected, self.back = values["expected"], values["back"]
        self._missing = {found(*each) for each in values["missing"]}

    def when_complete(self, seconds: float, callback: Callable[[], None]) -> None:
        """Call, once, when nobody is missing any more, or after so many seconds."""

        def done() -> None:
            timer.cancel()
            if done in self._waiting:
                self._waiting.remove(done)
            callback()

        timer = self._loop.call_later(seconds if self._missing else 0.0, done)
        self._waiting.append(done)
