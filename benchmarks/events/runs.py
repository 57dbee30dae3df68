"""What is measured, and in which order: in turn, so that all meet the same machine."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from benchmarks.events import measure, systems

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from benchmarks.events.measure import Flow, Idle, Latency
    from benchmarks.events.system import System

PATTERNS = 1000
RATE = 200.0
_FIRST = 4000
"""Deliveries of the uncounted first run, which tells how many messages fill the time."""
_FEWEST = 40
_CORES = 2
"""Processors that are busy in a run."""


@dataclass(frozen=True)
class Size:
    """How long it all takes."""

    rounds: int
    seconds: float
    """Of each run at full speed, roughly, if nothing else runs."""
    paced: float
    """Seconds of each run at the leisurely rate."""
    fan_outs: tuple[int, ...]
    idle: tuple[int, ...]
    stalled: int
    """Messages to a subscriber that doesn't read."""


QUICK = Size(2, 0.5, 1.5, (1, 10), (500,), 100_000)
FULL = Size(5, 1.0, 2.5, (1, 10, 50), (500, 5000), 300_000)


@dataclass
class Results:
    """Everything that was measured, in the order of the rounds."""

    flows: dict[tuple[str, int], list[Flow]] = field(default_factory=lambda: defaultdict(list))
    patterns: dict[tuple[str, bool], list[Flow]] = field(default_factory=lambda: defaultdict(list))
    latencies: dict[str, list[Latency]] = field(default_factory=lambda: defaultdict(list))
    idle: dict[tuple[str, int], Idle] = field(default_factory=dict)
    stalled: Idle | None = None
    missing: dict[str, str] = field(default_factory=dict)
    """What has to be installed for a rival."""
    failed: dict[tuple[str, int], str] = field(default_factory=dict)
    """Why a rival could not be measured at a fan-out, or at its pace (fan-out 0)."""

    def drop_incomplete(self) -> None:
        """Forget the runs of what has failed in another round: rounds could not be compared."""
        gone = self.failed
        self.flows = {key: runs for key, runs in self.flows.items() if key not in gone}
        self.latencies = {key: runs for key, runs in self.latencies.items() if (key, 0) not in gone}

    def as_dict(self) -> dict[str, Any]:
        """Return it in a form that JSON can hold."""

        def texts(values: dict[Any, list[Any]]) -> dict[str, Any]:
            return {str(key): [asdict(each) for each in runs] for key, runs in values.items()}

        return {
            "flows": texts(self.flows),
            "patterns": texts(self.patterns),
            "latencies": texts(self.latencies),
            "idle": {str(key): asdict(value) for key, value in self.idle.items()},
            "stalled": asdict(self.stalled) if self.stalled else None,
            "missing": self.missing,
            "failed": {str(key): why for key, why in self.failed.items()},
        }


class Runs:
    """One benchmark. `only` names the systems that take part, None means all."""

    def __init__(self, size: Size, only: set[str] | None, log: Callable[[str], None]) -> None:
        self.size = size
        self._only = only
        self._log = log
        self._results = Results()
        self._work: dict[tuple[str, int], float] = {}
        """Microseconds of all processors for one delivery, in the last run."""

    def run(self) -> Results:
        """Measure everything."""
        self._log("first, a round that isn't counted")
        self._flows(counted=False)
        for number in range(1, self.size.rounds + 1):
            self._log(f"round {number} of {self.size.rounds}")
            self._flows(counted=True)
            for system in self._present(systems.PROMPT):
                with self._excused(system, 0):
                    result = measure.latency(system, RATE, self.size.paced)
                    self._results.latencies[system.name].append(result)
            for system in self._present(systems.PATTERNS):
                self._patterns(system)
        self._log("idle and stalled subscribers")
        for number in self.size.idle:
            for system in self._present(systems.IDLE):
                self._results.idle[system.name, number] = measure.idle(system, number)
        for system in self._present([systems.STREAM]):
            self._results.stalled = measure.stalled(system, self.size.stalled)
        self._results.drop_incomplete()
        return self._results

    def _flows(self, *, counted: bool) -> None:
        for fan_out in self.size.fan_outs:
            for system in self._present(systems.FLOWING):
                self._flow(system, fan_out, counted=counted)
        for fan_out in self.size.fan_outs[:2]:
            for system in self._present(systems.ACKED):
                if system not in systems.FLOWING:
                    self._flow(system, fan_out, counted=counted)

    def _flow(self, system: System, fan_out: int, *, counted: bool) -> None:
        key = system.name, fan_out
        if key in self._results.failed:
            return
        with self._excused(system, fan_out):
            result = measure.flow(system, fan_out, self._count(key))
            self._work[key] = result.work
            if not counted:  # so short a run is mostly its beginning
                self._work[key] = measure.flow(system, fan_out, self._count(key)).work
            else:
                self._results.flows[key].append(result)

    @contextlib.contextmanager
    def _excused(self, system: System, fan_out: int) -> Iterator[None]:
        """Go on without what a rival can't do, which the tables show. We have no excuse."""
        try:
            yield
        except Exception as error:
            if not system.gives_up:
                raise
            self._results.failed[system.name, fan_out] = str(error)
            self._log(f"{system.name} failed at 1→{fan_out}: {error}")

    def _patterns(self, system: System) -> None:
        """Measure with and without, in turn which comes first."""
        count = self._count((system.name, 1))
        order = (0, PATTERNS, PATTERNS, 0) if system is systems.STREAM else (0, PATTERNS)
        for patterns in order:
            result = measure.flow(system, 1, count, patterns=patterns)
            self._results.patterns[system.name, patterns > 0].append(result)

    def _count(self, key: tuple[str, int]) -> int:
        """Return how many messages fill the time of a run.

        It counts in processor time: how many there are must not depend on what else runs.
        """
        fan_out = key[1]
        work = self._work.get(key)
        deliveries = _FIRST if work is None else self.size.seconds * _CORES / work * 1e6
        return max(_FEWEST, int(deliveries / fan_out))

    def _present(self, wanted: Iterable[System]) -> list[System]:
        present = []
        for system in wanted:
            if self._only is not None and system.name not in self._only:
                continue
            missing = self._results.missing.get(system.name) or system.missing()
            if missing is None:
                present.append(system)
            elif system.name not in self._results.missing:
                self._results.missing[system.name] = missing
                self._log(f"{system.name} is skipped: it needs {missing}")
        return present
