"""Watches one run of a service while it serves: whether it is alive, and what it takes."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from pyroctl.core.state import Unhealthy
from pyroctl.core.usage import Excess, compare, is_limited, pause, verdict
from pyroctl.core.watchdog import GRACE, SilenceCheck, check_of
from pyroctl.manager.health.probes import probe_for
from pyroctl.manager.health.usage import look
from pyroctl.manager.health.watchdog import Watchdog

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyroctl.core.spec import ServiceSpec
    from pyroctl.manager.process.service_process import ServiceProcess


class Health:
    """Says once what is wrong with a run; wakes nobody up if the service has asked for nothing.

    `on_ill` gets the run that it was found about, because by then there may be another one.
    Begins at once and ends with `cancel`; all of it in the event loop's thread. `bound` and `busy`
    as for `probe_for`.
    """

    def __init__(
        self,
        spec: ServiceSpec,
        run: ServiceProcess,
        bound: tuple[str, int] | None,
        busy: Callable[[], bool],
        on_ill: Callable[[ServiceProcess, Unhealthy], None],
    ) -> None:
        self._run = run
        self._on_ill = on_ill
        self._watches: list[Watchdog | HeartbeatMonitor | ResourceMonitor] = []
        told = check_of(run.spec)
        if isinstance(told, SilenceCheck):  # what it was told at its start counts
            if spec.watchdog is not None:
                self._watches.append(HeartbeatMonitor(run, told.period, self._hung))
        elif spec.watchdog is not None:
            probe = probe_for(check_of(spec), run, bound, busy)
            if probe is not None:
                self._watches.append(Watchdog(spec.watchdog, probe, self._hung))
        if is_limited(spec):
            self._watches.append(ResourceMonitor(spec, run, self._greedy))

    def cancel(self) -> None:
        """Watch no longer."""
        for watch in self._watches:
            watch.cancel()

    def _hung(self, reason: str) -> None:
        self._say(Unhealthy(reason))

    def _greedy(self, reason: str) -> None:
        self._say(Unhealthy(reason, answers=True))

    def _say(self, what: Unhealthy) -> None:
        self.cancel()
        self._on_ill(self._run, what)


class HeartbeatMonitor:
    """Calls `on_silent`, once, when a service hasn't said WATCHDOG=1 for `period` seconds."""

    def __init__(
        self, run: ServiceProcess, period: float, on_silent: Callable[[str], None]
    ) -> None:
        self._run = run
        self._period = period
        self._on_silent = on_silent
        self._loop = asyncio.get_running_loop()
        self._since = self._loop.time()
        self._timer = self._loop.call_later(period, self._look)

    def cancel(self) -> None:
        """Listen no longer."""
        self._timer.cancel()

    def _look(self) -> None:
        now = self._loop.time()
        if now - self._timer.when() > GRACE:  # we were stopped ourselves: nobody is blamed
            self._since = now
        quiet = now - max(self._since, self._run.last_sign)
        if quiet >= self._period:
            self._on_silent(f"gave no sign of life for {self._period:g} s")
        else:
            self._timer = self._loop.call_later(self._period - quiet, self._look)


class ResourceMonitor:
    """Calls `on_excess`, once, when a service takes more than it may for too long."""

    def __init__(
        self, spec: ServiceSpec, run: ServiceProcess, on_excess: Callable[[str], None]
    ) -> None:
        self._spec = spec
        self._run = run
        self._on_excess = on_excess
        self._task = asyncio.get_running_loop().create_task(self._watch())

    def cancel(self) -> None:
        """Look no longer."""
        self._task.cancel()

    async def _watch(self) -> None:
        excess, before = Excess(), look(self._run.pid, time.monotonic())
        while True:
            await asyncio.sleep(pause(self._spec.window))
            now = look(self._run.pid, time.monotonic())
            excess = compare(self._spec, excess, before, now)
            reason = verdict(self._spec, excess, before, now)
            if reason is not None:
                self._on_excess(reason)
                return
            before = now
