"""Watches a process of a service while it is running: whether it answers, and what it uses."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import TYPE_CHECKING

from pyroctl.core import usage, watchdog
from pyroctl.core.state import Unhealthy
from pyroctl.core.watchdog import SilenceCheck, check_of
from pyroctl.manager.health.probes import probe_for
from pyroctl.manager.process import procfs
from pyroctl.manager.process.sessions import SessionSnapshot

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from pyroctl.core.counters import ServiceCounters
    from pyroctl.core.spec import ServiceSpec, WatchdogSpec
    from pyroctl.manager.process.service_process import ServiceProcess


class Health:
    """Reports once what is wrong with a process; without configured checks it never wakes up.

    `on_unhealthy` also gets the process, because by then another one may be the service. The checks
    begin at once and end with `cancel`; all of it in the event loop's thread. `bound` and `busy` as
    for `probe_for`; `counters` count the checks.
    """

    def __init__(
        self,
        spec: ServiceSpec,
        process: ServiceProcess,
        bound: tuple[str, int] | None,
        counters: ServiceCounters,
        busy: Callable[[], bool],
        on_unhealthy: Callable[[ServiceProcess, Unhealthy], None],
    ) -> None:
        self._process = process
        self._on_unhealthy = on_unhealthy
        self._tasks: list[asyncio.Task[None]] = []
        promised = check_of(process.spec)
        if isinstance(promised, SilenceCheck):  # what the process was told at its start counts
            if spec.watchdog is not None:
                self._start(_watch_heartbeats(process, promised.period, self._report))
        elif spec.watchdog is not None:
            probe = probe_for(check_of(spec), process, bound, busy)
            if probe is not None:
                counting = partial(_count, probe, counters)
                self._start(watch_answers(spec.watchdog, counting, self._report))
        if usage.is_limited(spec):
            self._start(_watch_usage(spec, process.pid, self._report_excess))

    def cancel(self) -> None:
        """Stop watching."""
        for task in self._tasks:
            task.cancel()

    def _start(self, work: Coroutine[None, None, None]) -> None:
        self._tasks.append(asyncio.get_running_loop().create_task(work))

    def _report(self, reason: str) -> None:
        self.cancel()
        self._on_unhealthy(self._process, Unhealthy(reason))

    def _report_excess(self, reason: str) -> None:
        self.cancel()
        cause = usage.cause(reason)
        self._on_unhealthy(self._process, Unhealthy(reason, answers=True, cause=cause))


async def _count(
    probe: Callable[[float], Awaitable[bool]], counters: ServiceCounters, max_wait: float
) -> bool:
    """Check once, and count how long that took."""
    began = time.monotonic()
    answered = await probe(max_wait)
    counters.checked(time.monotonic() - began, answered=answered)
    return answered


async def watch_answers(
    spec: WatchdogSpec,
    probe: Callable[[float], Awaitable[bool]],
    on_hung: Callable[[str], None],
    *,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Call `on_hung` once, with the reason, when a service has missed too many checks.

    `probe` checks once, and returns whether there was an answer within the seconds that it gets.
    """
    missed, waited = 0, 0.0
    while (reason := watchdog.verdict(missed, spec)) is None:
        await asyncio.sleep(max(0.0, spec.every - waited))
        asked = clock()
        answered = await probe(spec.timeout)
        waited = clock() - asked
        missed = watchdog.count_missed(missed, waited, spec, answered=answered)
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
