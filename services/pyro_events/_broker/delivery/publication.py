"""One publish on its way to all subscribers that want it, and its result, which may come later."""

from __future__ import annotations

from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING

from pyro_events._broker.delivery.held_offer import HeldOffer
from pyro_events._broker.delivery.items import Load
from pyro_events._protocol.runs import events_in

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pyro_events._broker.delivery.context import DeliveryContext
    from pyro_events._broker.delivery.patience import Patience
    from pyro_events._broker.delivery.subscriber import BrokerSubscriber
    from pyro_events._broker.net.loop import Timer
    from pyro_events._broker.snapshot.accepted import Source
    from pyro_events._protocol.event import Queued

_subject = itemgetter(0)


class PendingResult:
    """Finishes exactly once, with a value or an error. For the loop's thread only."""

    __slots__ = ("_callbacks", "done", "error", "value")

    def __init__(self) -> None:
        self.done = False
        self.value: object = None
        self.error: Exception | None = None
        self._callbacks: list[Callable[[], None]] = []

    def finish(self, value: object = None) -> None:
        """Set the value, and call what waits for it."""
        self.done = True
        self.value = value
        callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()

    def fail(self, error: Exception) -> None:
        """Set the error, and call what waits for it."""
        self.error = error
        self.finish()

    def when_done(self, callback: Callable[[], None]) -> None:
        """Call `callback` when it is finished, at once if it is."""
        if self.done:
            callback()
        else:
            self._callbacks.append(callback)

    def then(self, value: Callable[[], object]) -> PendingResult:
        """Return a result that finishes after this one, with what `value` returns, or its error."""
        result = PendingResult()

        def follow() -> None:
            if self.error is None:
                result.finish(value())
            else:
                result.fail(self.error)

        self.when_done(follow)
        return result


class Publication(PendingResult):
    """Offers each run of events about one subject to all its subscribers before the next run.

    The subscribers are determined, and their events promised in the counter file, when it is made.
    Full queues hold the publication, and so its publisher and no other, for as long as its patience
    allows. It is done when everything is in the queues, or was dropped. `of_manager` is whether the
    manager publishes, which alone may publish the subjects that are reserved for it.
    """

    __slots__ = (
        "_context",
        "_held_since",
        "_open",
        "_patience",
        "_runs",
        "_timer",
        "accepted",
        "refused",
    )

    def __init__(
        self,
        context: DeliveryContext[BrokerSubscriber],
        items: Sequence[Queued],
        patience: Patience,
        *,
        source: Source | None = None,
        of_manager: bool = False,
    ) -> None:
        super().__init__()
        self._context = context
        self._patience = patience
        self._timer: Timer | None = None
        self._held_since = 0.0
        self._open: list[HeldOffer] = []
        self.accepted = 0
        """How many events there are, but for those that are refused."""
        self.refused = 0
        """How many of the events must not be published by a client; they reach nobody."""
        runs = []
        router, counter_file = context.router, context.counter_file.values
        targets = router.targets_of_manager if of_manager else router.targets
        for subject, group in groupby(items, _subject):
            found = targets(subject)
            if found:
                load = Load.of(list(group))
                runs.append((load, found))
                self.accepted += load.events
                for subscriber, copies in found:
                    counter_file[subscriber.slot] += load.events * copies
            elif found is None:
                self.refused += events_in(list(group))
            else:
                events = events_in(list(group))
                self.accepted += events
                if not of_manager:
                    context.counters.unmatched += events
        self._runs = iter(runs)
        if context.accepted is not None and runs:
            written = [(load.items, sum(load.sizes), found) for load, found in runs]
            context.accepted.publish(source, written)

    def advance(self) -> None:
        """Continue until everything is in the queues, or a queue is full.

        With events that outlive the process, no publish may overtake another one in any queue, so
        that all runs are offered at once.
        """
        for run, found in self._runs:
            for subscriber, copies in found:
                if subscriber.gone:
                    continue
                load = run.repeated(copies)
                taken = subscriber.offer(load, self._patience)
                if taken < load.events:
                    self._wait_for(subscriber, load.after(taken))
            if self._open and self._context.accepted is None:
                break
        if self._open:
            self._hold()
            return
        self._context.flush_if_idle()
        self.finish()

    def _wait_for(self, subscriber: BrokerSubscriber, load: Load) -> None:
        offer = HeldOffer(subscriber, load, self._settled, endless=self._patience.endless)
        self._open.append(offer)
        subscriber.hold(offer)

    def _hold(self) -> None:
        self._context.held += 1
        loop, patience = self._context.loop, self._patience
        self._held_since = loop.clock()
        if not patience.endless:
            self._timer = loop.call_later(patience.left(), self._lose_patience)

    def _lose_patience(self) -> None:
        for offer in list(self._open):
            offer.subscriber.give_up(offer)

    def _settled(self, offer: HeldOffer) -> None:
        """Record that one subscriber has all of the present run, or will not get it."""
        self._open.remove(offer)
        if not self._open:
            self._context.held -= 1
            loop = self._context.loop
            self._patience.use(loop.clock() - self._held_since)
            if self._timer is not None:
                self._timer.cancel()
            loop.call_soon(self.advance)
