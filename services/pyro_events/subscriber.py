"""The subscriber's side: subclass, subscribe, listen."""

from __future__ import annotations

import contextlib
import logging
import threading
from typing import TYPE_CHECKING, Any, Literal

from pyro_events._client.closeable import Closeable
from pyro_events._client.receiving.inbox import Failure, Inbox, Notice, Undecodable, Wake
from pyro_events._client.receiving.workers import Workers
from pyro_events._client.waker import Waker
from pyro_events._protocol.subjects import check_patterns, check_subjects
from pyro_events.errors import Closed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyro_events._client.receiving.inbox import Delivery, Item
    from pyro_events._client.receiving.subscription import Subscription
    from pyro_events._protocol.event import Event
    from pyro_events._protocol.when_full import WhenFull

TIMEOUT = 10.0
"""Seconds that a change of subscriptions may take, reconnecting included."""

_log = logging.getLogger("pyro_events")


class Subscriber(Closeable):
    """Receives events: subclass it, override `event`, subscribe, and `listen`.

    `es` is the event service's URI (`PYRO:…` or `PYRONAME:…`); None looks it up in the name
    server, and again whenever the connection is made anew. `ident` is the identification, if the
    event service wants one. `delivery` is `"stream"`, over a connection that the subscriber opens,
    or `"callback"`, to a Pyro5 daemon of its own on `host`, `port`, `nathost` and `natport`.
    `name` is shown to people. With `once` an event comes once however many subscriptions match.
    `queue_size` and `when_full` (`"block"`, `"drop-oldest"`, `"drop-newest"`, `"disconnect"`) are
    for the subscriber's queue at the event service; None leaves them to it.

    All methods may be called from any thread, also from inside of `event`. A subscriber connects
    when it first subscribes or listens, and has to be closed; as a context manager it closes
    itself. A signal handler may raise in the middle of any method: `listen` can be called again
    and goes on with the next event, and what was about to be subscribed is so or not. Raises
    ValueError or TypeError for arguments that make no sense.
    """

    def __init__(
        self,
        es: str | None = None,
        *,
        ident: str | None = None,
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
        options = {"name": name, "once": once, "when_full": when_full, "queue_size": queue_size}
        daemon = {"host": host, "port": port, "nathost": nathost, "natport": natport}
        self._inbox = Inbox()
        self._subscription = make_subscription(es, ident, self._inbox, delivery, options, daemon)
        self._listener: object = None
        self._aborted = False
        self._closed = False
        self._threaded = False
        self._opened: _Opened | None = None
        self._workers = Workers()
        self._counting = threading.Lock()
        self._counts = dict.fromkeys(("received", "errors", "undecodable", "gaps"), 0)

    # -- to override

    def event(self, event: Event) -> None:
        """Handle an event. An exception is logged, and the event counts as handled."""
        raise NotImplementedError("override event() to receive events")

    def connected(self, notice: dict[str, Any]) -> None:
        """Learn that there is a connection, the first one or one more.

        Hooks are called by `listen`, in its thread. `notice` has `kind`, `uri`, `incarnation`
        (an id of that run of the event service) and `reason`.
        """

    def disconnected(self, notice: dict[str, Any]) -> None:
        """Learn that the connection broke, and the `reason`; it is tried again anyway."""

    def gap(self, notice: dict[str, Any]) -> None:
        """Learn that events were missed: `missed` says how many, None that nobody knows.

        The `reason` is `"full"` (the queue was), `"restarted"` (the event service was),
        `"expired"` (the break took too long), `"undecodable"` (a message can't be recreated
        here) or `"pattern"` (`notice["pattern"]` took too long to match and is suspended).
        """

    # -- to call

    def subscribe(self, subjects: str | Sequence[str]) -> None:
        """Receive the events about these subjects that are published from now on.

        They are kept for `listen` if that isn't running. Raises ValueError or TypeError for a bad
        subject, `pyro_events.errors.Unreachable` when there is no event service for 10 s, and
        `Refused` when it refuses this client; then nothing has changed.
        """
        self._subscription.subscribe(check_subjects(subjects), (), TIMEOUT)

    def subscribeMatch(self, patterns: str | Sequence[str]) -> None:  # noqa: N802 - the original's name
        """Receive the events whose subject matches one of these regular expressions.

        They match from the start of the subject, as `re.match` does, and ignore case.
        """
        texts = [pattern.text for pattern in check_patterns(patterns)]
        self._subscription.subscribe((), texts, TIMEOUT)

    def unsubscribe(self, subjects: str | Sequence[str]) -> None:
        """Receive no more about these subjects, nor by patterns of these texts.

        What was not subscribed is no error. What has arrived already is still handled.
        """
        self._subscription.unsubscribe(check_texts(subjects), TIMEOUT)

    def listen(self) -> None:
        """Handle events until `abort` is called, or until the subscriber is closed.

        Waits for an event service that isn't there, and for one that went away. Raises
        `pyro_events.errors.Refused` when the first connection is refused, `Closed` on a closed
        subscriber, and RuntimeError when it is running already.
        """
        me = object()
        try:
            with self._counting:
                if self._listener is None:
                    self._listener = me
            if self._listener is not me:
                raise RuntimeError("listen() is running already")
            if self._closed:
                raise Closed("the subscriber was closed")
            self._subscription.start()
            self._handle_items()
        finally:
            if self._listener is me:
                self._aborted, self._listener = False, None

    def abort(self) -> None:
        """Let `listen` return when the event in progress is done; the next one, if none runs.

        Returns at once. Nothing is lost: what has not been handled waits for the next `listen`.
        """
        self._aborted = True
        self._inbox.put(Wake())

    def setThreading(self, threaded: bool) -> None:  # noqa: N802 - the original's name
        """Say whether `event` may be called by several threads at once, from the next `listen` on.

        Otherwise events are handled one by one, in order, by the thread that called `listen`.
        """
        self._threaded = threaded

    def statistics(self) -> dict[str, int]:
        """Give counts: received, errors (exceptions of `event`), undecodable, gaps, reconnects."""
        return {**self._counts, "reconnects": max(0, self._subscription.links - 1)}

    def close(self) -> None:
        """End the subscriptions and `listen`, and disconnect. Closing again does nothing."""
        self._closed = True
        try:
            self.abort()
        finally:
            self._subscription.close()

    def _abandon(self) -> str:
        self._subscription.close(wait=False)
        return "subscriber"

    # -- within listen

    def _handle_items(self) -> None:
        try:
            if self._threaded:
                self._workers.start(self._handle)
            else:
                self._workers.finish(self._handle, lambda: self._aborted)
            with contextlib.closing(Waker()) as waker:
                while not self._aborted:
                    self._take(self._next_item(waker))
        finally:
            self._workers.stop()

    def _next_item(self, waker: Waker) -> Item:
        """Wait for something; while there is a connection, by reading it in this very thread."""
        while self._inbox.empty() and self._subscription.read(waker):
            pass
        return self._inbox.first()

    def _take(self, item: Item) -> None:
        """Deal with the inbox's first item, which stays there if that is interrupted."""
        if isinstance(item, Notice):
            self._tell(item)
        elif isinstance(item, Failure):
            if item.error is self._subscription.refusal:
                del self._inbox.items[0]
                raise item.error
        elif not isinstance(item, Wake):
            if self._threaded:
                self._count("received", self._workers.hand_in(item))
            elif not self._handle_events(self._open(item)):
                return
        del self._inbox.items[0]

    def _open(self, parcel: Delivery) -> _Opened:
        """Give the parcel's events, as they were left if it was opened before."""
        opened = self._opened
        if opened is None or opened.parcel is not parcel:
            opened = _Opened(parcel, parcel.open())
            count = len(opened.events)
            with self._counting:
                self._opened = opened
                self._counts["received"] += count
        return opened

    def _handle_events(self, opened: _Opened) -> bool:
        """Handle the events that are left; says whether these were all.

        One whose handler is interrupted counts as handled.
        """
        handle, events, done = self.event, opened.events, opened.done
        try:
            for event in events[done:] if done else events:
                if isinstance(event, Undecodable):
                    done += 1
                    self._missed(event)
                else:
                    try:
                        done += 1  # a signal is looked for before it, and next within the handler
                        handle(event)
                    except Exception:  # noqa: BLE001 - it is the user's, and must not end listen
                        self._failed(event)
                if self._aborted:
                    break
        finally:
            opened.done = done
            opened.parcel.handled(done)
        return done == len(events)

    def _handle(self, event: Event | Undecodable) -> None:
        if isinstance(event, Undecodable):
            self._missed(event)
            return
        try:
            self.event(event)
        except Exception:  # noqa: BLE001 - the same
            self._failed(event)

    def _missed(self, event: Undecodable) -> None:
        self._count("undecodable")
        _log.error("an event about %r can't be decoded: %s", event.subject, event.reason)
        self._tell(undecodable_gap(event))

    def _failed(self, event: Event) -> None:
        self._count("errors")
        _log.exception("error in event() for an event about %r", event.subject)

    def _tell(self, notice: Notice) -> None:
        if notice.hook == "gap":
            self._count("gaps")
        try:
            getattr(self, notice.hook)(notice.values)
        except Exception:  # noqa: BLE001 - the same
            self._count("errors")
            _log.exception("error in %s()", notice.hook)

    def _count(self, what: str, number: int = 1) -> None:
        with self._counting:
            self._counts[what] += number


class _Opened:
    """A parcel's events, and how many of them are done."""

    __slots__ = ("done", "events", "parcel")

    def __init__(self, parcel: Delivery, events: Sequence[Event | Undecodable]) -> None:
        self.parcel = parcel
        self.events = events
        self.done = 0


def make_subscription(
    es: str | None,
    ident: str | None,
    inbox: Inbox,
    delivery: str,
    options: dict[str, Any],
    daemon: dict[str, Any],
) -> Subscription:
    """Make what fills the inbox; raises ValueError for a delivery that doesn't exist."""
    if delivery == "stream":
        from pyro_events._client.receiving.stream import Stream  # noqa: PLC0415 - one of the two is needed

        return Stream(es, ident, inbox, options)
    if delivery == "callback":
        from pyro_events._client.receiving.callback import Callback  # noqa: PLC0415 - the same

        return Callback(es, ident, inbox, options, daemon)
    raise ValueError(f"delivery must be 'stream' or 'callback', not {delivery!r}")


def check_texts(texts: str | Sequence[str]) -> tuple[str, ...]:
    """Check what to unsubscribe, which may be patterns and so longer than a subject."""
    if isinstance(texts, str) and texts:
        return (texts,)
    if isinstance(texts, (list, tuple)) and texts and all(isinstance(t, str) and t for t in texts):
        return tuple(texts)
    return check_subjects(texts)


def undecodable_gap(event: Undecodable) -> Notice:
    """Give the notice for an event that arrived and still is missing."""
    values = {"kind": "gap", "missed": 1, "reason": "undecodable", "subject": event.subject}
    return Notice("gap", {**values, "detail": event.reason})
