"""Starts tasks when they are due, and remembers how their runs ended."""

from __future__ import annotations

import logging
import os
import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pyroctl.core.schedule import agenda
from pyroctl.core.schedule.agenda import Clocks, Past
from pyroctl.core.spec import TaskOptions
from pyroctl.core.state import State
from pyroctl.manager.schedule import memory
from pyroctl.manager.schedule.zone import find_zone
from pyroctl.manager.wall_clock import WallClockTimer

if TYPE_CHECKING:
    from pyroctl.manager.deployment.supervisor import Supervisor
    from pyroctl.manager.deployment.unit import Unit

BUSY = frozenset({State.STARTING, State.RUNNING, State.STOPPING, State.BACKOFF})
AT_REST = frozenset({State.EXITED, State.FAILED})

log = logging.getLogger(__name__)


class Schedule:
    """The scheduled tasks of a deployment; it sleeps until the next one is due.

    A task that was stopped on request has no next time. Lives in the event loop's thread.
    """

    def __init__(self, supervisor: Supervisor, directory: str) -> None:
        self._supervisor = supervisor
        self._file = os.path.join(directory, "tasks.json")
        self._pasts: dict[str, Past] = {}
        self._saved: dict[str, Past] = {}
        self._counted: dict[str, float] = {}
        """The monotonic time from which the interval of each task counts."""
        self._timer: WallClockTimer | None = None

    def start(self) -> None:
        """Read what is known of earlier runs, and start what is due."""
        self._pasts = self._saved = memory.load(self._file)
        for unit in self._tasks():
            if starts := unit.service_state.starts:
                self._counted[unit.name] = starts[-1]
        self._supervisor.observers.append(self._changed)
        self._timer = WallClockTimer(self.check)
        self.check()

    def close(self) -> None:
        """Start nothing any more."""
        if self._timer is not None:
            self._timer.close()
            self._timer = None

    def check(self) -> None:
        """Start what is due, and sleep until the next time; also after a change of the clock."""
        if self._timer is None or self._supervisor.closing:
            return
        tasks = list(self._tasks())
        for unit in tasks:
            due = self._due(unit)
            if due is not None and due <= time.time():
                self._run(unit)
        self._save()
        next_times = [due for unit in tasks if (due := self._due(unit)) is not None]
        if next_times:
            self._timer.set(min(next_times))

    def row(self, unit: Unit) -> dict[str, Any] | None:
        """Return what a status has of a task; None for other services."""
        options = unit.spec.options
        if not isinstance(options, TaskOptions):
            return None
        past = self._pasts.get(unit.name, Past())
        return {
            "every": options.every,
            "at": list(options.at),
            "last_run": self._written(past.last_run, options),
            "last_end": self._written(past.last_end, options),
            "last_result": past.result or None,
            "succeeded": past.succeeded,
            "next_run": self._written(self._due(unit), options),
            "refused": past.refused,
        }

    def _tasks(self) -> list[Unit]:
        units = self._supervisor.units.values()
        return [unit for unit in units if isinstance(unit.spec.options, TaskOptions)]

    def _due(self, unit: Unit) -> float | None:
        options = unit.spec.options
        assert isinstance(options, TaskOptions)
        if unit.state is State.STOPPED or not options.scheduled:
            return None
        now = Clocks(time.time(), time.monotonic())
        past, changed = agenda.caught_up(self._pasts.get(unit.name, Past()), options.at, now.wall)
        if changed:
            self._pasts = {**self._pasts, unit.name: past}
        zone = find_zone(options.timezone)
        return agenda.next_due(options, past, self._counted.get(unit.name), now, zone)

    def _run(self, unit: Unit) -> None:
        """Start a task that is due, unless it is still running."""
        past, options = self._pasts.get(unit.name, Past()), unit.spec.options
        assert isinstance(options, TaskOptions)
        now = time.monotonic()
        if options.every is not None:
            began = self._counted.get(unit.name, now)
            self._counted[unit.name] = agenda.last_multiple(began, options.every, now)
        past = replace(past, handled=time.time())
        pending = self._supervisor.scheduler.task(unit.name) is not None
        if unit.state in AT_REST and not pending:
            self._supervisor.scheduler.resume([unit.name])
        else:
            past = replace(past, refused=past.refused + 1)
            what = "still waits for what it needs" if pending else f"is still {unit.state}"
            log.warning("%s is due, and %s: it isn't started a second time", unit.name, what)
            unit.log.note(f"due, but it {what}: not started a second time")
        self._pasts = {**self._pasts, unit.name: past}

    def _changed(self, unit: Unit, old: State) -> None:
        if not isinstance(unit.spec.options, TaskOptions):
            return
        past = self._pasts.get(unit.name, Past())
        if unit.state is State.STARTING:
            self._counted[unit.name] = unit.service_state.starts[-1]
            past = replace(past, last_run=time.time(), last_end=None, succeeded=None, result="")
        elif old in BUSY and unit.state not in {State.STARTING, State.RUNNING}:
            outcome = unit.service_state.outcome
            if unit.state is State.STOPPED:
                past = replace(past, last_end=time.time(), result="stopped on request")
            elif outcome is not None and unit.state is not State.STOPPING:
                well, how = outcome.succeeded(unit.spec.success_exit), outcome.explain()
                past = replace(past, last_end=time.time(), succeeded=well, result=how)
        self._pasts = {**self._pasts, unit.name: past}
        self.check()

    def _save(self) -> None:
        known = {unit.name for unit in self._tasks()}
        self._pasts = {name: past for name, past in self._pasts.items() if name in known}
        if self._pasts != self._saved:
            memory.save(self._file, self._pasts)
            self._saved = self._pasts

    @staticmethod
    def _written(when: float | None, options: TaskOptions) -> str | None:
        if when is None:
            return None
        zone = find_zone(options.timezone)
        return datetime.fromtimestamp(when, UTC).astimezone(zone).isoformat(timespec="seconds")
