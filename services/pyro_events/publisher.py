"""The publisher's side: publish at once and be sure, or post and be fast."""

from __future__ import annotations

import logging
from math import inf
from typing import TYPE_CHECKING, Any

from pyro_events._client.closeable import Closeable
from pyro_events._client.late_sender import LateSender
from pyro_events._client.names import service
from pyro_events._client.outbox import Outbox
from pyro_events._protocol.pressure import PATIENCE, check_patience
from pyro_events._protocol.subjects import check_publishable
from pyro_events.codec import pack

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyro_events._client.outbox import Entry
    from pyro_events.tls import Tls
    from pyro_events.types import PublisherStatistics

__all__ = ["Publisher"]

MAX_PENDING = 10_000
MAX_PENDING_BYTES = 16 * 1024 * 1024
TIMEOUT = 10.0
_REMEMBERED = 1000
"""Subjects that are not checked again."""

_log = logging.getLogger("pyro_events")


class Publisher(Closeable):
    """Publishes events, across restarts of the event service and broken connections.

    `es` is the event service's URI (`PYRO:…` or `PYRONAME:…`); None looks it up in the name server,
    again for every connection. That is at Pyro5's NS_HOST and NS_PORT, localhost unless set; with
    `broadcast` it is searched in the network, too. `esURI` is the old name of `es`. `ident` is the
    identification, if the event service wants one. At most `max_pending` events, and about
    `max_pending_bytes` of them, wait to be acknowledged. `timeout` (seconds) bounds every wait of
    `publish`, `post` and `close`; it has to be longer than `patience`, unless that is None.

    `patience` (seconds) is how long a publish, or a batch of posted events, waits in the event
    service when the queues of subscribers are full. After that, what happens to the event is up to
    each of these subscribers, and none of them is waited for again until its queue is less than
    half full: so one that is stuck costs its publishers this time once. All waits together take at
    most that long and half a percent of the time, and none is for a subscriber whose connection is
    broken. 0 never waits; None waits as long as a subscriber takes something now and then, so that
    nothing is lost.

    Any thread may call any method; events keep the order of the calls. A publisher connects when
    it is first used, and has to be closed; as a context manager it closes itself. A signal handler
    may raise in the middle of any method: an event whose `publish` or `post` it interrupts is
    published once or not at all, and all others are unaffected. Raises ValueError or TypeError for
    invalid arguments.
    """

    def __init__(
        self,
        es: str | None = None,
        *,
        ident: str | None = None,
        broadcast: bool = False,
        tls: Tls | str | bool | None = None,
        esURI: str | None = None,  # noqa: N803 - the original's name
        max_pending: int = MAX_PENDING,
        max_pending_bytes: int = MAX_PENDING_BYTES,
        timeout: float = TIMEOUT,
        patience: float | None = PATIENCE,
    ) -> None:
        waiting = check_patience(patience)
        if timeout <= 0:
            raise ValueError(f"timeout must be more than 0 seconds, not {timeout!r}")
        if timeout <= waiting < inf:
            raise ValueError(
                f"timeout ({timeout:g} s) must be longer than patience ({waiting:g} s): "
                "a publish may wait so long for full queues"
            )
        self._timeout = timeout
        outbox = Outbox(max_pending, max_pending_bytes)
        self._sender = LateSender(service(es, esURI, broadcast, tls), ident, outbox, patience)
        self._subjects: dict[str, tuple[str, ...]] = {}
        self._ready()

    def publish(self, subjects: str | Sequence[str], message: Any, *, opaque: bool = False) -> None:
        """Send a message about one subject or several; returns when the event service has it.

        A subject is a str of 1 to 255 characters. An `opaque` message is bytes that the event
        service never opens. Raises ValueError or TypeError at once for a bad subject or message,
        the event service's own error if it refuses the event, and of `pyro_events.errors`
        `Unreachable` if it has not confirmed the event within `timeout` (the event may still
        arrive), `Refused` if it refuses this client, and `Closed` after `close`.
        """
        self._sender.publish(self._entry(subjects, message, opaque), self._timeout)

    def post(self, subjects: str | Sequence[str], message: Any, *, opaque: bool = False) -> None:
        """Send a message in the background, in a batch with others.

        Returns at once, unless `max_pending` or `max_pending_bytes` is reached: then it waits for
        room, and raises `Unreachable` after `timeout`. Raises ValueError, TypeError, `Refused` and
        `Closed` as `publish`. If the event service refuses the event, that is logged, counted and
        raised by `flush`.
        """
        if not opaque and type(subjects) is str:
            checked = self._subjects.get(subjects)
            if checked is not None:  # the most common case
                self._sender.post((checked, pack(message), False), self._timeout)
                return
        self._sender.post(self._entry(subjects, message, opaque), self._timeout)

    def flush(self, timeout: float | None = None) -> None:
        """Wait until the event service has confirmed or refused all events posted so far.

        Raises `NotPublished` if it refused events since the last flush, `Unreachable` after
        `timeout` seconds (None: no limit), `Refused` if it refuses this client, and `Closed` if
        the publisher was closed before.
        """
        self._sender.flush(timeout)

    def statistics(self) -> PublisherStatistics:
        """Return the counts since the publisher was made, and what is pending now.

        The keys are `published`, `posted`, `acked`, `failed`, `withdrawn`, `retries`, `reconnects`,
        `pending` and `pending_bytes`; `pyro_events.types.PublisherStatistics` explains each.
        """
        return self._sender.statistics()

    def close(self) -> None:
        """Flush, at most for `timeout`, and disconnect. Closing again does nothing.

        Raises as `flush`, after everything was released: then posted events are lost.
        """
        try:
            if not self._closed:
                self._sender.flush(self._timeout)
        finally:
            self._closed = True
            self._sender.close()

    def __exit__(self, *raised: object) -> None:
        try:
            self.close()
        except Exception as lost:
            if raised[1] is None:
                raise
            _log.error("posted events were lost, besides another error: %s", lost)

    def _entry(self, subjects: str | Sequence[str], message: Any, opaque: bool) -> Entry:
        checked = self._subjects.get(subjects) if type(subjects) is str else None
        if checked is None:
            checked = self._check(subjects)
        if not opaque:
            return checked, pack(message), False
        if type(message) is not bytes:
            raise TypeError(f"an opaque message must be bytes, not {type(message).__name__}")
        return checked, message, True

    def _check(self, subjects: str | Sequence[str]) -> tuple[str, ...]:
        """Check subjects, and remember a single one, since most are published repeatedly."""
        checked = check_publishable(subjects)
        if type(subjects) is str:
            if len(self._subjects) >= _REMEMBERED:
                self._subjects.clear()
            self._subjects[subjects] = checked
        return checked

    def _unclosed(self) -> str:
        pending = self._sender.pending
        return f"publisher with {pending} events pending" if pending else "publisher"

    def _abandon(self) -> None:
        self._sender.leave(self._timeout)

    def _at_exit(self, began: float) -> None:
        if not self._closed:
            self._sender.finish(began + self._timeout)

    def _after_fork(self, inherited: Any) -> None:
        self._sender, self._closed = inherited, True
