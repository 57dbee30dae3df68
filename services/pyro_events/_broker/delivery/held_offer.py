"""What of a publication a full queue has not taken yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pyro_events._broker.delivery.subscriber import BrokerSubscriber
    from pyro_events._protocol.event import Item


class HeldOffer:
    """Events of a publication that wait for room. `settled` is called, once, when none does.

    Unless it is `endless`, the subscriber is charged for the time.
    """

    __slots__ = ("_items", "_settled", "_since", "_sizes", "endless", "subscriber")

    def __init__(
        self,
        subscriber: BrokerSubscriber,
        items: Sequence[Item],
        sizes: Sequence[int],
        settled: Callable[[HeldOffer], None],
        *,
        endless: bool,
    ) -> None:
        self.subscriber = subscriber
        self.endless = endless
        self._items = items
        self._sizes = sizes
        self._settled = settled
        self._since = subscriber.context.loop.clock()

    def retry(self) -> bool:
        """Offer it again to the subscriber, which may have room now; True when nothing is left."""
        taken = self.subscriber.fill(self._items, self._sizes)
        self._items, self._sizes = self._items[taken:], self._sizes[taken:]
        if self._items:
            return False
        self.end()
        return True

    def end(self) -> None:
        """Wait no longer for that subscriber: what is left is a matter of its policy."""
        if not self.endless:
            waited = self.subscriber.context.loop.clock() - self._since
            self.subscriber.use_patience(waited)
        if self._items and not self.subscriber.gone:
            self.subscriber.overflow(self._items, self._sizes)
        self._settled(self)
