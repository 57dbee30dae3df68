"""Events the classical way: the event service calls an object in a Pyro5 daemon of our own."""

from __future__ import annotations

import logging
import threading
from hmac import compare_digest
from secrets import token_hex
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

import Pyro5.server
from Pyro5.callcontext import current_context
from Pyro5.core import URI

from pyro_events._client.connection import ConnectionLost
from pyro_events._client.process import check_threads, process
from pyro_events._client.receiving.backlog import Backlog, ReceivedCall
from pyro_events._client.receiving.inbox import Notice
from pyro_events._client.receiving.subscription import Subscription
from pyro_events._client.tls_connection import TlsConnection
from pyro_events._client.waker import Stopped
from pyro_events._protocol.numbering import ANNOTATION, Numbers
from pyro_events.errors import EventServiceError, Refused
from pyro_wire.daemon_limits import limited_handshake
from pyro_wire.tls.errors import peer_chain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyro_events._client.calls import Calls
    from pyro_events._client.connection import Connection
    from pyro_events._client.introduction import Welcome
    from pyro_events._client.names import Service
    from pyro_events._client.receiving.inbox import Inbox
    from pyro_events._client.receiving.subscription import Call
    from pyro_events._protocol.event import Event, Undecodable
    from pyro_wire.framing import Frame
    from pyro_wire.tls.files import TlsIdentity


_KEY_BYTES: Final = 16
_HANDSHAKE_SIZE: Final = 4096
"""Bytes; the event service's has less than a tenth."""
_HANDSHAKE_TIMEOUT: Final = 10.0
"""Seconds that a client may keep one of the daemon's threads before it has shown the key."""

_log = logging.getLogger("pyro_events")


class Callback(Subscription):
    """Keeps an object subscribed. Its link shows when the event service has gone."""

    def __init__(
        self,
        service: Service,
        ident: str | None,
        inbox: Inbox,
        options: dict[str, Any],
        daemon: dict[str, Any],
    ) -> None:
        check_threads()
        super().__init__(service, ident, inbox, None)
        self._backlog = Backlog(inbox, options.get("queue_size"))
        self._incarnation: str | None = None
        self._was_dismissed = False
        """Whether we connect again because the event service has dismissed us."""
        self._requested: set[str] = set()
        """Texts that the event service may have heard of and not have forgotten."""
        key = token_hex(_KEY_BYTES)
        self._daemon = _Daemon(key, service.tls, **daemon)
        self._target = CallbackTarget(self, self._backlog)
        self._name = str(options.pop("name", None) or "subscriber").replace(" ", "_")
        self._options = {**options, "key": key}
        self._uri = self._register()
        self._thread = threading.Thread(
            target=self._daemon.requestLoop, name="pyro_events daemon", daemon=True
        )
        self._thread.start()

    def unsubscribe(self, texts: object) -> Sequence[str]:
        """Unsubscribe as `Subscription.unsubscribe`."""
        checked = super().unsubscribe(texts)
        with self._lock:
            self._requested.difference_update(checked)
        return checked

    def close(self, *, wait: bool = True) -> None:
        """Unsubscribe if possible, and end connection and daemon."""
        self._backlog.close()
        super().close(wait=wait)
        if wait:
            self._shut_down()
        else:
            threading.Thread(target=self._shut_down, daemon=True).start()

    def on_notice(self, notice: dict[str, Any]) -> None:
        """Process a notice; after a dismissal, the link connects again."""
        super().on_notice(notice)
        if self._dismissed:
            self.link.wake()

    def woken(self) -> None:
        """Connect again when the event service has dismissed us."""
        if self._dismissed:
            raise ConnectionLost("the subscriber's queue was full")

    def _register(self) -> str:
        """Return a new address of the object, which nobody can guess."""
        return str(self._daemon.register(self._target, f"{self._name}_{uuid4().hex}"))

    def _shut_down(self) -> None:
        self._daemon.shutdown()
        if self._thread is not threading.current_thread():
            self._thread.join()

    def _attach(self, calls: Calls, connection: Connection, welcome: Welcome) -> list[Notice]:
        with self._lock:
            subjects, patterns = self.subscriptions.subjects, self.subscriptions.patterns
        # Taken before we subscribe: the next one may come at once, and would be overlooked.
        self._was_dismissed = self._take_dismissal() or self._was_dismissed
        before = self._incarnation
        secure = isinstance(connection, TlsConnection)
        self._daemon.service_host = URI(welcome.uri).host if secure else None
        self._options["tls"] = secure
        restarted = before is not None and before != welcome.incarnation
        try:
            if restarted and self._request(
                calls, connection, ("remembers", [self._uri, before], {})
            ):
                restarted = False  # if something was missed, `es_notice` reports it
            for call in self._subscribing(subjects, patterns):
                self._request(calls, connection, call)
        except (EventServiceError, Stopped):
            raise
        except PermissionError as error:  # we are another client, as it seems: begin again
            self._daemon.unregister(self._target)
            self._uri, self._was_dismissed = self._register(), True
            raise ConnectionLost(f"the subscription can't be continued: {error}") from None
        except Exception as error:
            raise Refused(f"{welcome.uri} refused the subscriber: {error}") from error
        dismissed, self._was_dismissed = self._was_dismissed, False
        self._incarnation = welcome.incarnation
        if self._dismissed:
            self.link.wake()  # the first wake-up was lost during our calls
        if not (restarted or dismissed) or before is None or not (subjects or patterns):
            return []
        reason = "restarted" if restarted else "full"
        return [Notice("gap", {"kind": "gap", "missed": None, "reason": reason})]

    def _on_push(self, frame: Frame) -> None:
        raise EventServiceError(f"the event service sent a frame of type {frame.type}")

    def _subscribing(self, subjects: Sequence[str], patterns: Sequence[str]) -> list[Call]:
        with self._lock:
            self._requested.update(subjects, patterns)
        calls: list[Call] = []
        if subjects:
            calls.append(("subscribe", [list(subjects), self._uri], self._options))
        if patterns:
            calls.append(("subscribeMatch", [list(patterns), self._uri], self._options))
        return calls

    def _final_calls(self) -> list[Call]:
        with self._lock:
            requested = list(self._requested)
        return [self._unsubscribing(requested)] if requested else []

    def _unsubscribing(self, texts: Sequence[str]) -> Call:
        return "unsubscribe", [list(texts), self._uri], {}


@Pyro5.server.expose
class DaemonInterface(Pyro5.server.DaemonObject):  # type: ignore[misc] # Pyro5 ships no types
    """The object `Pyro.Daemon`, which doesn't tell which other objects there are."""

    def registered(self) -> list[str]:
        """Return nothing."""
        return []

    def info(self) -> str:
        """Return nothing that isn't known."""
        return "a subscriber"


class _Daemon(Pyro5.server.Daemon):  # type: ignore[misc] # Pyro5 ships no types
    """A daemon for the event service alone, to which we have told the key.

    It knows numbers of events, and its sockets are closed in forked children.
    """

    def __init__(self, key: str, tls: TlsIdentity | None, **options: Any) -> None:
        super().__init__(**options, interface=DaemonInterface)
        self._key = key
        self._tls = tls
        self.service_host: str | None = None
        """The host that must be in the event service's certificate; None: calls have no TLS."""
        process.add_socket(self.transportServer.sock)

    def _handshake(self, conn: Any, denied_reason: str | None = None) -> bool:
        """Begin TLS, as the client in its handshake: so we check who calls, as when we connect.

        Limit what is decoded of strangers, and their time. Called by Pyro5.
        """
        timeout = conn.gettimeout()
        conn.settimeout(_HANDSHAKE_TIMEOUT)
        if self._tls is not None and self.service_host is not None:
            context, host = self._tls.context, self.service_host
            tls = context.wrap_socket(
                conn.sock, server_hostname=host, do_handshake_on_connect=False
            )
            conn.sock = tls
            try:
                tls.do_handshake()
            except OSError as error:
                reason = self._tls.explain(error, peer_chain(tls), host)
                _log.warning("a call was refused: %s", reason)
                return False
        with limited_handshake(conn, _HANDSHAKE_SIZE, simple=True):
            accepted: bool = super()._handshake(conn, denied_reason)
        conn.settimeout(timeout)
        return accepted

    def validateHandshake(self, conn: Any, data: Any) -> Any:  # noqa: N802 - Pyro5's name
        """Accept who knows the key; raises PermissionError."""
        if not (isinstance(data, str) and compare_digest(data.encode(), self._key.encode())):
            raise PermissionError("only the event service may call this object")
        process.add_socket(conn.sock)
        return super().validateHandshake(conn, data)

    def annotations(self) -> dict[str, bytes]:
        """Return, for each answer, the sign that calls may have numbers."""
        return {ANNOTATION: b""}


@Pyro5.server.expose
class CallbackTarget:
    """The object that the event service calls, in the daemon's threads."""

    def __init__(self, callback: Callback, backlog: Backlog) -> None:
        self._callback = callback
        self._backlog = backlog

    def event(self, event: Event | Undecodable) -> None:
        """Take an event; the last one of a call returns when there is room for more."""
        annotations = current_context.annotations  # of this call, and of no other
        call = annotations.get(ANNOTATION)
        if type(call) is not ReceivedCall:
            call = ReceivedCall(Numbers.decode(call) if call else None)
            annotations[ANNOTATION] = call
        call.events.append(event)
        if len(call.events) == call.total:
            self._backlog.take(call)

    def es_notice(self, notice: dict[str, Any]) -> None:
        """Take a notice, which belongs after the events so far."""
        self._callback.on_notice(notice)
