"""The subscribers of the previous process, which are expected back."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pyro_events._broker.snapshot.fields import Fields, Snapshotted, plain

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyro_events._broker.delivery.subscriber import BrokerSubscriber
    from pyro_events._broker.net.loop import Loop


class ReconnectTracker(Snapshotted):
    """Counts subscribers that come back. For the loop's thread only."""

    SNAPSHOT: ClassVar = Fields("expected", "back", _missing=plain(set))
    TRANSIENT: ClassVar = (
        "_loop",
        "_waiting",  # its callbacks answer this process's manager
    )

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._missing: set[tuple[str, str]] = set()
        """Their kinds and keys."""
        self._waiting: list[Callable[[], None]] = []
        self.expected = 0
        self.back = 0

    def expect(self, subscriber: BrokerSubscriber) -> None:
        """Count a subscriber of the previous process."""
        self.expected += 1
        self._missing.add((subscriber.kind, subscriber.key))

    def expects(self, subscriber: BrokerSubscriber) -> bool:
        """Return whether that one is missing."""
        return (subscriber.kind, subscriber.key) in self._missing

    def returned(self, subscriber: BrokerSubscriber) -> None:
        """Record that a subscriber is here, expected or not."""
        if self.expects(subscriber):
            self.back += 1
            self.given_up(subscriber)

    def given_up(self, subscriber: BrokerSubscriber) -> None:
        """Record that this one is not waited for any more."""
        self._missing.discard((subscriber.kind, subscriber.key))
        if not self._missing:
            waiting, self._waiting = self._waiting, []
            for callback in waiting:
                callback()

    def counts(self) -> dict[str, object]:
        """Return how many subscribers were expected, and how many of them are back."""
        return {"expected": self.expected, "back": self.back}

    def when_complete(self, seconds: float, callback: Callable[[], None]) -> None:
        """Call once, when none is missing any more, or after `seconds`."""

        def done() -> None:
            timer.cancel()
            if done in self._waiting:
                self._waiting.remove(done)
            callback()

        timer = self._loop.call_later(seconds if self._missing else 0.0, done)
        self._waiting.append(done)
