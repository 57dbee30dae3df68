"""Tells an object that it is no subscriber any more, when there was no connection to say so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyro_events._broker.delivery.callback import requests
from pyro_events._broker.delivery.callback.replies import describe, load
from pyro_events._broker.delivery.callback.retries import Retries
from pyro_events._broker.net.connection import ServerConnection
from pyro_events._broker.net.dialer import Dial
from pyro_wire import framing
from pyro_wire.framing import Frame, FrameTooLarge, ProtocolError

if TYPE_CHECKING:
    import socket

    from Pyro5.core import URI

    from pyro_events._broker.delivery.context import DeliveryContext
    from pyro_events._broker.delivery.subscriber import BrokerSubscriber
    from pyro_events._broker.net.loop import Timer

_MAX_REPLY = 1 << 20


class DisconnectNotifier:
    """Connects, as often as to a subscriber, calls `es_notice` if there is one, and is gone."""

    def __init__(
        self, context: DeliveryContext[BrokerSubscriber], uri: URI, notice: dict[str, object]
    ) -> None:
        self._context = context
        self._uri = uri
        self._notice = notice
        self._msgpack = True
        self._dial: Dial | None = None
        self._connection: ServerConnection | None = None
        self._told = False
        self._timer: Timer | None = None
        self._retries = Retries(context.loop.clock, context.settings)
        context.notifiers.add(self)
        self._connect()

    def close(self) -> None:
        """Give up, or be done."""
        self._context.notifiers.discard(self)
        self._told = True
        self._stop_timer()
        if self._dial is not None:
            self._dial.cancel()
        if self._connection is not None:
            self._connection.close("told, or given up")

    def hand_over(self) -> tuple[str, dict[str, object]]:
        """Say what is to be told, and to whom."""
        return str(self._uri), self._notice

    def on_frame(self, frame: Frame) -> None:
        """Tell it, now that it has greeted us and said what methods it has."""
        assert self._connection is not None
        if frame.type == framing.CONNECTFAIL:
            raise ProtocolError(f"refused: {describe(frame)}")
        answer = load(frame)
        try:
            aware = "es_notice" in answer["meta"]["methods"]
        except (TypeError, KeyError):
            raise ProtocolError("the subscriber's daemon answers nonsense") from None
        self._told = True
        self._stop_timer()
        if aware:
            self._connection.send(
                requests.notice(self._uri.object, self._notice, 0, packed=self._msgpack)
            )
        self._connection.finish("dismissed", self._context.settings.reply_timeout)

    def on_too_large(self, error: FrameTooLarge) -> None:
        """Take an absurd answer for a broken connection."""
        raise error

    def on_closed(self, reason: str) -> None:  # noqa: ARG002 - an owner's signature
        """Try again, unless it was told."""
        if self._told:
            self.close()
        else:
            self._msgpack = not self._msgpack  # a daemon without it hangs up without a word
            self._again()

    def _connect(self) -> None:
        self._dial = Dial(self._context.loop, self._context.settings.connect_timeout, self._dialled)
        self._dial.to(self._uri, self._context.resolver)

    def _dialled(self, outcome: socket.socket | OSError) -> None:
        self._dial = None
        if isinstance(outcome, OSError):
            self._again()
            return
        connection = ServerConnection(self._context.loop, outcome, _MAX_REPLY, self)
        self._connection = connection
        connection.send(requests.greeting(self._uri.object, packed=self._msgpack))
        self._timer = self._context.loop.call_later(
            self._context.settings.reply_timeout, lambda: connection.close("no answer")
        )

    def _again(self) -> None:
        self._stop_timer()
        self._connection = None
        delay = self._retries.failed()
        if delay is None:
            self.close()
        else:
            self._timer = self._context.loop.call_later(delay, self._connect)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
