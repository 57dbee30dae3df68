"""A run: healthy pairs all the time, others that come and go, and a look now and then."""

from __future__ import annotations

import contextlib
import random
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import Pyro5.api
from Pyro5.errors import PyroError

from benchmarks.events.soak import actors, lives, samples
from benchmarks.events.soak.clients import RECEIVERS
from benchmarks.events.soak.company import Actor, ActorFailed, service
from benchmarks.events.soak.lives import Scene, Stage

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from benchmarks.events.soak.company import Service
    from benchmarks.events.soak.samples import Sample

SOURCES = (("post", "stock"), ("publish",))
"""The healthy publishers of each process; they are named like their kinds."""
VISITORS, TALKERS, STRANGERS = 6, 2, 2
IDLE = 10
SAMPLE_EVERY = 10.0
CENSUS_EVERY = 300.0
SETTLE = 90.0
"""Seconds after which clients that have gone are forgotten: unreachable callbacks take longest."""
_EMPTY = 15.0
"""Seconds within which the service must have closed the connections of killed clients."""


@dataclass(frozen=True)
class Plan:
    """What to do: seconds, healthy events a second, and where chance begins."""

    seconds: float
    rate: float
    seed: int

    @property
    def sample_every(self) -> float:
        """Return the seconds between samples."""
        return min(SAMPLE_EVERY, self.seconds / 8)

    @property
    def census_every(self) -> float:
        """Return the seconds between looks at the healthy alone."""
        return min(CENSUS_EVERY, self.seconds / 2)

    @property
    def settle(self) -> float:
        """Return the seconds to wait in the end until clients that have gone are forgotten."""
        return SETTLE if self.seconds >= SETTLE else 0.0


@dataclass
class Outcome:
    """What was seen."""

    plan: Plan
    seconds: float = 0.0
    samples: list[Sample] = field(default_factory=list)
    censuses: list[Sample] = field(default_factory=list)
    """Samples while only the healthy and the idle are there; the first is from the beginning."""
    settled: Sample | None = None
    """The same, long after the last other one has gone."""
    sent: dict[str, int] = field(default_factory=dict)
    received: dict[str, dict[str, dict[str, int]]] = field(default_factory=dict)
    """By subscriber and by publisher."""
    healthy_troubles: list[str] = field(default_factory=list)
    """Gaps, new connections and repetitions at the healthy."""
    troubles: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    exit_code: int | None = None
    log_faults: list[str] = field(default_factory=list)
    cpu: dict[str, float] = field(default_factory=dict)
    """Seconds of processor time."""


def run(plan: Plan, stop: threading.Event, log: Callable[[str], None]) -> Outcome:
    """Run until the time is over or `stop` is set; everything that was started has ended then."""
    outcome = Outcome(plan)
    began, used = time.monotonic(), time.process_time()
    with tempfile.TemporaryDirectory() as directory, service(Path(directory)) as es:
        with contextlib.ExitStack() as stack:
            soak = _Soak(plan, es, outcome, stop, log, stack)
            try:
                soak.play()
            except (ActorFailed, PyroError, OSError) as error:
                outcome.troubles.append(f"the run was given up: {type(error).__name__}: {error}")
        outcome.cpu["event service"] = samples.cpu(es.pid)
        outcome.exit_code = es.stop() if es.exit_code() is None else es.exit_code()
        outcome.log_faults = es.faults()
    outcome.cpu["clients"] = soak.cpu()
    outcome.cpu["director"] = time.process_time() - used
    outcome.seconds = round(time.monotonic() - began, 1)
    return outcome


class _Soak:
    def __init__(
        self,
        plan: Plan,
        es: Service,
        outcome: Outcome,
        stop: threading.Event,
        log: Callable[[str], None],
        stack: contextlib.ExitStack,
    ) -> None:
        self._plan = plan
        self._es = es
        self._outcome = outcome
        self._stop = stop
        self._log = log
        self._stack = stack
        self._stage = Stage()
        self._scene = Scene(es.uri, random.Random(plan.seed))
        self._healthy: list[Actor] = []
        self._proxy = stack.enter_context(Pyro5.api.Proxy(es.uri))
        self._proxy._pyroTimeout = 10.0  # noqa: SLF001 - Pyro5's public names look like that
        self._began = time.monotonic()

    def cpu(self) -> float:
        """Return the processor time of all actors, when they have ended."""
        return self._scene.cpu + sum(actor.cpu for actor in self._healthy)

    def play(self) -> None:
        uri, rate = self._es.uri, self._plan.rate
        names = [name for group in SOURCES for name in group]
        subjects = [f"{actors.HEALTHY}.{name}" for name in names]
        sinks = {}
        for kind in RECEIVERS:
            by_pattern = kind in ("callback", "stock")
            wanted = ([], [rf"{actors.HEALTHY}\..*"]) if by_pattern else (subjects, [])
            sinks[kind] = self._start(actors.sink, uri, kind, *wanted)
        sources = [
            self._start(actors.source, uri, group, group, rate * len(group) / len(names))
            for group in SOURCES
        ]
        self._start(actors.idler, uri, IDLE)
        for source in sources:
            source.send()
        self._stack.callback(self._stage.clear)
        self._mingle()
        self._finish(sinks, sources)

    def _start(self, actor: Callable[..., None], *args: Any) -> Actor:
        made = Actor(actor, *args)
        self._stack.callback(made.end)
        self._healthy.append(made)
        made.expect(actors.READY)
        return made

    def _mingle(self) -> None:
        """Play the other clients beside the healthy ones, and take samples."""
        clock, plan = time.monotonic, self._plan
        begun = clock()
        while self._look().delivered < 10 * len(RECEIVERS) and not self._stop.wait(0.05):
            pass  # callbacks are connected by their first event
        self._outcome.censuses.append(self._look())
        self._populate()
        end = begun + plan.seconds
        next_sample, next_census = clock() + plan.sample_every, clock() + plan.census_every
        while (now := clock()) < end and not self._stop.is_set():
            if now >= next_sample:
                next_sample += plan.sample_every
                self._outcome.samples.append(self._look())
                self._tell()
            elif now >= next_census:
                next_census += plan.census_every
                self._census()
                self._populate()
            else:
                self._stage.play(clock)
                pause = min(self._stage.next_due(), next_sample, next_census, end) - clock()
                self._stop.wait(max(0.0, pause))
        self._census()

    def _populate(self) -> None:
        for life, number in ((lives.visit, VISITORS), (lives.talk, TALKERS),
                             (lives.disturb, STRANGERS)):  # fmt: skip
            for _ in range(number):
                start = time.monotonic() + self._scene.chance.uniform(0.0, 1.0)
                self._stage.enter(lives.again_and_again(self._scene, life), start)

    def _look(self) -> Sample:
        return samples.take(self._es.pid, self._began, self._proxy)

    def _census(self) -> None:
        """Kill all the others at once, and count when only the healthy are left."""
        self._stage.clear()
        usual = self._outcome.censuses[0].connections
        end = time.monotonic() + _EMPTY
        while (found := self._look()).connections != usual and time.monotonic() < end:
            time.sleep(0.1)
        # An attempt to reach a callback that has gone holds a descriptor for a moment.
        while found.descriptors > self._outcome.censuses[0].descriptors and time.monotonic() < end:
            time.sleep(0.1)
            found = self._look()
        self._outcome.censuses.append(found)

    def _finish(self, sinks: dict[str, Actor], sources: list[Actor]) -> None:
        outcome = self._outcome
        for source in sources:
            sent, troubles = source.leave()
            outcome.sent |= sent
            self._note("/".join(sent), troubles)
        outcome.settled = self._wait_settled()
        for kind, sink in sinks.items():
            outcome.received[kind], troubles = sink.leave(outcome.sent)
            self._note(kind, troubles)
        outcome.counts = dict(sorted(self._scene.counts.items()))
        outcome.troubles += self._scene.troubles

    def _note(self, who: str, troubles: list[str]) -> None:
        self._outcome.healthy_troubles += [f"{who}: {trouble}" for trouble in troubles]

    def _wait_settled(self) -> Sample | None:
        """Wait until all clients that have gone are forgotten."""
        usual = self._outcome.censuses[0].subscribers
        end = time.monotonic() + self._plan.settle
        while (found := self._look()).subscribers > usual and time.monotonic() < end:
            if self._stop.wait(0.5):
                return None
        return found

    def _tell(self) -> None:
        last = self._outcome.samples[-1]
        self._log(
            f"{last.at:6.0f} s  RSS {last.rss_kib} KiB, {last.descriptors} descriptors, "
            f"{last.threads} threads, {last.connections} connections, {last.subscribers} "
            f"subscribers, {last.queued} queued, {last.delivered} delivered, "
            f"{len(self._scene.troubles)} troubles"
        )
