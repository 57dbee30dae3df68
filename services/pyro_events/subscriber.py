"""The subscriber's side: subclass, subscribe, listen."""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
from typing import TYPE_CHECKING, Any, cast

from pyro_events._client.closeable import Closeable
from pyro_events._client.process import check_threads
from pyro_events._client.receiving.base import SubscriberBase
from pyro_events._client.receiving.inbox import Failure, Notice, Wake
from pyro_events._client.receiving.workers import Workers
from pyro_events._client.waker import Waker
from pyro_events._protocol.event import Undecodable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyro_events._client.receiving.inbox import Delivery, Item
    from pyro_events._protocol.event import Event
    from pyro_events.types import SubscriberStatistics

__all__ = ["Subscriber"]

_log = logging.getLogger("pyro_events")


class Subscriber(SubscriberBase, Closeable):
    """Receives events: subclass it, override `event`, subscribe, and `listen`.

    `es` is the event service's URI (`PYRO:…` or `PYRONAME:…`); None looks it up in the name server,
    again for every connection. That is at Pyro5's NS_HOST and NS_PORT, localhost unless set; with
    `broadcast` it is searched in the network, too. `esURI` is the old name of `es`. `ident` is the
    identification, if the event service wants one. `delivery` is `"stream"`, over a connection that
    the subscriber opens, or `"callback"`, to a Pyro5 daemon of its own on `host`, `port`, `nathost`
    and `natport`. `name` is shown to people. With `once` an event comes once however many
    subscriptions match. `queue_size` (events that wait at the event service or are on
    their way, at least one of each) and `when_full` (`"drop-oldest"`, `"drop-newest"`,
    `"disconnect"`) set the subscriber's queue at the event service; None means the event service's
    default. A `queue_size` of 1 is for the latest event only.

    Any thread may call any method, `event` included. A subscriber connects when it first
    subscribes or listens, and has to be closed; as a context manager it closes itself. A signal
    handler may raise in the middle of any method: `listen` can be called again and continues with
    the next event, and a subscription that was being made either exists or doesn't. Raises
    ValueError or TypeError for invalid arguments.
    """

    def _prepare(self) -> None:
        self._listener: object = None
        self._aborted = False
        self._threaded = False
        self._opened: _OpenDelivery | None = None
        self._workers = Workers()
        self._count_lock = threading.Lock()
        self._counts = dict.fromkeys(("received", "errors", "undecodable", "gaps"), 0)

    def event(self, event: Event) -> None:
        """Override this method to handle an event.

        An exception is logged with its traceback, and the event counts as handled.
        """
        raise NotImplementedError("override event() to receive events")

    def subscribe(self, subjects: str | Sequence[str]) -> None:
        """Receive the events about one subject or several that are published from now on.

        They wait for `listen` if that isn't running. Returns when the event service has confirmed.
        Raises ValueError or TypeError for a bad subject, the event service's own error if it
        rejects the subscription, TypeError if `event` is not overridden, and of
        `pyro_events.errors` `Unreachable` if there is no answer within 10 s, `Refused` if the
        event service rejects this client, and `Closed`. After an error nothing has changed.
        """
        self._check_event()
        self._subscription.subscribe(subjects)

    def subscribeMatch(self, patterns: str | Sequence[str]) -> None:  # noqa: N802 - the original's name
        """Receive the events whose subject matches one regular expression or one of several.

        A pattern matches from the start of the subject, as with `re.match`, and ignores case.
        Waits and raises as `subscribe`.
        """
        self._check_event()
        self._subscription.subscribe_match(patterns)

    def unsubscribe(self, subjects: str | Sequence[str]) -> None:
        """Stop receiving events about these subjects, and by patterns of these texts.

        Unsubscribing from something not subscribed is not an error. Events that have arrived
        already are still handled. Waits and raises as `subscribe`; but after an error, the
        subscriptions may have ended.
        """
        self._subscription.unsubscribe(subjects)

    def listen(self) -> None:
        """Handle events until `abort` is called, or until the subscriber is closed.

        Waits for an event service that isn't there, and for one that went away. Raises
        `pyro_events.errors.Refused` when the first connection is refused, `Closed` on a closed
        subscriber, and RuntimeError when it is running already.
        """
        check_threads()
        me = object()
        try:
            with self._count_lock:
                if self._listener is None:
                    self._listener = me
            if self._listener is not me:
                raise RuntimeError("listen() is running already")
            self._subscription.start()
            self._process_items()
        finally:
            if self._listener is me:
                self._aborted, self._listener = False, None

    def abort(self) -> None:
        """Make `listen` return when the event in progress is done; the next one, if none runs.

        Returns at once. Nothing is lost: unhandled events wait for the next `listen`.
        """
        self._aborted = True
        self._inbox.put(Wake())

    @property
    def abortListen(self) -> bool:  # noqa: N802 - the original's name
        """Whether `abort` was called and `listen` hasn't returned yet; True calls it."""
        return self._aborted

    @abortListen.setter
    def abortListen(self, value: object) -> None:  # noqa: N802 - the same
        if value:
            self.abort()
        else:
            self._aborted = False

    def setThreading(self, threaded: bool) -> None:  # noqa: N802 - the original's name
        """Set whether up to 8 threads call `event` at once, from the next `listen` on.

        Otherwise events are handled one by one, in order, by the thread that called `listen`.
        """
        self._threaded = threaded

    def statistics(self) -> SubscriberStatistics:
        """Return the counts of events, errors, gaps and reconnects since the subscriber was made.

        `pyro_events.types.SubscriberStatistics` explains each.
        """
        counts = {**self._counts, "reconnects": max(0, self._subscription.connections_made - 1)}
        return cast("SubscriberStatistics", counts)

    def close(self) -> None:
        """End the subscriptions and `listen`, and disconnect. Closing again does nothing.

        The event service has one second to take note.
        """
        self._closed = True
        try:
            self.abort()
        finally:
            if not sys.is_finalizing():
                self._subscription.close()

    def _check_event(self) -> None:
        if getattr(self.event, "__func__", None) is Subscriber.event:
            raise TypeError(
                f"{type(self).__name__} would ignore the events: override event(self, event) first"
            )

    # -- within listen

    def _process_items(self) -> None:
        try:
            if self._threaded:
                self._workers.start(self._handle)
            else:
                self._workers.drain(self._handle, lambda: self._aborted)
            self._subscription.acknowledge_later(not self._threaded)
            with contextlib.closing(Waker()) as waker:
                while not self._aborted:
                    self._process(self._next_item(waker))
        finally:
            self._subscription.acknowledge_later(False)
            self._workers.stop()

    def _next_item(self, waker: Waker) -> Item:
        """Wait for an item; while there is a connection, by reading it in this very thread."""
        items, read = self._inbox.items, self._subscription.read
        while not items and read(waker):
            pass
        return self._inbox.first()

    def _process(self, item: Item) -> None:
        """Process the inbox's first item, which stays there if that is interrupted."""
        if isinstance(item, Notice):
            self._call_hook(*item)
        elif isinstance(item, Failure):
            if item.error is self._subscription.refusal:
                del self._inbox.items[0]
                raise item.error
        elif not isinstance(item, Wake):
            if self._threaded:
                self._count("received", self._workers.submit(item))
            elif not self._handle_events(self._open(item)):
                return
        del self._inbox.items[0]

    def _open(self, delivery: Delivery) -> _OpenDelivery:
        """Return the delivery's events, as they were left if it was opened before."""
        opened = self._opened
        if opened is None or opened.delivery is not delivery:
            opened = _OpenDelivery(delivery, delivery.open())
            count = len(opened.events)
            with self._count_lock:
                self._opened = opened
                self._counts["received"] += count
        return opened

    def _handle_events(self, opened: _OpenDelivery) -> bool:
        """Handle the events that are left; return whether these were all.

        An event whose handler is interrupted counts as handled.
        """
        handle, events, done = self.event, opened.events, opened.done
        try:
            for event in events[done:] if done else events:
                if isinstance(event, Undecodable):
                    done += 1
                    self._report_undecodable(event)
                else:
                    try:
                        done += 1  # a signal is looked for before it, and next within the handler
                        handle(event)
                    except Exception:  # noqa: BLE001 - it is the user's, and must not end listen
                        self._handler_failed(event)
                if self._aborted:
                    break
        finally:
            opened.done = done
            opened.delivery.handled(done)
        return done == len(events)

    def _handle(self, event: Event | Undecodable) -> None:
        if isinstance(event, Undecodable):
            self._report_undecodable(event)
            return
        try:
            self.event(event)
        except Exception:  # noqa: BLE001 - the same
            self._handler_failed(event)

    def _handler_failed(self, event: Event) -> None:
        self._count("errors")
        _log.exception("error in event() for an event about %r", event.subject)

    def _report_undecodable(self, event: Undecodable) -> None:
        self._count("undecodable")
        super()._report_undecodable(event)

    def _call_hook(self, hook: str, notice: object) -> bool:
        if hook == "gap":
            self._count("gaps")
        succeeded = super()._call_hook(hook, notice)
        if not succeeded:
            self._count("errors")
        return succeeded

    def _after_fork(self, inherited: Any) -> None:
        super()._after_fork(inherited)
        self._listener, self._count_lock = None, threading.Lock()
        self._aborted = True  # if a handler has forked, its `listen` ends here
        if self._opened is not None:
            self._opened.delivery = inherited
        self._workers.disown()

    def _count(self, what: str, number: int = 1) -> None:
        with self._count_lock:
            self._counts[what] += number


class _OpenDelivery:
    """A delivery's events, and how many of them are done."""

    __slots__ = ("delivery", "done", "events")

    def __init__(self, delivery: Delivery, events: Sequence[Event | Undecodable]) -> None:
        self.delivery = delivery
        self.events = events
        self.done = 0
