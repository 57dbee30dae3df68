"""The event service as a process of one thread, which runs the engine's loop.

That loop also handles signals and the manager's requests. Only calls to a name server, which
block, run on a thread of their own while they last.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

from pyro_child import AskRefused, ControlChannel, Deferred, Notifier
from pyro_events._app.executor import SerialExecutor
from pyro_events._broker.errors import ServiceFault
from pyro_events._broker.net.loop import READ, WRITE
from pyro_events._broker.recovery.handover import FORMAT, Failed, HandoverOffer
from pyro_events._broker.registration import Registration
from pyro_events._broker.rules import Rule
from pyro_events._broker.stats import inventory

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from pyro_events._broker.engine import Engine
    from pyro_events._broker.recovery.handover import ReceivedHandover
    from pyro_events._broker.snapshot.transfer import SnapshotWriter

_NAME_SERVER_TIMEOUT = 8.0
"""Seconds that the process waits at its end for its name to be registered and removed."""
_log = logging.getLogger("pyro_events")


class EventServiceProcess:
    """Runs an engine, which it closes, in the main thread.

    `names` registers the name, if it is not None. Everything happens in the loop.
    """

    def __init__(
        self,
        engine: Engine,
        names: Registration | None,
        notifier: Notifier,
        channel: ControlChannel | None,
        received: ReceivedHandover | None = None,
    ) -> None:
        self._engine = engine
        self._loop = engine.loop
        self._names = names
        self._notifier = notifier
        self._channel = channel
        self._received = received
        self._offer: HandoverOffer | None = None
        self._executor = SerialExecutor(self._loop)
        self._handover: dict[str, float] = {}
        """How long clients were not served when this process took over."""
        self._stopping = False
        self._error: BaseException | None = None

    def run(self) -> None:
        """Serve until a signal arrives or the manager is gone. Raises ServiceFault.

        What another process hands over is taken here, and that process ends.
        """
        self._loop.on_signals(self._signalled, signal.SIGTERM, signal.SIGINT)
        if self._engine.speaks_tls:
            self._loop.on_signals(lambda _: self._engine.reload_tls(), signal.SIGHUP)
        if self._channel is not None:
            self._loop.watch(self._channel, READ, self._on_channel)
        if self._received is not None:
            self._take(self._received)
        if self._names is None or self._received is not None:
            self._loop.call_soon(self._announce)
        else:
            self._executor.run(self._names.register, self._first_registered)
        try:
            self._engine.run()
        finally:
            if not self._executor.finish(_NAME_SERVER_TIMEOUT):
                _log.warning("the name server takes too long; the name may remain registered")
        if self._error is not None:
            raise self._error

    def _take(self, received: ReceivedHandover) -> None:
        received.take()
        gc.enable()
        pause = self._loop.clock() - received.reader.values["since"]
        self._handover = {"handover_seconds": round(pause, 6)}
        _log.info("took over; clients were not served for %.1f ms", pause * 1000)

    @property
    def _where(self) -> str | None:
        """The address of the name server that has our name."""
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
        except OSError:  # no reader, which must not make the flush at exit fail
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            _log.info("%s is ready, %s", uri, name)
        self._notifier.ready(uri=uri, status=name)

    def _signalled(self, number: int) -> None:
        signal.signal(number, signal.SIG_DFL)  # a second one ends the process at once
        self._stop(signal.Signals(number).name)

    def _stop(self, reason: str) -> None:
        if self._stopping:
            return
        self._stopping = True
        self._withdraw("it is stopping")
        if self._error is None:
            _log.info("stopping: %s", reason)
        self._notifier.stopping()
        self._engine.stop(reason)
        if self._names is not None and not self._engine.retired:
            self._executor.run(self._names.remove, lambda _: None)

    # The manager

    def _on_channel(self, mask: int) -> None:
        assert self._channel is not None
        connected = True
        if mask & WRITE:
            connected = self._channel.on_writable()
        if mask & READ and connected:
            connected = self._channel.on_readable(self._answer, patience=0)
        if connected:
            self._watch_channel()
        else:
            self._loop.unwatch(self._channel)
            self._channel.close()
            self._stop("the manager is gone")

    def _watch_channel(self) -> None:
        """Read no more requests from a manager that doesn't read the answers."""
        channel = self._channel
        if channel is not None and not channel.closed:
            self._loop.watch(channel, WRITE if channel.unsent else READ, self._on_channel)

    def _answer(self, ask: str, parameters: dict[str, object]) -> object:
        get = parameters.get
        queries: dict[str, Callable[[], object]] = {
            "statistics": lambda: {**self._engine.statistics(), **self._handover},
            "subscriptions": self._engine.subscriptions,
            "inventory": lambda: inventory(self._engine.broker),
            "stock_tls_clients": self._engine.stock_tls_clients,
            "ping": lambda: {"incarnation": self._engine.incarnation},
            "returned": lambda: self._returned(get("wait")),
            "may": lambda: self._engine.may(str(get("client")), str(get("subject"))),
        }
        commands: dict[str, Callable[[], object]] = {
            "reload": self._reload,
            "publish": lambda: self._publish(get("events")),
            "allow": lambda: self._allow(get("rules")),
            "register": lambda: self._register(str(get("ns") or "") or None),
            "retire": lambda: self._retire(str(get("reason") or "restart")),
            "offer_handover": lambda: self._offer_handover(str(get("path"))),
            "withdraw_handover": lambda: self._withdraw("it was withdrawn"),
        }
        if ask in queries:
            return queries[ask]()
        if ask not in commands:
            raise AskRefused(f"unknown request {ask!r}; ask for statistics")
        if self._engine.retired:
            raise AskRefused("the event service has retired, and does nothing more")
        return commands[ask]()

    def _reload(self) -> dict[str, object]:
        """Read the files of TLS again, at once and not with the next client."""
        self._engine.reload_tls()
        return {}

    def _publish(self, events: object) -> object:
        """Publish pairs of subject and message; return the reasons of those that were refused."""
        refused = []
        with _refusals():
            for subject, message in events if isinstance(events, list) else ():
                try:
                    self._engine.announce(subject, message)
                except (TypeError, ValueError) as error:
                    refused.append(str(error))
        return {"refused": refused}

    def _allow(self, tables: object) -> object:
        """Replace the rules about clients."""
        try:
            rules = [Rule.of(table) for table in tables] if isinstance(tables, list) else []
        except ValueError as error:
            raise AskRefused(str(error)) from None
        return {"narrowed": self._engine.allow(rules)}

    def _returned(self, wait: object) -> object:
        """Report which subscribers are back after a restart, within `wait` seconds."""
        reconnects = self._engine.broker.reconnects
        if not isinstance(wait, (int, float)) or not wait > 0:
            return reconnects.counts()
        answer = Deferred()

        def done() -> None:
            answer.finish(reconnects.counts)
            self._watch_channel()

        reconnects.when_complete(wait, done)
        return answer

    def _retire(self, reason: str) -> Deferred:
        """Leave everything to the next process, and do nothing more until the signal arrives."""
        _log.info("leaving everything to the next process: %s", reason)
        answer = Deferred()

        def done(outcome: Callable[[], object]) -> None:
            answer.finish(outcome)
            self._watch_channel()

        with _refusals():
            self._engine.retire(reason, done)
        return answer

    def _offer_handover(self, path: str) -> dict[str, object]:
        """Offer a handover to another process; this one serves until that has everything."""
        if self._offer is not None:
            raise AskRefused("a handover is already in progress")
        with _refusals():
            self._engine.check_running()
        try:
            self._offer = HandoverOffer(
                self._loop,
                path,
                self._engine.broker.router.patterns,
                self._snapshot,
                self._relinquish,
            )
        except OSError as error:
            raise AskRefused(f"can't listen at {path}: {error.strerror or error}") from None
        return {"offered": True, "format": FORMAT}

    def _snapshot(self, writer: SnapshotWriter) -> dict[str, object]:
        if self._executor.busy:
            raise Failed("a call to a name server is in progress")
        since = self._loop.clock()
        self._engine.end_tls()
        self._engine.broker.quiesce()
        names = self._names and self._names.snapshot()
        return {"since": since, "names": names, "engine": self._engine.snapshot(writer)}

    def _relinquish(self) -> None:
        _log.info("handed over")
        self._stopping = True
        self._engine.relinquish()
        self._withdraw("it was already handed over")

    def _withdraw(self, reason: str) -> dict[str, object]:
        offer, self._offer = self._offer, None
        if offer is not None:
            offer.withdraw(reason)
        return {"withdrawn": offer is not None}

    def _register(self, where: str | None) -> Deferred:
        """Register again, with a name server that came back empty or has moved."""
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

        self._executor.run(lambda: names.register(where), done)
        return answer


@contextlib.contextmanager
def _refusals() -> Any:
    """Report a fault to the manager as a refusal."""
    try:
        yield
    except ServiceFault as fault:
        raise AskRefused(str(fault)) from None
