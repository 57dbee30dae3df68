"""One publish on its way to everybody who wants it, in order, however long that takes."""

from __future__ import annotations

from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING

from pyro_events._broker.delivery.pending_result import PendingResult
from pyro_events._broker.delivery.subscriber import ITEM_OVERHEAD
from pyro_events._broker.net.loop import Deadline

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyro_events._broker.broker import Broker
    from pyro_events._broker.delivery.encoder import Item
    from pyro_events._broker.delivery.subscriber import BrokerSubscriber

_subject = itemgetter(0)


class Publication(PendingResult):
    """Offers each run of events about one subject to all who get it, before it turns to the next.

    Who gets what is settled, and promised in the tallies, when it is made. A full queue whose
    policy is to block holds the publication, and so its publisher and nobody else. It is done when
    everything is in the queues.
    """

    __slots__ = ("_hub", "_open", "_runs")

    def __init__(self, hub: Broker, items: Sequence[Item]) -> None:
        super().__init__()
        self._hub = hub
        self._open = 0
        runs = []
        targets, tallies = hub.router.targets, hub.tallies.values
        for subject, group in groupby(items, _subject):
            found = targets(subject)
            if found:
                run = list(group)
                runs.append((run, found))
                for subscriber, copies in found:
                    tallies[subscriber.slot] += len(run) * copies
        self._runs = iter(runs)

    def advance(self) -> None:
        """Go on until everything is delivered to the queues, or a queue is full."""
        for run, found in self._runs:
            overhead = len(run[0][0]) + ITEM_OVERHEAD
            sizes = [len(body) + overhead for _, _, body, _ in run]
            for subscriber, copies in found:
                if subscriber.gone:
                    continue
                events, counts = (run, sizes) if copies == 1 else _repeated(run, sizes, copies)
                taken = subscriber.offer(events, counts)
                if taken < len(events):
                    self._open += 1
                    subscriber.wait(BlockedOffer(self, subscriber, events[taken:], counts[taken:]))
            if self._open:
                self._hub.held += 1
                return
        self._hub.placed()
        self.finish()

    def settled(self) -> None:
        """Learn that one subscriber has everything of the present run, or will not get it."""
        self._open -= 1
        if not self._open:
            self._hub.held -= 1
            self._hub.loop.call_soon(self.advance)


class BlockedOffer:
    """What a full queue has not taken of a run yet.

    It waits for at most `block_timeout` seconds after the queue took something the last time.
    """

    __slots__ = ("_deadline", "_items", "_publication", "_sizes", "_subscriber")

    def __init__(
        self,
        publication: Publication,
        subscriber: BrokerSubscriber,
        items: list[Item],
        sizes: list[int],
    ) -> None:
        self._publication = publication
        self._subscriber = subscriber
        self._items = items
        self._sizes = sizes
        self._deadline = Deadline(subscriber.hub.loop, self._too_late)
        self._put_off()

    def retry(self) -> bool:
        """Offer it again to the subscriber, which has room now; True when nothing is left."""
        taken = self._subscriber.accept(self._items, self._sizes)
        if taken == len(self._items):
            self.forget()
            return True
        if taken:
            self._items, self._sizes = self._items[taken:], self._sizes[taken:]
            self._put_off()
        return False

    def forget(self) -> None:
        """Wait no longer for that subscriber."""
        self._deadline.cancel()
        self._publication.settled()

    def _put_off(self) -> None:
        self._deadline.set(self._subscriber.hub.settings.block_timeout)

    def _too_late(self) -> None:
        subscriber = self._subscriber
        subscriber.unwait(self)
        subscriber.stall()
        subscriber.hub.log_stalled(subscriber)
        subscriber.accept(self._items, self._sizes)
        self.forget()


def _repeated(run: list[Item], sizes: list[int], copies: int) -> tuple[list[Item], list[int]]:
    """Give every event as often as a subscriber gets it."""
    return (
        [item for item in run for _ in range(copies)],
        [size for size in sizes for _ in range(copies)],
    )
