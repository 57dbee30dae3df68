"""The event service as a whole process: one thread, which is the engine's loop.

Signals, the manager's questions and the name server all come to that loop; only calls to a name
server, which block, run on a thread of their own while they last.
"""

from __future__ import annotations

import contextlib
import logging
import signal
from typing import TYPE_CHECKING, Any

from pyro_events.engine.faults import ServiceFault
from pyro_events.engine.loop import READ, WRITE
from pyro_events.errands import Errands
from pyro_events.registration import Registration
from pyro_host.child import AskRefused, ControlChannel, Deferred, Notifier

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from pyro_events.engine.engine import Engine

_NAME_SERVER_PATIENCE = 8.0
"""Seconds that the process stays to see its name registered and removed."""
_log = logging.getLogger("pyro_events")


class Program:
    """Runs an engine, which it closes, in the main thread.

    `names` is where the name gets registered, or None. Everything happens in the loop.
    """

    def __init__(
        self,
        engine: Engine,
        names: Registration | None,
        notifier: Notifier,
        channel: ControlChannel | None,
    ) -> None:
        self._engine = engine
        self._loop = engine.loop
        self._names = names
        self._notifier = notifier
        self._channel = channel
        self._errands = Errands(self._loop)
        self._stopping = False
        self._error: BaseException | None = None

    def run(self) -> None:
        """Serve until a signal comes, or until the manager is gone; raises ServiceFault."""
        self._loop.on_signals(self._signalled, signal.SIGTERM, signal.SIGINT)
        if self._channel is not None:
            self._loop.watch(self._channel, READ, self._on_channel)
        if self._names is None:
            self._loop.call_soon(self._announce)
        else:
            self._errands.run(self._names.register, self._first_registered)
        try:
            self._engine.run()
        finally:
            if not self._errands.finish(_NAME_SERVER_PATIENCE):
                _log.warning("the name server takes too long; the name may still be there")
        if self._error is not None:
            raise self._error

    @property
    def _where(self) -> str | None:
        """The place of the name server that has our name."""
        return self._names.where if self._names is not None and self._names.held else None

    # Starting and stopping

    def _first_registered(self, outcome: Future[Any]) -> None:
        error = outcome.exception()
        if error is None:
            self._announce()
        elif not self._stopping:
            self._error = error
            self._stop("it could not be registered")

    def _announce(self) -> None:
        if self._stopping:
            return
        uri, where = self._engine.uri, self._where
        name = f"registered in the name server at {where}" if where else "not registered"
        try:
            print(f"{uri} is ready, {name}", flush=True)  # noqa: T201 - the command's output
        except OSError:  # nobody reads it
            _log.info("%s is ready, %s", uri, name)
        self._notifier.ready(uri=uri, status=name)

    def _signalled(self, number: int) -> None:
        signal.signal(number, signal.SIG_DFL)  # the second one ends it at once
        self._stop(signal.Signals(number).name)

    def _stop(self, reason: str) -> None:
        if self._stopping:
            return
        self._stopping = True
        if self._error is None:
            _log.info("stopping: %s", reason)
        self._notifier.stopping()
        self._engine.stop(reason)
        if self._names is not None and not self._engine.retired:
            self._errands.run(self._names.remove, lambda _: None)

    # The manager

    def _on_channel(self, mask: int) -> None:
        assert self._channel is not None
        there = True
        if mask & WRITE:
            there = self._channel.on_writable()
        if mask & READ and there:
            there = self._channel.on_readable(self._answer, patience=0)
        if there:
            self._watch_channel()
        else:
            self._loop.unwatch(self._channel)
            self._channel.close()
            self._stop("the manager is gone")

    def _watch_channel(self) -> None:
        """Take no more questions from a manager that doesn't read the answers."""
        channel = self._channel
        if channel is not None and not channel.closed:
            self._loop.watch(channel, WRITE if channel.unsent else READ, self._on_channel)

    def _answer(self, ask: str, parameters: dict[str, object]) -> object:
        looks = {
            "statistics": self._engine.statistics,
            "subscriptions": self._engine.subscriptions,
        }
        if ask in looks:
            return looks[ask]()
        if ask == "ping":
            return {"incarnation": self._engine.incarnation}
        if ask == "returned":
            return self._returned(parameters.get("wait"))
        if self._engine.retired:
            raise AskRefused("the event service has retired, and does nothing more")
        if ask == "publish":
            return self._publish(parameters.get("events"))
        if ask == "register":
            where = parameters.get("ns")
            return self._register(str(where) if where else None)
        if ask == "retire":
            return self._retire(str(parameters.get("reason") or "restart"))
        raise AskRefused(f"an event service can't be asked for {ask!r}")

    def _publish(self, events: object) -> object:
        """Publish pairs of subject and message; give the reasons of those that can't be."""
        refused = []
        with _refusals():
            for subject, message in events if isinstance(events, list) else ():
                try:
                    self._engine.announce(subject, message)
                except (TypeError, ValueError) as error:
                    refused.append(str(error))
        return {"refused": refused}

    def _returned(self, wait: object) -> object:
        """Say who is back after a restart, `wait` seconds from now at most."""
        if not isinstance(wait, (int, float)) or not wait > 0:
            return self._engine.returned()
        answer = Deferred()

        def done() -> None:
            answer.finish(self._engine.returned)
            self._watch_channel()

        self._engine.await_return(wait, done)
        return answer

    def _retire(self, reason: str) -> Deferred:
        """Leave everything to the next process; until the signal comes nothing is done any more."""
        _log.info("leaving everything to the next process: %s", reason)
        answer = Deferred()

        def done(outcome: Callable[[], object]) -> None:
            answer.finish(outcome)
            self._watch_channel()

        with _refusals():
            self._engine.retire(reason, done)
        return answer

    def _register(self, where: str | None) -> Deferred:
        """Register again, for a name server that came back empty, or is elsewhere now."""
        if self._names is None:
            with _refusals():
                self._names = Registration(where, self._engine.uri, self._engine.incarnation)
        names, answer = self._names, Deferred()

        def done(outcome: Future[Any]) -> None:
            def registered() -> object:
                with _refusals():
                    outcome.result()
                return {"registered": self._where}

            answer.finish(registered)
            self._watch_channel()

        self._errands.run(lambda: names.register(where), done)
        return answer


@contextlib.contextmanager
def _refusals() -> Any:
    """Let the manager hear of a fault in its own words."""
    try:
        yield
    except ServiceFault as fault:
        raise AskRefused(str(fault)) from None
