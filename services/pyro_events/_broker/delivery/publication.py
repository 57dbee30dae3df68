"""One publish on its way to everybody who wants it, in order, however long that takes."""

from __future__ import annotations

from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING

from pyro_events._broker.delivery.pending_result import PendingResult
from pyro_events._broker.delivery.subscriber import ITEM_OVERHEAD, BlockedOffer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyro_events._broker.delivery.context import DeliveryContext
    from pyro_events._broker.delivery.subscriber import BrokerSubscriber
    from pyro_events._protocol.event import Item

_subject = itemgetter(0)


class Publication(PendingResult):
    """Offers each run of events about one subject to all who get it, before it turns to the next.

    Who gets what is settled, and promised in the counter_file, when it is made. A full queue whose
    policy is to block holds the publication, and so its publisher and nobody else. It is done when
    everything is in the queues.
    """

    __slots__ = ("_context", "_open", "_runs")

    def __init__(self, context: DeliveryContext[BrokerSubscriber], items: Sequence[Item]) -> None:
        super().__init__()
        self._context = context
        self._open = 0
        runs = []
        targets, counter_file = context.router.targets, context.counter_file.values
        for subject, group in groupby(items, _subject):
            found = targets(subject)
            if found:
                run = list(group)
                runs.append((run, found))
                for subscriber, copies in found:
                    counter_file[subscriber.slot] += len(run) * copies
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
                    subscriber.wait(
                        BlockedOffer(subscriber, events[taken:], counts[taken:], self.settled)
                    )
            if self._open:
                self._context.held += 1
                return
        self._context.flush_if_idle()
        self.finish()

    def settled(self) -> None:
        """Learn that one subscriber has everything of the present run, or will not get it."""
        self._open -= 1
        if not self._open:
            self._context.held -= 1
            self._context.loop.call_soon(self.advance)


def _repeated(run: list[Item], sizes: list[int], copies: int) -> tuple[list[Item], list[int]]:
    """Give every event as often as a subscriber gets it."""
    return (
        [item for item in run for _ in range(copies)],
        [size for size in sizes for _ in range(copies)],
    )
