"""Notifies an object that it is not a subscriber any more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pyro_events._broker.delivery.callback.connection import DaemonConnection
from pyro_events._broker.snapshot.fields import PART, Fields, Snapshotted

if TYPE_CHECKING:
    from Pyro5.core import URI

    from pyro_events._broker.delivery.context import DeliveryContext
    from pyro_events._broker.snapshot.transfer import SnapshotReader
    from pyro_wire.framing import Frame

_MAX_REPLY = 1 << 20


class DisconnectNotifier(Snapshotted):
    """Calls `es_notice` if the object has it, as soon as the object can be reached, and ends.

    It tries as often as for a subscriber. `daemon` is the subscriber's connection, if there is one
    and it was given the notice already.
    """

    SNAPSHOT: ClassVar = Fields("_notice", init=("_daemon",), _daemon=PART)
    TRANSIENT: ClassVar = ("_context",)

    def __init__(
        self,
        context: DeliveryContext[Any],
        uri: URI,
        notice: dict[str, object],
        daemon: DaemonConnection | None = None,
    ) -> None:
        self._context = context
        self._notice = notice
        self._daemon = daemon or DaemonConnection(context, uri, _MAX_REPLY, self)
        self._daemon.owner = self
        context.notifiers.add(self)

    def close(self) -> None:
        """End, whether the object was notified or not."""
        self._context.notifiers.discard(self)
        self._daemon.close()

    def start(self) -> None:
        """Connect, when there was no connection yet."""
        self._daemon.connect()

    def restore(self, values: dict[str, Any], reader: SnapshotReader) -> None:
        """Continue where another process has stopped."""
        super().restore(values, reader)
        self._daemon.restore(values["_daemon"], reader)

    # The daemon connection's owner

    def on_greeted(self) -> None:
        """Send the notice."""
        if self._daemon.aware:
            self._daemon.send_notice(self._notice, 0)
        self._daemon.finish("dismissed", self._context.settings.reply_timeout)

    def on_answer(self, frame: Frame) -> None:
        """Ignore it."""

    def on_lost(self, reason: str) -> None:
        """Wait for the next attempt."""

    def on_unreachable(self, reason: str) -> None:  # noqa: ARG002 - an owner's signature
        """Give up."""
        self.close()

    def on_finished(self) -> None:
        """End."""
        self.close()
