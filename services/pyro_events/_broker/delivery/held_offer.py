"""What of a publication a full queue has not taken yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyro_events._broker.delivery.items import Load
    from pyro_events._broker.delivery.subscriber import BrokerSubscriber


class HeldOffer:
    """Events of a publication that wait for room. `settled` is called, once, when none does.

    Unless it is `endless`, the subscriber is charged for the time.
    """

    __slots__ = ("_load", "_settled", "_since", "endless", "subscriber")

    def __init__(
        self,
        subscriber: BrokerSubscriber,
        load: Load,
        settled: Callable[[HeldOffer], None],
        *,
        endless: bool,
    ) -> None:
        self.subscriber = subscriber
        self.endless = endless
        self._load = load
        self._settled = settled
        self._since = subscriber.context.loop.clock()

    def retry(self) -> bool:
        """Offer it again to the subscriber, which may have room now; True when nothing is left."""
        self._load = self._load.after(self.subscriber.fill(self._load))
        if self._load.events:
            return False
        self.end()
        return True

    def end(self) -> None:
        """Wait no longer for that subscriber: what is left is a matter of its policy."""
        if not self.endless:
            waited = self.subscriber.context.loop.clock() - self._since
            self.subscriber.use_patience(waited)
        if self._load.events and not self.subscriber.gone:
            self.subscriber.overflow(self._load)
        self._settled(self)
