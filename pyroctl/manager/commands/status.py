"""The answer to `status`: a row for each service."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from pyroctl.core.spec import EventServiceOptions
from pyroctl.core.state import State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from pyroctl.core.history import Ending
    from pyroctl.core.outcome import Outcome
    from pyroctl.manager.deployment.unit import Unit
    from pyroctl.manager.observe.measurement import Meter

STATISTICS_TIMEOUT = 1.0
"""Seconds that an event service has to report its statistics."""


class StatusReporter:
    """Builds the rows; remembers processor times, because a load is a difference of two samples."""

    def __init__(
        self,
        waits_for: Callable[[str], str | None],
        task: Callable[[Unit], dict[str, Any] | None],
        meter: Meter,
    ) -> None:
        self._waits_for = waits_for
        """Returns the need that the start of a service waits for."""
        self._task = task
        """Returns what is known of the runs of a task."""
        self._meter = meter
        self._samples: dict[int, tuple[float, float]] = {}
        """By pid: the time, and the seconds of processor time used until then."""

    async def rows(self, units: Iterable[Unit], *, detailed: bool = False) -> list[dict[str, Any]]:
        """Return a row for each unit, in their order; `detailed` ones have the history."""
        units = list(units)
        rows = await asyncio.gather(*(self._row(unit) for unit in units))
        if detailed:
            for row, unit in zip(rows, units, strict=True):
                row["on_needs"] = unit.spec.on_needs
                row["history"] = [_ending(ending) for ending in unit.history]
        return list(rows)

    def drop_dead(self, units: Iterable[Unit]) -> None:
        """Drop the processes that no unit has any more."""
        alive = {unit.pid for unit in units}
        self._samples = {pid: sample for pid, sample in self._samples.items() if pid in alive}

    async def _row(self, unit: Unit) -> dict[str, Any]:
        uptime = unit.uptime()
        row = self.facts(unit) | {"uptime_s": None if uptime is None else round(uptime, 3)}
        row |= self._usage(unit)
        if isinstance(unit.spec.options, EventServiceOptions):
            row["es"] = None
            if unit.state is State.RUNNING:  # what clients get from `statistics`
                row["es"] = await unit.ask_or(None, "statistics", STATISTICS_TIMEOUT)
        return row

    def facts(self, unit: Unit) -> dict[str, Any]:
        """Return what changes only when something happens to the service."""
        detail = _detail(unit, unit.waiting_for or self._waits_for(unit.name))
        if unit.log.lost_bytes:
            lost = f"{unit.log.lost_lines} lines ({unit.log.lost_bytes} bytes)"
            detail += f" ({lost} of its log could not be written)"
        left = unit.processes.detached() if unit.pid is not None else []
        if left:
            detail = f"{detail} ({', '.join(left)} went into the background)".strip()
        row = {
            "name": unit.name,
            "kind": unit.spec.kind,
            "state": str(unit.state),
            "pid": unit.pid,
            "restarts": unit.service_state.restarts,
            "uri": unit.uri if unit.state is State.RUNNING else None,
            "exit": _last_end(unit),
            "needs": list(unit.spec.needs),
            "fault": unit.fault,
            "detail": detail,
        }
        if (task := self._task(unit)) is not None:
            row["task"] = task
        return row

    def _usage(self, unit: Unit) -> dict[str, Any]:
        used, now = self._meter.of(unit), time.monotonic()
        cpu, pid, percent = used["cpu_seconds"], unit.pid, None
        if pid is not None and cpu is not None:
            at, before = self._samples.get(pid, (now, cpu))
            self._samples[pid] = now, cpu
            percent = round(100 * (cpu - before) / (now - at), 1) if now > at else 0.0
        return {"cpu_percent": percent, "cpu_seconds": cpu, "rss_bytes": used["rss_bytes"]}


def _detail(unit: Unit, need: str | None) -> str:
    if need is not None:
        return f"waiting for {need}"
    if (successor := unit.processes.successor) is not None:
        return f"handing over to process {successor.pid}"
    if unit.fault is not None:
        return f"unhealthy: {unit.fault}"
    return unit.service_state.reason or (unit.process.record.status_text if unit.process else "")


def _last_end(unit: Unit) -> dict[str, Any] | None:
    if unit.last_end is None:
        return None
    outcome, when = unit.last_end
    return {**_exit(outcome), "time": _time(when)}


def _exit(outcome: Outcome) -> dict[str, Any]:
    return {"code": outcome.code, "signal": outcome.signal, "text": outcome.describe()}


def _ending(ending: Ending) -> dict[str, Any]:
    return {
        "time": _time(ending.time),
        "pid": ending.pid,
        "exit": _exit(ending.outcome),
        "reason": ending.reason,
        "uptime_s": None if ending.uptime is None else round(ending.uptime, 3),
        "then": None if ending.then is None else str(ending.then),
    }


def _time(when: datetime) -> str:
    return when.isoformat(timespec="milliseconds")
