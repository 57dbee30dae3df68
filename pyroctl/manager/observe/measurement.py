"""The answer to `measure`: everything that can be counted, of all services, at one time."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from typing import TYPE_CHECKING, Any

import pyroctl
from pyroctl.core.spec import EventServiceOptions, NameServerOptions
from pyroctl.core.state import State
from pyroctl.manager.observe import config_files
from pyroctl.manager.process import procfs
from pyroctl.manager.process.session_usage import UsageMeter, usage_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pyroctl.manager.deployment.supervisor import Supervisor
    from pyroctl.manager.deployment.unit import Unit

STATISTICS_TIMEOUT = 1.0
"""Seconds that a service has to report its numbers; one that doesn't delays nobody else's."""


class Meter:
    """Measures services. Lives in the event loop's thread."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._offset = time.time() - time.monotonic()
        self.usage = UsageMeter()
        self.loaded: tuple[bool, float] = (True, time.time())
        """Whether the last reload took effect, and when the configuration was last loaded."""
        self._files = config_files.stamps(supervisor.deployment.file)
        self._resubscribe_seconds: dict[str, Any] = {}
        """How long the last restart of an event service by notification took."""

    def reloaded(self, *, successful: bool) -> None:
        """Record how a reload ended."""
        self.loaded = (successful, time.time() if successful else self.loaded[1])
        if successful:
            self._files = config_files.stamps(self._supervisor.deployment.file)

    def restarted(self, restarts: Iterable[Mapping[str, Any]]) -> None:
        """Record how long restarts of event services took."""
        for each in restarts:
            if each.get("how") == "notify":
                self._resubscribe_seconds[each["service"]] = each["seconds"]

    async def measure(self, names: Iterable[str] = ()) -> dict[str, Any]:
        """Return the numbers of these services, or of all; nothing is rounded to a difference.

        `clock` is monotonic seconds: rates are differences by it. Seconds of processor time and
        counts only grow, until a service has another `pid` (or `incarnation`).
        """
        units = list(self._supervisor.units.values())
        self.usage.keep({unit.pid for unit in units if unit.pid is not None})
        chosen = set(names)
        rows = await asyncio.gather(
            *(self._row(unit) for unit in units if not chosen or unit.name in chosen)
        )
        return {
            "time": time.time(),
            "clock": time.monotonic(),
            "manager": self._manager(),
            "services": list(rows),
        }

    def of(self, unit: Unit) -> dict[str, Any]:
        """Return what the processes of a service use together; values are None without any."""
        pid = unit.pid
        used = None
        if pid is not None:
            used = self.usage.measure(pid, unit.processes.sessions().get(pid, ()))
        if used is None:
            return dict.fromkeys(("processes", "cpu_seconds", "rss_bytes", "fds", "threads"))
        return used.plain()

    def _manager(self) -> dict[str, Any]:
        pid = os.getpid()
        used = usage_of([pid])
        assert used is not None
        successful, loaded = self.loaded
        return {
            "pid": pid,
            "version": pyroctl.__version__,
            "python": ".".join(map(str, sys.version_info[:3])),
            "deployment": self._supervisor.deployment.name,
            "start_time": _started(procfs.start_time(pid)),
            **used.plain(),
            "clock_step": round(time.time() - time.monotonic() - self._offset, 3),
            "last_reload_successful": successful,
            "last_reload_time": loaded,
            "pending_changes": config_files.changed(
                self._files, config_files.stamps(self._supervisor.deployment.file)
            ),
            **self._supervisor.announcements(),
        }

    async def _row(self, unit: Unit) -> dict[str, Any]:
        process, limit = unit.process, unit.spec.max_rss
        row = {
            "name": unit.name,
            "kind": unit.spec.kind,
            "enabled": unit.spec.enabled,
            "state": str(unit.state),
            "pid": unit.pid,
            "start_time": _started(process.record.started) if process is not None else None,
            **self.of(unit),
            "memory_limit_bytes": limit,
            **unit.counters.plain(),
            "log": {"streams": unit.log.counted()},
            "resubscribe_seconds": self._resubscribe_seconds.get(unit.name),
        }
        if not unit.counters.checks.sum and unit.spec.watchdog is None:
            row["watchdog"] = None
        running = unit.state is State.RUNNING
        for key, options in (("es", EventServiceOptions), ("names", NameServerOptions)):
            if isinstance(unit.spec.options, options):
                row[key] = None
                if running:
                    row[key] = await unit.ask_or(None, "statistics", STATISTICS_TIMEOUT)
        return row


def _started(ticks: int | None) -> float | None:
    """Return the time at which the kernel started a process, as seconds since the epoch."""
    return None if not ticks else round(time.time() - procfs.age(ticks), 2)
