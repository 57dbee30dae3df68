"""What a manager publishes of its services: what it says, and who wants to hear it.

The subject is `pyroctl.DEPLOYMENT.SERVICE.STATE`, the message a dict that has `deployment`,
`service`, `state` and, when they are known, `uri`, `reason` and `time`.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import weakref
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from Pyro5.core import URI
from Pyro5.errors import PyroError

from pyro_events.errors import Closed, Refused, Unreachable
from pyro_events.subscriber import Subscriber

if TYPE_CHECKING:
    from pyro_events._protocol.event import Event

PATTERN = r"pyroctl\..*\.(running|backoff|exited|failed|stopped)$"
"""The states that matter: a service can be used, or its process has gone."""
_REMEMBERED = 1000
"""Services whose place is remembered."""

_log = logging.getLogger("pyro_events")


class ServiceEvent(NamedTuple):
    """What became of a service.

    `location` is HOST:PORT of its Pyro daemon, `time` when it was, in seconds since the epoch by
    the manager's clock; either may be unknown.
    """

    service: tuple[str, str]
    running: bool
    location: str | None
    reason: str
    time: float | None


class Watcher(Protocol):
    """Who wants to hear of services; called in the thread of the one who tells, and hashable."""

    def heard(self, news: ServiceEvent | None) -> None:
        """Learn what became of a service; None: something may have been missed."""


def read(message: object) -> ServiceEvent | None:
    """Understand the message of a life-cycle event; None when it is something else."""
    if not isinstance(message, dict):
        return None
    texts = [message.get(key) for key in ("deployment", "service", "state")]
    if not all(isinstance(text, str) for text in texts):
        return None
    deployment, service, state = map(str, texts)
    location = None
    if message.get("uri"):
        with contextlib.suppress(PyroError):
            location = URI(str(message["uri"])).location
    reason = f"{service} is {state}" + (f": {message['reason']}" if message.get("reason") else "")
    when = message.get("time")
    if isinstance(when, bool) or not isinstance(when, (int, float)):
        when = None
    return ServiceEvent((deployment, service), state == "running", location, reason, when)


class LifeCycle(Subscriber):
    """Listens to what a manager publishes of its services, for any number of reconnecting proxies.

    `es` and `ident` are as for a `Subscriber`. It listens in a thread of its own from the first
    proxy on, waits for an event service that isn't there, and has to be closed.
    """

    def __init__(self, es: str | None = None, *, ident: str | None = None) -> None:
        super().__init__(es, ident=ident, name="life cycle", when_full="drop-oldest")
        self._watchers: weakref.WeakSet[Any] = weakref.WeakSet()
        self._places: dict[tuple[str, str], str] = {}
        self._watching = threading.Lock()
        self._thread: threading.Thread | None = None

    def watch(self, watcher: Watcher) -> None:
        """Tell this one, too, as long as it exists."""
        with self._watching:
            self._watchers.add(watcher)
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="pyro_events life cycle", daemon=True
                )
                self._thread.start()

    def unwatch(self, watcher: Watcher) -> None:
        """Tell this one no longer."""
        with self._watching:
            self._watchers.discard(watcher)

    def close(self) -> None:
        """Stop listening; as of `Subscriber.close`."""
        super().close()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def event(self, event: Event) -> None:
        """Pass on what became of a service, with its place as last known."""
        news = read(event.msg)
        if news is None:
            return
        if news.location is None:
            news = news._replace(location=self._places.get(news.service))
        if not news.running:
            self._places.pop(news.service, None)
        elif news.location is not None:
            if len(self._places) >= _REMEMBERED:
                self._places.clear()
            self._places[news.service] = news.location
        self._tell_all(news)

    def gap(self, notice: dict[str, Any]) -> None:  # noqa: ARG002 - what exactly doesn't matter
        """Let everybody look for themselves."""
        self._tell_all(None)

    def connected(self, notice: dict[str, Any]) -> None:  # noqa: ARG002 - the same
        """Let everybody look: an event service that is back may be a whole deployment that is."""
        self._tell_all(None)

    def _tell_all(self, news: ServiceEvent | None) -> None:
        with self._watching:
            watchers = list(self._watchers)
        for watcher in watchers:
            watcher.heard(news)

    def _run(self) -> None:
        try:
            while True:
                with contextlib.suppress(Unreachable):
                    self.subscribeMatch(PATTERN)
                    break
            self.listen()
        except Closed:
            pass
        except Refused as error:
            _log.error("nothing will be heard of the life of services: %s", error)
