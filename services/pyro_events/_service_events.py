"""The state events of services that a manager publishes, and a subscriber that passes them on.

The subject is `pyroctl.DEPLOYMENT.SERVICE.STATE`, the message a dict with `deployment`, `service`,
`state` and, if they are known, `uri`, `reason` and `time`.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
import weakref
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from Pyro5.core import URI
from Pyro5.errors import PyroError

from pyro_events._client.process import check_threads
from pyro_events.errors import Closed, Refused, Unreachable
from pyro_events.subscriber import Subscriber

if TYPE_CHECKING:
    from pyro_events._protocol.event import Event
    from pyro_events.tls import Tls
    from pyro_events.types import ConnectionNotice, GapNotice

PATTERN = r"pyroctl\..*\.(running|backoff|exited|failed|stopped)$"
"""The states that matter: a service can be used, or its process has gone."""
_REMEMBERED = 1000
"""Services whose location is remembered."""
_QUEUE_SIZE = 1000
"""State events that may wait here; if more do, `gap` has all watchers check for themselves."""

_log = logging.getLogger("pyro_events")


class ServiceEvent(NamedTuple):
    """A service's change of state.

    `location` is HOST:PORT of its Pyro daemon, `time` that of the change, in seconds since the
    epoch by the manager's clock; either may be unknown.
    """

    service: tuple[str, str]
    running: bool
    location: str | None
    reason: str
    time: float | None


class Watcher(Protocol):
    """A hashable object to be notified of services, in the `LifeCycle`'s thread."""

    def _service_changed(self, change: ServiceEvent | None) -> None:
        """Handle a service's change of state; None: some changes may have been missed."""


def parse(message: object) -> ServiceEvent | None:
    """Return the change that a message reports; None if the message is something else."""
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
    """Receives the state events of a manager, for any number of reconnecting proxies.

    `es`, `ident` and `tls` are as for a `Subscriber`. It listens in a thread of its own from the
    first proxy on, waits for an event service that isn't there, and has to be closed.
    """

    def __init__(
        self,
        es: str | None = None,
        *,
        ident: str | None = None,
        broadcast: bool = False,
        tls: Tls | str | bool | None = None,
    ) -> None:
        super().__init__(
            es,
            ident=ident,
            broadcast=broadcast,
            tls=tls,
            name="life cycle",
            queue_size=_QUEUE_SIZE,
            when_full="drop-oldest",
        )
        self._watchers: weakref.WeakSet[Any] = weakref.WeakSet()
        self._locations: dict[tuple[str, str], str] = {}
        self._watching = threading.Lock()
        self._thread: threading.Thread | None = None

    def watch(self, watcher: Watcher) -> None:
        """Notify this watcher, too, as long as it exists."""
        check_threads()
        with self._watching:
            self._watchers.add(watcher)
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="pyro_events life cycle", daemon=True
                )
                self._thread.start()

    def unwatch(self, watcher: Watcher) -> None:
        """Stop notifying this watcher."""
        with self._watching:
            self._watchers.discard(watcher)

    def close(self) -> None:
        """Stop listening, and disconnect. Closing again does nothing."""
        super().close()
        thread = None if sys.is_finalizing() else self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def event(self, event: Event) -> None:
        """Pass on a service's change, with its location as last known."""
        change = parse(event.msg)
        if change is None:
            return
        if change.location is None:
            change = change._replace(location=self._locations.get(change.service))
        if not change.running:
            self._locations.pop(change.service, None)
        elif change.location is not None:
            if len(self._locations) >= _REMEMBERED:
                self._locations.clear()
            self._locations[change.service] = change.location
        self._notify_watchers(change)

    def gap(self, notice: GapNotice) -> None:  # noqa: ARG002 - what exactly doesn't matter
        """Make all watchers check for themselves."""
        self._notify_watchers(None)

    def connected(self, notice: ConnectionNotice) -> None:  # noqa: ARG002 - the same
        """Make all watchers check: with the event service, a whole deployment may be back."""
        self._notify_watchers(None)

    def _after_fork(self, inherited: Any) -> None:
        super()._after_fork(inherited)
        self._watching, self._thread = inherited, None

    def _notify_watchers(self, change: ServiceEvent | None) -> None:
        with self._watching:
            watchers = list(self._watchers)
        for watcher in watchers:
            watcher._service_changed(change)  # noqa: SLF001 - public names are the remote object's

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
            _log.error("state events of services won't arrive: %s", error)
