"""A run: healthy pairs all the time, others that come and go, and a look now and then."""

from __future__ import annotations

import contextlib
import random
import tempfile
import time
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from Pyro5.errors import PyroError

from benchmarks.events.soak import actors, company, lives, samples
from benchmarks.events.soak.clients import RECEIVERS
from benchmarks.events.soak.company import Actor, ActorFailed
from benchmarks.events.soak.lives import Scene, Stage

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence

    from benchmarks.events.soak.clients import Door
    from benchmarks.events.soak.company import Lab
    from benchmarks.events.soak.samples import Sample

SOURCES = (("post", "stock"), ("publish",))
"""The kinds of the healthy publishers in each process, for each event service."""
VISITORS, TALKERS, STRANGERS = 6, 2, 2
IDLE = 4
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
    samples: dict[str, list[Sample]] = field(default_factory=dict)
    """By process, `manager` or a service."""
    censuses: dict[str, list[Sample]] = field(default_factory=dict)
    """Samples while only the healthy and the idle are there; the first is from the beginning."""
    settled: dict[str, Sample] | None = None
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
    with tempfile.TemporaryDirectory() as directory, company.lab(Path(directory)) as lab:
        with contextlib.ExitStack() as stack:
            soak = _Soak(plan, lab, outcome, stop, log, stack)
            try:
                soak.play()
            except (ActorFailed, PyroError, OSError) as error:
                outcome.troubles.append(f"the run was given up: {type(error).__name__}: {error}")
        outcome.troubles += [f"{name} has ended" for name in lab.ended()]
        outcome.cpu |= {name: samples.cpu(pid) for name, pid in lab.pids.items()}
        outcome.exit_code = lab.stop()
        outcome.log_faults = lab.faults()
    outcome.cpu["clients"] = soak.cpu()
    outcome.cpu["director"] = time.process_time() - used
    outcome.seconds = round(time.monotonic() - began, 1)
    return outcome


class _Soak:
    def __init__(
        self,
        plan: Plan,
        lab: Lab,
        outcome: Outcome,
        stop: threading.Event,
        log: Callable[[str], None],
        stack: contextlib.ExitStack,
    ) -> None:
        self._plan = plan
        self._lab = lab
        self._outcome = outcome
        self._stop = stop
        self._log = log
        self._stack = stack
        self._stage = Stage()
        self._scene = Scene(list(lab.doors.values()), random.Random(plan.seed))
        self._healthy: list[Actor] = []
        self._proxies = {
            name: stack.enter_context(door.proxy()) for name, door in lab.doors.items()
        }
        self._began = time.monotonic()

    def cpu(self) -> float:
        """Return the processor time of all actors, when they have ended."""
        return self._scene.cpu + sum(actor.cpu for actor in self._healthy)

    def play(self) -> None:
        """Run from the first healthy client to the last."""
        sinks, sources = {}, {}
        for number, (name, door) in enumerate(self._lab.doors.items()):
            sinks[name] = self._sinks(name, door)
            share = self._plan.rate / (2 if not number else 4)
            sources[name] = [
                self._start(actors.source, door, group, _names(name, group), share / len(SOURCES))
                for group in SOURCES
            ]
            self._start(actors.idler, door, IDLE)
        for actor in self._healthy:
            actor.expect(actors.READY)
        for source in chain.from_iterable(sources.values()):
            source.send()
        self._stack.callback(self._stage.clear)
        self._mingle()
        self._finish(sinks, sources)

    def _sinks(self, name: str, door: Door) -> dict[str, Actor]:
        """Start a healthy subscriber of each kind."""
        subjects = [
            f"{actors.HEALTHY}.{source}" for group in SOURCES for source in _names(name, group)
        ]
        found = {}
        for kind in RECEIVERS:
            by_pattern = kind in ("callback", "stock")
            wanted = ([], [rf"{actors.HEALTHY}\..*"]) if by_pattern else (subjects, [])
            found[kind] = self._start(actors.sink, door, kind, *wanted)
        return found

    def _start(self, actor: Callable[..., None], *args: Any) -> Actor:
        made = Actor(actor, *args)
        self._stack.callback(made.end)
        self._healthy.append(made)
        return made

    def _mingle(self) -> None:
        """Play the other clients beside the healthy ones, and take samples."""
        clock, plan = time.monotonic, self._plan
        begun = clock()
        enough = 10 * len(RECEIVERS)  # callbacks are connected by their first event
        while min(self._counted("delivered").values()) < enough and not self._stop.wait(0.05):
            pass
        self._keep(self._outcome.censuses, self._look())
        self._populate()
        end = begun + plan.seconds
        next_sample, next_census = clock() + plan.sample_every, clock() + plan.census_every
        while (now := clock()) < end and not self._stop.is_set():
            if now >= next_sample:
                next_sample += plan.sample_every
                self._keep(self._outcome.samples, self._look())
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

    def _look(self) -> dict[str, Sample]:
        return {
            name: samples.take(pid, self._began, self._proxies.get(name))
            for name, pid in self._lab.pids.items()
        }

    def _counted(self, what: str) -> dict[str, int]:
        """Return a number of each event service."""
        return {name: getattr(self._look()[name], what) for name in self._lab.doors}

    def _keep(self, where: dict[str, list[Sample]], seen: dict[str, Sample]) -> None:
        for name, sample in seen.items():
            where.setdefault(name, []).append(sample)

    def _census(self) -> None:
        """Kill all the others at once, and count when only the healthy are left."""
        self._stage.clear()
        usual = {name: seen[0] for name, seen in self._outcome.censuses.items()}
        end = time.monotonic() + _EMPTY
        found = self._look()
        # An attempt to reach a callback that has gone holds a descriptor for a moment.
        while time.monotonic() < end and any(
            seen.connections != usual[name].connections
            or seen.descriptors > usual[name].descriptors
            for name, seen in found.items()
        ):
            time.sleep(0.1)
            found = self._look()
        self._keep(self._outcome.censuses, found)

    def _finish(self, sinks: dict[str, dict[str, Actor]], sources: dict[str, list[Actor]]) -> None:
        outcome = self._outcome
        sent: dict[str, dict[str, int]] = {}
        for name, each in sources.items():
            sent[name] = {}
            for source in each:
                numbers, troubles = source.leave()
                sent[name] |= numbers
                self._note("/".join(numbers), troubles)
            outcome.sent |= sent[name]
        outcome.settled = self._wait_settled()
        for name, by_kind in sinks.items():
            for kind, sink in by_kind.items():
                who = f"{kind}@{name}"
                outcome.received[who], troubles = sink.leave(sent[name])
                self._note(who, troubles)
        outcome.counts = dict(sorted(self._scene.counts.items()))
        outcome.troubles += self._scene.troubles

    def _note(self, who: str, troubles: list[str]) -> None:
        self._outcome.healthy_troubles += [f"{who}: {trouble}" for trouble in troubles]

    def _wait_settled(self) -> dict[str, Sample] | None:
        """Wait until all clients that have gone are forgotten."""
        usual = {name: self._outcome.censuses[name][0].subscribers for name in self._lab.doors}
        end = time.monotonic() + self._plan.settle
        while self._counted("subscribers") != usual and time.monotonic() < end:
            if self._stop.wait(0.5):
                return None
        found = self._look()
        return {name: found[name] for name in self._lab.doors}

    def _tell(self) -> None:
        last = {name: seen[-1] for name, seen in self._outcome.samples.items()}
        at = max(sample.at for sample in last.values())
        memory = ", ".join(f"{name} {sample.rss_kib}" for name, sample in last.items())
        delivered = sum(sample.delivered for sample in last.values())
        self._log(
            f"{at:6.0f} s  {delivered} delivered, RSS in KiB: {memory}, "
            f"{len(self._scene.troubles)} troubles"
        )


def _names(door: str, kinds: Sequence[str]) -> list[str]:
    """Return the names of healthy publishers."""
    return [f"{kind}@{door}" for kind in kinds]
