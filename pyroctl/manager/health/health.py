"""Watches a process of a service while it is running: whether it answers, and what it uses."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import TYPE_CHECKING

from pyroctl.core import usage, watchdog
from pyroctl.core.state import Unhealthy
from pyroctl.core.watchdog import SilenceCheck, check_of
from pyroctl.manager.health.probes import CallProbe, probe_for
from pyroctl.manager.process import procfs
from pyroctl.manager.process.sessions import SessionSnapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from pyroctl.core.counters import ServiceCounters
    from pyroctl.core.spec import ServiceSpec, WatchdogSpec
    from pyroctl.manager.health.probes import Probe
    from pyroctl.manager.process.service_process import ServiceProcess


class Health:
    """Reports once what is wrong with a process; without configured checks it never wakes up.

    `on_unhealthy` also gets the process, because by then another one may be the service. The checks
    begin at once and end with `cancel`; all of it in the event loop's thread. `bound` and `busy` as
    for `probe_for`; `counters` count the checks. If the service is only to be reported, checks go
    on; `on_change` is called with what is wrong, and with None when that is over.
    """

    def __init__(
        self,
        spec: ServiceSpec,
        process: ServiceProcess,
        bound: tuple[str, int] | None,
        counters: ServiceCounters,
        *,
        busy: Callable[[], bool],
        on_unhealthy: Callable[[ServiceProcess, Unhealthy], None],
        on_change: Callable[[str | None], None] = lambda _: None,
    ) -> None:
        self._process = process
        self._counters = counters
        self._on_unhealthy = on_unhealthy
        self._on_change = on_change
        self._warns = spec.on_unhealthy == "warn"
        self.fault: str | None = None
        """What is wrong at the moment, for people."""
        self._tasks: list[asyncio.Task[None]] = []
        promised = check_of(process.spec)
        if isinstance(promised, SilenceCheck):  # what the process was told at its start counts
            if spec.watchdog is not None:
                self._start(_watch_heartbeats(process, promised.period, self._report))
        elif spec.watchdog is not None:
            probe = probe_for(check_of(spec), process, bound, busy)
            if probe is not None:
                self._start(self._watch_answers(spec.watchdog, probe))
        limit = getattr(spec.options, "run_timeout", None)
        if limit is not None:
            late = partial(self._end, answers=True)
            self._start(_limit_run(process, limit, late))
        if usage.is_limited(spec):
            self._start(_watch_usage(spec, process.pid, self._report_excess))

    def cancel(self) -> None:
        """Stop watching."""
        for task in self._tasks:
            task.cancel()

    def _start(self, work: Coroutine[None, None, None]) -> None:
        self._tasks.append(asyncio.get_running_loop().create_task(work))

    async def _watch_answers(self, spec: WatchdogSpec, probe: Probe) -> None:
        """Watch until the service is ended, or as long as it runs if it is only reported."""
        counting = CountingProbe(probe, self._counters)
        while True:
            await watch_answers(spec, counting, self._report, self._note)
            missed = spec.failures
            while missed:
                await asyncio.sleep(spec.every)
                missed = 0 if await counting(spec.timeout) else missed
            self.fault = None
            self._on_change(None)

    def _note(self, missed: int, failures: int, said: str) -> None:
        """Note how many checks have failed so far."""
        what = f": {said}" if said else ""
        self.fault = f"{missed} of {failures} checks failed{what}" if missed else None

    def _report(self, reason: str, *, answers: bool = False, cause: str = "hung") -> None:
        """Report that the service is unhealthy, and end it unless it is only to be reported."""
        self.fault = reason
        self._on_change(reason)
        if not self._warns:
            self._end(reason, answers=answers, cause=cause)

    def _end(self, reason: str, *, answers: bool = False, cause: str = "hung") -> None:
        self.cancel()
        self._on_unhealthy(self._process, Unhealthy(reason, answers, cause))

    def _report_excess(self, reason: str) -> None:
        self._report(reason, answers=True, cause=usage.cause(reason))


class CountingProbe:
    """A probe that counts how long each check took."""

    def __init__(self, probe: Probe, counters: ServiceCounters) -> None:
        self._probe = probe
        self._counters = counters

    @property
    def said(self) -> str:
        """What was wrong with the last answer."""
        return self._probe.said if isinstance(self._probe, CallProbe) else ""

    async def __call__(self, max_wait: float) -> bool:
        """Check once."""
        began = time.monotonic()
        answered = await self._probe(max_wait)
        self._counters.checked(time.monotonic() - began, answered=answered)
        return answered


async def watch_answers(
    spec: WatchdogSpec,
    probe: Probe,
    on_hung: Callable[[str], None],
    on_checked: Callable[[int, int, str], None] = lambda *_: None,
    *,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Call `on_hung` once, with the reason, when a service has missed too many checks.

    `probe` checks once, and returns whether there was an answer within the seconds that it gets.
    `on_checked` gets the number of failed checks in a row, how many there may be, and what was
    wrong with the answer.
    """
    missed, waited, said = 0, 0.0, ""
    while (reason := watchdog.verdict(missed, spec, said)) is None:
        await asyncio.sleep(max(0.0, spec.every - waited))
        asked = clock()
        answered = await probe(spec.timeout)
        waited = clock() - asked
        missed = watchdog.count_missed(missed, waited, spec, answered=answered)
        said = getattr(probe, "said", "")
        on_checked(missed, spec.failures, said)
    on_hung(reason)


async def _watch_heartbeats(
    process: ServiceProcess, period: float, on_silent: Callable[[str], None]
) -> None:
    """Call `on_silent` once, when a service hasn't sent WATCHDOG=1 for `period` seconds."""
    clock = asyncio.get_running_loop().time
    since, quiet = clock(), 0.0
    while quiet < period:
        due = clock() + period - quiet
        await asyncio.sleep(period - quiet)
        if clock() - due > watchdog.GRACE:  # the manager itself was stopped
            since = clock()
        quiet = clock() - max(since, process.last_heartbeat)
    on_silent(f"gave no sign of life for {period:g} s")


async def _limit_run(
    process: ServiceProcess, longest: float, on_late: Callable[[str], None]
) -> None:
    """Call `on_late` once, when a task has been running for `longest` seconds."""
    began = process.record.ready_since or time.monotonic()
    await asyncio.sleep(began + longest - time.monotonic())
    on_late(f"still running after {longest:g} s (run_timeout)")


async def _watch_usage(spec: ServiceSpec, sid: int, on_excess: Callable[[str], None]) -> None:
    """Call `on_excess` once, when a session exceeds the service's resource limits for too long."""
    excess, before, reason = usage.Excess(), _sample(sid), None
    while reason is None:
        await asyncio.sleep(usage.pause(spec.window))
        now = _sample(sid)
        excess = usage.compare(spec, excess, before, now)
        reason = usage.verdict(spec, excess, before, now)
        before = now
    on_excess(reason)


def _sample(sid: int) -> usage.UsageSample:
    """Add up what the processes of the session use; what has just ended doesn't count."""
    at, rss, cpu = time.monotonic(), 0, {}
    for pid in SessionSnapshot().members(sid):
        used = procfs.usage(pid)
        if used is not None:
            cpu[pid] = used[0]
            rss += used[1]
    return usage.UsageSample(at, rss, cpu)
