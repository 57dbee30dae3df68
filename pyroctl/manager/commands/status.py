"""What `status` says: one row a service, and one of the manager's own."""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING, Any

import pyroctl
from pyroctl.core.spec import EventServiceOptions
from pyroctl.core.state import State
from pyroctl.manager.health import usage

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from pyroctl.core.history import Ending
    from pyroctl.core.outcome import Outcome
    from pyroctl.manager.deployment.unit import Unit

ANSWER_TIMEOUT = 1.0
"""Seconds that an event service has to give its numbers."""


class StatusReporter:
    """Makes the rows; remembers processes, because a CPU load is a difference of two looks."""

    def __init__(self) -> None:
        self._looks: dict[int, tuple[float, float]] = {}
        """By pid: when, and the seconds of processor time that it had taken by then."""

    async def rows(self, units: Iterable[Unit], *, detailed: bool = False) -> list[dict[str, Any]]:
        """Give a row for each unit, in their order; `detailed` ones say how its runs ended."""
        units = list(units)
        rows = await asyncio.gather(*(self._row(unit) for unit in units))
        if detailed:
            for row, unit in zip(rows, units, strict=True):
                row["on_needs"] = unit.spec.on_needs
                row["history"] = [_ending(ending) for ending in unit.history]
        return list(rows)

    def forget_dead(self, units: Iterable[Unit]) -> None:
        """Drop the processes that no unit has any more."""
        alive = {unit.pid for unit in units}
        self._looks = {pid: look for pid, look in self._looks.items() if pid in alive}

    async def _row(self, unit: Unit) -> dict[str, Any]:
        cpu, rss = self._usage(unit.pid)
        uptime = unit.uptime()
        row: dict[str, Any] = {
            "name": unit.name,
            "kind": unit.spec.kind,
            "state": str(unit.state),
            "pid": unit.pid,
            "uptime_s": None if uptime is None else round(uptime, 3),
            "restarts": unit.life.restarts,
            "uri": unit.uri if unit.state is State.RUNNING else None,
            "exit": _last_end(unit),
            "needs": list(unit.spec.needs),
            "cpu_percent": cpu,
            "rss_bytes": rss,
            "detail": _detail(unit),
        }
        if unit.log.lost_bytes:
            lost = f"{unit.log.lost_lines} lines ({unit.log.lost_bytes} bytes)"
            row["detail"] += f" ({lost} of its log could not be written)"
        left = unit.left_behind() if unit.pid is not None else []
        if left:
            row["detail"] = f"{row['detail']} ({', '.join(left)} went into the background)".strip()
        if isinstance(unit.spec.options, EventServiceOptions):
            row["es"] = await _event_service_numbers(unit)
        return row

    def _usage(self, pid: int | None) -> tuple[float | None, int | None]:
        taken = None if pid is None else usage.of_process(pid)
        if pid is None or taken is None:
            return None, None
        now, (cpu, rss) = time.monotonic(), taken
        at, before = self._looks.get(pid, (now, cpu))
        self._looks[pid] = now, cpu
        return round(100 * (cpu - before) / (now - at), 1) if now > at else 0.0, rss


async def _event_service_numbers(unit: Unit) -> dict[str, Any] | None:
    """Give all that the event service says about itself, as clients get it by `statistics`."""
    if unit.state is not State.RUNNING:
        return None
    try:
        numbers: dict[str, Any] = await unit.ask("statistics", ANSWER_TIMEOUT)
    except OSError:
        return None
    return numbers


def _detail(unit: Unit) -> str:
    if unit.waiting_for is not None:
        return f"waiting for {unit.waiting_for}"
    if unit.successor is not None:
        return f"handing over to process {unit.successor.pid}"
    return unit.life.reason or unit.status_text


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


def manager_row(state: str, config: str | None, uptime: float) -> dict[str, Any]:
    """Give the manager's own row."""
    return {
        "pid": os.getpid(),
        "state": state,
        "config": config,
        "uptime_s": round(uptime, 3),
        "version": pyroctl.__version__,
    }
