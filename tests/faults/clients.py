"""The load: numbered events from one publisher to subscribers of three kinds, all the time."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING, Literal, Self

import Pyro5.api

from benchmarks.events.soak.tally import Tally
from pyro_events import EVENTSERVICE_NAME, Publisher, Subscriber
from tests.events.service_harness import Recorder, StockDaemon

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyro_events import Event
    from pyro_events.types import GapNotice
    from tests.faults.security import Security

SUBJECT = "load.numbers"
KINDS: tuple[Literal["stream", "callback"], ...] = ("stream", "callback")
RATE = 200
"""Events a second."""
PATIENCE = 60.0
"""Seconds that the publisher holds events while there is no event service."""


class Source(threading.Thread):
    """Posts 0, 1, 2 … without losing any: it waits for full queues as long as it takes."""

    def __init__(self, es: str, security: Security) -> None:
        super().__init__(name="source")
        self.sent = 0
        self.failed = ""
        self._publisher = Publisher(es, timeout=PATIENCE, patience=None, **security.helper())
        self._end = threading.Event()

    def run(self) -> None:
        """Post until `close`."""
        try:
            while not self._end.wait(1 / RATE):
                self._publisher.post(SUBJECT, self.sent)
                self.sent += 1
        except Exception as error:  # noqa: BLE001 - reported by the next check
            self.failed = f"the publisher: {type(error).__name__}: {error}"

    def close(self) -> None:
        """Stop, and flush."""
        self._end.set()
        self.join()
        self._publisher.close()


class Sink(Subscriber):
    """Counts what it gets, and what it is told that it missed."""

    def _prepare(self) -> None:
        super()._prepare()
        self.tally = Tally()
        self.told = 0
        self.untold = 0
        """Gaps of an unknown number of events."""
        self.silence = 0.0
        """The longest time between two events, in seconds, since it was set to 0."""
        self._last = time.monotonic()

    def event(self, event: Event) -> None:
        """Count."""
        now = time.monotonic()
        self.silence, self._last = max(self.silence, now - self._last), now
        self.tally.take(event.msg)

    def gap(self, notice: GapNotice) -> None:
        """Count what is missing."""
        if notice["missed"] is None:
            self.untold += 1
        else:
            self.told += notice["missed"]


class PlainSink:
    """An ordinary Pyro object, whose subscription ends with the event service's process."""

    def __init__(self, es: str, security: Security) -> None:
        self._es = es
        self._security = security
        self._daemon = StockDaemon()
        self._recorder = Recorder()
        self._uri = self._daemon.register(self._recorder)

    @property
    def last(self) -> int:
        """Return the highest number that has come."""
        return max((event["msg"] for event in self._recorder.events[-10:]), default=-1)

    def subscribe(self) -> None:
        """Subscribe, unless it is subscribed."""
        with self._security.proxy(Pyro5.api.Proxy(self._es)) as es:
            es._pyroTimeout = 5
            if not any(row["subscriber"] == self._uri for row in es.subscriptions()):
                es.subscribe(SUBJECT, self._uri, as_dict=True)

    def close(self) -> None:
        """End the daemon."""
        self._daemon.close()


class Clients:
    """A publisher, and a subscriber of each kind. They find the event service by its name."""

    def __init__(self, name_server: str, security: Security) -> None:
        es = f"PYRONAME:{EVENTSERVICE_NAME}@{name_server}"
        with contextlib.ExitStack() as stack:
            self.plain = PlainSink(es, security)
            stack.callback(self.plain.close)
            self.sinks = {
                kind: stack.enter_context(
                    Sink(es, delivery=kind, name=f"{kind} sink", **security.helper())
                )
                for kind in KINDS
            }
            for sink in self.sinks.values():
                self._listen(sink, stack)
            self.plain.subscribe()
            self.source = Source(es, security)
            self.source.start()
            stack.callback(self.source.close)
            self._stack = stack.pop_all()

    def _listen(self, sink: Sink, stack: contextlib.ExitStack) -> None:
        sink.subscribe(SUBJECT)
        thread = threading.Thread(target=sink.listen, name="sink")
        thread.start()
        stack.callback(thread.join)
        stack.callback(sink.abort)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def lost(self) -> Mapping[str, tuple[int, int, int]]:
        """Return what every sink lacks so far, how much it was told of, and of how many gaps."""
        return {
            kind: (sink.tally.lost, sink.told, sink.untold) for kind, sink in self.sinks.items()
        }

    def behind(self, mark: int) -> list[str]:
        """Return which subscribers have not had the event `mark`, or later ones, yet."""
        slow = [kind for kind, sink in self.sinks.items() if sink.tally.next <= mark]
        return [*slow, *(["plain"] if self.plain.last < mark else [])]

    def silence(self) -> float:
        """Return the longest time without an event since the last call."""
        longest = max(sink.silence for sink in self.sinks.values())
        for sink in self.sinks.values():
            sink.silence = 0.0
        return longest

    def violations(self, *, forgets: bool = False) -> list[str]:
        """Return what may never happen to a healthy client; see Effect for `forgets`."""
        found = [self.source.failed] if self.source.failed else []
        for kind, sink in self.sinks.items():
            tally = sink.tally
            if forgets:
                tally.doubled = 0
            if tally.doubled or tally.disordered:
                found.append(f"{kind}: {tally.doubled} doubled, {tally.disordered} out of order")
            if tally.lost > sink.told and not sink.untold:
                found.append(f"{kind}: {tally.lost} events lost, {sink.told} told")
        return found


def call(name: str, name_server: str) -> object:
    """Call the object once; raises what Pyro5 raises."""
    began = time.monotonic()
    with Pyro5.api.Proxy(f"PYRONAME:{name}@{name_server}") as proxy:
        proxy._pyroTimeout = 5
        proxy.count()
    return time.monotonic() - began
