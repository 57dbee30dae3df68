"""What `Subscriber` and `AsyncSubscriber` share: arguments, subscription and hooks."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, Literal

from pyro_events._client.closeable import Helper
from pyro_events._client.names import service
from pyro_events._client.receiving.inbox import Inbox
from pyro_events._protocol.pressure import check_when_full
from pyro_events._protocol.subjects import check_encodable

if TYPE_CHECKING:
    from pyro_events._client.receiving.subscription import Subscription
    from pyro_events._protocol.event import Undecodable
    from pyro_events.tls import Tls
    from pyro_events.types import ConnectionNotice, GapNotice, WhenFull

_log = logging.getLogger("pyro_events")


def _check(options: dict[str, Any]) -> None:
    name, queue_size, when_full = map(options.get, ("name", "queue_size", "when_full"))
    if when_full is not None:
        check_when_full(when_full)
    if queue_size is not None and type(queue_size) is not int:
        raise TypeError(f"queue_size must be a number of events, not {queue_size!r:.60}")
    if queue_size is not None and queue_size < 1:
        raise ValueError(f"queue_size must be at least 1, not {queue_size!r:.60}")
    if name is not None:
        check_encodable(name, "name")


class _GapLog:
    """Logs gaps, at most one a second, with how many events were missed in all."""

    def __init__(self) -> None:
        self._missed = 0
        self._silent_until = 0.0

    def warn(self, notice: GapNotice) -> None:
        """Log a gap, unless it was logged as something else or another one just now."""
        self._missed += notice["missed"] or 0
        now, reason = time.monotonic(), notice["reason"]
        if reason == "undecodable" or (reason == "full" and now < self._silent_until):
            return
        self._silent_until = now + 1.0
        missed = "some" if notice["missed"] is None else notice["missed"]
        _log.warning("missed %s events (%d so far): %s", missed, self._missed, reason)


class SubscriberBase(Helper):
    """Holds a subscription, which fills an inbox, and calls hooks with its notices."""

    def __init__(
        self,
        es: str | None = None,
        *,
        ident: str | None = None,
        broadcast: bool = False,
        tls: Tls | str | bool | None = None,
        esURI: str | None = None,  # noqa: N803 - the original's name
        delivery: Literal["stream", "callback"] = "stream",
        host: str | None = None,
        port: int = 0,
        nathost: str | None = None,
        natport: int | None = None,
        name: str | None = None,
        once: bool = False,
        when_full: WhenFull | None = None,
        queue_size: int | None = None,
    ) -> None:
        given = {"name": name, "once": once, "when_full": when_full, "queue_size": queue_size}
        options = {key: value for key, value in given.items() if value is not None}
        _check(options)
        es_at = service(es, esURI, broadcast, tls)
        self._inbox = Inbox()
        self._gaps = _GapLog()
        self._subscription: Subscription
        if delivery == "stream":
            from pyro_events._client.receiving.stream import Stream  # noqa: PLC0415 - one of the two is needed

            self._subscription = Stream(es_at, ident, self._inbox, options)
        elif delivery == "callback":
            from pyro_events._client.receiving.callback import Callback  # noqa: PLC0415 - the same

            daemon = {"host": host, "port": port, "nathost": nathost, "natport": natport}
            self._subscription = Callback(es_at, ident, self._inbox, options, daemon)
        else:
            raise ValueError(f"delivery must be 'stream' or 'callback', not {delivery!r}")
        self._prepare()
        self._ready()

    def _prepare(self) -> None:
        """Set up what a subclass needs; the last step of the constructor."""

    def connected(self, notice: ConnectionNotice) -> None:
        """Override this hook to learn of a connection, the first one or another one.

        Hooks are called where events are handled: by `Subscriber.listen`, in its thread, or by the
        iteration of an `AsyncSubscriber`, in its event loop. An exception in a hook is logged.
        `notice` has the event service's `uri` and `incarnation` (the id of that run of it).
        """

    def disconnected(self, notice: ConnectionNotice) -> None:
        """Override this hook to learn that the connection broke, and the `reason`.

        The subscriber reconnects on its own.
        """

    def gap(self, notice: GapNotice) -> None:
        """Override this hook to learn that events were missed; this one logs a warning.

        `missed` is their number, None if it is unknown. `reason` is `"full"` (the queue was),
        `"restarted"` (the event service was), `"expired"` (the connection was broken for too
        long), `"lost"` (numbers of events are missing, which should not happen), `"undecodable"`
        (the message about `subject` can't be decoded here; `detail` has the reason) or `"pattern"`
        (`pattern` took too long to match: single events may be missing, or it is `suspended`).
        """
        self._gaps.warn(notice)

    def _report_undecodable(self, event: Undecodable) -> None:
        """Log and report an event that has arrived and is missing all the same."""
        _log.error("an event about %r can't be decoded: %s", event.subject, event.reason)
        notice = {"kind": "gap", "missed": 1, "reason": "undecodable", "subject": event.subject}
        self._call_hook("gap", {**notice, "detail": event.reason})

    def _unclosed(self) -> str:
        return "subscriber"

    def _abandon(self) -> None:
        self._subscription.close(wait=False)

    def _after_fork(self, inherited: Any) -> None:
        self._subscription, self._inbox.on_put, self._closed = inherited, None, True
