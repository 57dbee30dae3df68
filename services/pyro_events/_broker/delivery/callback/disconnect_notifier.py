"""Notifies an object that it is not a subscriber any more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pyro_events._broker.delivery.callback.connection import DaemonConnection
from pyro_events._broker.snapshot.fields import Fields, Snapshotted

if TYPE_CHECKING:
    from pyro_events._broker.delivery.context import DeliveryContext
    from pyro_events._broker.snapshot.model import Callee
    from pyro_wire.framing import Frame


class DisconnectNotifier(Snapshotted):
    """Calls `es_notice` if the object has it, as soon as the object can be reached, and ends.

    It tries as often as for a subscriber. `daemon` is a connection that has the notice already and
    is to end.
    """

    SNAPSHOT: ClassVar = Fields("_notice", parts=("daemon",))
    TRANSIENT: ClassVar = ("_context",)

    def __init__(
        self,
        context: DeliveryContext[Any],
        callee: Callee,
        notice: dict[str, object],
        daemon: DaemonConnection | None = None,
    ) -> None:
        self._context = context
        self._notice = notice
        self.daemon = daemon or DaemonConnection(context, callee, self)
        self.daemon.owner = self
        context.notifiers.add(self)

    def close(self) -> None:
        """End, whether the object was notified or not."""
        self._context.notifiers.discard(self)
        self.daemon.close()

    # The daemon connection's owner

    def on_greeted(self) -> None:
        """Send the notice."""
        if self.daemon.aware:
            self.daemon.send_notice(self._notice, 0)
        self.daemon.finish("dismissed", self._context.settings.reply_timeout)

    def on_answer(self, frame: Frame) -> None:
        """Ignore it."""

    def on_lost(self, reason: str | None) -> None:
        """Wait for the next attempt."""

    def on_ended(self, reason: str) -> None:  # noqa: ARG002 - an owner's signature
        """End."""
        self.close()
