"""A connection of our own to an object in a Pyro5 daemon: dialled, greeted, and tried again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from Pyro5.core import URI

from pyro_events._broker.delivery.callback import messages
from pyro_events._broker.net.connection import ServerConnection, configure
from pyro_events._broker.net.dialer import Dial
from pyro_events._broker.net.loop import Deadline
from pyro_events._broker.net.tls_connection import TlsConnection
from pyro_events._broker.snapshot.fields import Fields, Snapshotted, plain
from pyro_events._protocol.numbering import is_numbered
from pyro_wire import framing
from pyro_wire.framing import ForeignProtocol, Frame, FrameTooLarge, ProtocolError
from pyro_wire.tls.errors import NOT_TLS
from pyro_wire.tls.session import ALERT

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from pyro_events._broker.delivery.context import DeliveryContext
    from pyro_events._broker.net.tls_connection import CalledOwner
    from pyro_events._broker.settings import Settings
    from pyro_events._broker.snapshot.model import Callee
    from pyro_events._broker.snapshot.transfer import SnapshotReader
    from pyro_wire.tls.certificate import Certificate

_MAX_GREETING = 1 << 20
_MAX_REPLY = 16 << 20
TLS_ONLY = "if its daemon speaks TLS, subscribe over TLS, too, at an event service with tls"
"""Pyro5's setting SSL is for both: the daemon and the proxy that subscribes."""
_MAX_ATTEMPTS = 20
"""More don't change the delay."""


class DaemonOwner(Protocol):
    """What a DaemonConnection works for."""

    def on_greeted(self) -> None:
        """React to the daemon's greeting: the object's methods are known."""

    def on_answer(self, frame: Frame) -> None:
        """Handle an answer; an exception closes the connection."""

    def on_lost(self, reason: str | None) -> None:
        """React to a lost connection or a failed attempt, before the next attempt.

        No reason is given for the end that `hangs_up` announced.
        """

    def on_ended(self, reason: str) -> None:
        """React to the last failed attempt, or to the end of the connection after `finish`."""


class CallbackTls(Protocol):
    """How daemons are called over TLS."""

    def call(
        self, sock: socket.socket, max_size: int, owner: CalledOwner, host: str
    ) -> TlsConnection:
        """Begin TLS with a stock daemon, which is the server of it."""

    def may_fall_back(self, address: str) -> bool:
        """Return whether a daemon may be called without TLS that was to be called over it."""

    def call_back(self, sock: socket.socket, max_size: int, owner: CalledOwner) -> TlsConnection:
        """Begin TLS with a helper's daemon, which is the client of it."""

    def refusal(self, peer: Certificate) -> str | None:
        """Return why a certificate is not let in, if it isn't."""


class DaemonConnection(Snapshotted):
    """Connects to the daemon of a PYRO: URI, greets it, and repeats that as Retries allows."""

    SNAPSHOT: ClassVar = Fields(
        "packed", "greeted", "numbered",
        parts=("deadline", "retries", "_retry"),
        init=("callee", "connection"),
        methods=plain(frozenset),
    )  # fmt: skip
    TRANSIENT: ClassVar = (
        "owner", "_context",
        "uri",  # the callee's
        "_dial",  # begun again in the next process
        "hangs_up",  # a matter of milliseconds
        "_plain", "_secured",  # found out again
    )  # fmt: skip

    def __init__(self, context: DeliveryContext[Any], callee: Callee, owner: DaemonOwner) -> None:
        self.owner = owner
        self.callee = callee
        self.uri = URI(callee.uri)
        self.connection: ServerConnection | None = None
        self.greeted = False
        self.packed = True
        """Whether we speak msgpack, or else serpent."""
        self.numbered = False
        """Whether it is a helper's daemon, which knows numbers of events."""
        self.methods: frozenset[str] = frozenset()
        self.deadline = Deadline(context.loop, self._unanswered)
        """For the answer that is due next."""
        self.retries = Retries(context.loop.clock, context.settings)
        self._retry = Deadline(context.loop, self.connect)
        self.hangs_up = False
        """Whether the daemon is about to close the connection, for a reason that we know."""
        self._dial: Dial | None = None
        self._plain = False
        """Whether the daemon is called without TLS, as only its client speaks it."""
        self._secured = False
        self._context = context

    def __str__(self) -> str:
        return str(self.uri)

    @property
    def origin(self) -> str:
        """The address, as of other peers with TLS."""
        return self.callee.address

    @property
    def aware(self) -> bool:
        """Whether the object has an exposed `es_notice` method."""
        return "es_notice" in self.methods

    def connect(self) -> None:
        """Make the next attempt."""
        context = self._context
        self._dial = Dial(context.loop, context.settings.connect_timeout, self._dialled)
        self._dial.to(self.callee.address, self.uri.port)

    def expect_answer(self) -> None:
        """Close the connection unless an answer comes within `reply_timeout` seconds."""
        self.deadline.set(self._context.settings.reply_timeout)

    def send_notice(self, notice: dict[str, object], seq: int) -> None:
        """Call `es_notice`; there must be a connection."""
        assert self.connection is not None
        data = messages.notice(self.uri.object, notice, seq, packed=self.packed)
        self.connection.send(data)

    def finish(self, reason: str, patience: float) -> None:
        """Close when the daemon has read everything, or after `patience` seconds."""
        assert self.connection is not None
        self.deadline.clear()
        self.connection.finish(reason, patience)

    def end_tls(self) -> None:
        """Begin again if there is TLS, as its keys can't be handed over."""
        if isinstance(self.connection, TlsConnection):
            self.hangs_up = True
            self.connection.close("closed to begin TLS again")

    def close(self) -> None:
        """Close at once; the owner is not called any more."""
        connection, self.connection = self.connection, None
        self.greeted = False
        self.deadline.cancel()
        self._retry.cancel()
        if self._dial is not None:
            self._dial.cancel()
        if connection is not None:
            connection.close("unsubscribed")

    def restore(self, values: dict[str, Any], reader: SnapshotReader) -> None:
        """Continue; an attempt that was under way is made again."""
        super().restore(values, reader)
        if (connection := values["connection"]) is not None:
            size = _MAX_REPLY if self.greeted else _MAX_GREETING
            loop, sock = self._context.loop, reader.socket(connection["_sock"])
            self.connection = ServerConnection(loop, sock, size, self, configured=True)
            self.connection.restore(connection, reader)
        elif self._retry.at is None:
            self._retry.set(0.0)

    # The connection's owner

    def on_frame(self, frame: Frame) -> None:
        """Pass an answer on to the owner, after the daemon's greeting."""
        if self.greeted:
            self.owner.on_answer(frame)
            return
        if frame.type == framing.CONNECTFAIL:
            raise ProtocolError(f"refused: {messages.describe(frame)}")
        answer = messages.load(frame)
        try:
            self.methods = frozenset(answer["meta"]["methods"])
        except (TypeError, KeyError):
            raise ProtocolError("the subscriber's daemon sends an invalid greeting") from None
        self.numbered = is_numbered(frame.annotations)
        assert self.connection is not None
        self.connection.reader.max_size = _MAX_REPLY
        self.greeted = True
        self.retries.connected()
        self.deadline.clear()
        self.owner.on_greeted()

    def on_too_large(self, error: FrameTooLarge) -> None:
        """Treat an absurd answer as a broken connection."""
        raise error

    def on_foreign(self, error: ForeignProtocol) -> None:
        """Treat it as a broken connection."""
        assert self.connection is not None
        if error.received.startswith(ALERT):
            self._plain = False
            self.connection.close(f"closed with an alert of TLS: {TLS_ONLY}")
        else:
            self.connection.close(str(error))

    def on_closed(self, reason: str) -> None:
        """Try again, unless the connection was to end."""
        connection, self.connection = self.connection, None
        if connection is None:
            return
        if connection.finishing is not None:
            self.owner.on_ended(reason)
            return
        secured, self._secured = self._secured, False
        if not self.greeted and reason.startswith(("closed", "lost")):
            if self.callee.secure and not secured and not self._plain:
                reason = self._try_plain(reason)
            else:
                self.packed = not self.packed  # a daemon without msgpack hangs up without a word
                if self.callee.key is None and not secured:
                    reason = f"{reason} before its greeting: {TLS_ONLY}"
        self._lost(reason)

    def _try_plain(self, reason: str) -> str:
        """Do without TLS from now on, where that is allowed; return the reason to be told."""
        assert self._context.tls is not None
        self._plain = self._context.tls.may_fall_back(self.callee.address)
        return reason if self._plain else f"{reason}: its daemon must speak TLS, as its client does"

    def on_secured(self, peer: Certificate) -> None:
        """Greet the daemon if it is the subscriber's own."""
        assert self.connection is not None
        assert self._context.tls is not None
        self._secured = True
        if self.callee.secure:  # OpenSSL has checked its host
            self._greet()
            return
        refusal = self._context.tls.refusal(peer)
        if peer.name != self.callee.certificate:
            refusal = f"its certificate is that of {peer.name}, not of {self.callee.certificate}"
        if refusal is not None:
            self.connection.close(refusal)
        else:
            self._greet()

    def on_insecure(self, reason: str) -> None:
        """Try again: it is not the subscriber's end, or a stock daemon without TLS."""
        assert self.connection is not None
        if self.callee.secure and NOT_TLS in reason:
            reason = self._try_plain(reason)
        self.connection.close(f"no TLS connection: {reason}")

    def _dialled(self, outcome: socket.socket | OSError) -> None:
        self._dial = None
        if isinstance(outcome, OSError):
            self._lost(f"can't connect: {outcome.strerror or outcome}")
            return
        if self.callee.user not in (None, self._context.owners.server_user(outcome)):
            outcome.close()
            self._lost("a process of another user listens there")
            return
        tls, callee = self._context.tls, self.callee
        if callee.certificate is None and (self._plain or not callee.secure):
            self.connection = ServerConnection(self._context.loop, outcome, _MAX_GREETING, self)
            self._greet()
        elif tls is None:
            outcome.close()
            self._lost("it is called over TLS, which is off here")
        else:
            configure(outcome)
            if callee.secure:
                self.connection = tls.call(outcome, _MAX_GREETING, self, self.uri.host)
            else:
                self.connection = tls.call_back(outcome, _MAX_GREETING, self)
            self.expect_answer()

    def _greet(self) -> None:
        assert self.connection is not None
        self.connection.send(
            messages.greeting(self.uri.object, self.callee.key, packed=self.packed)
        )
        self.expect_answer()

    def _lost(self, reason: str) -> None:
        self.greeted = False
        self.deadline.clear()
        if self.hangs_up:
            self.hangs_up = False
            self._retry.set(0.0)
            self.owner.on_lost(None)
            return
        delay = self.retries.failed()
        if delay is None:
            tried = self._context.settings.retry_for
            self.owner.on_ended(f"not reached for {tried:g} s ({reason})")
        else:
            self._retry.set(delay)
            self.owner.on_lost(reason)

    def _unanswered(self) -> None:
        if self.connection is not None:
            timeout = self._context.settings.reply_timeout
            self.connection.close(f"no answer for {timeout:g} s")


@dataclass(slots=True, eq=False)
class Retries(Snapshotted):
    """When to try again: delays that double up to `retry_max_delay`, for `retry_for` seconds.

    A connection that lasts for `retry_max_delay` ends the series, as an answer does.
    """

    SNAPSHOT: ClassVar = Fields("_attempts", "_broken_since", "_healthy_at")
    TRANSIENT: ClassVar = ("_clock", "_settings")

    _clock: Callable[[], float]
    _settings: Settings
    _broken_since: float | None = None
    _attempts: int = 0
    _healthy_at: float | None = None

    @property
    def broken(self) -> bool:
        """Whether a series of attempts is under way."""
        return self._broken_since is not None

    @property
    def first(self) -> bool:
        """Whether the last failure was the first one of its series."""
        return self._attempts == 1

    def connected(self) -> None:
        """Record that there is a connection."""
        self._healthy_at = self._clock() + self._settings.retry_max_delay

    def answered(self) -> None:
        """End the series: the subscriber does its work."""
        self._broken_since = None

    def failed(self) -> float | None:
        """Record a failure; return the seconds to wait, or None when it is too late."""
        now, settings = self._clock(), self._settings
        if self._healthy_at is not None and now >= self._healthy_at:
            self._broken_since = None
        self._healthy_at = None
        if self._broken_since is None:
            self._broken_since, self._attempts = now, 0
        left = self._broken_since + settings.retry_for - now
        if left <= 0:
            return None
        delay = float(min(settings.retry_delay * 2**self._attempts, settings.retry_max_delay, left))
        self._attempts = min(self._attempts + 1, _MAX_ATTEMPTS)
        return delay
