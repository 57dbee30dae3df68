"""Answers the verbs that only look: `status`, `watch` and `measure`."""

from __future__ import annotations

import math
import os
import time
from typing import TYPE_CHECKING, Any

import pyroctl
from pyroctl.control.server import Events
from pyroctl.core import plan
from pyroctl.core.state import State
from pyroctl.errors import PyroctlError, UnknownService, UsageError
from pyroctl.manager.commands.status import StatusReporter
from pyroctl.manager.observe.connections import connections
from pyroctl.manager.observe.feed import Feed
from pyroctl.manager.observe.measurement import Meter

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pyroctl.control.protocol import Message
    from pyroctl.core.changes import Picture
    from pyroctl.manager.commands.gate import Gate, Send
    from pyroctl.manager.deployment.supervisor import Supervisor
    from pyroctl.manager.deployment.unit import Unit


class Observing:
    """What people see.

    `about` returns what a status has of the manager besides its process, `task` what of a task.
    """

    def __init__(
        self,
        supervisor: Supervisor,
        gate: Gate,
        about: Callable[[], Message],
        task: Callable[[Unit], Message | None],
    ) -> None:
        self._supervisor = supervisor
        self._gate = gate
        self._about = about
        self.meter = Meter(supervisor)
        self.reporter = StatusReporter(supervisor.scheduler.waits_for, task, self.meter)
        self.feed = Feed(self._picture, self.meter.measure)
        supervisor.observers.append(self.feed.changed)
        gate.observe = self.feed.changed
        self._began = time.monotonic()

    async def status(self, names: Sequence[str], args: Message, send: Send) -> Message:
        """Return the state of services, once."""
        tree = bool(args.get("tree"))
        units = list(self._supervisor.units.values())
        self.reporter.drop_dead(units)
        shown = plan.closure(names, self._supervisor.needs()) if tree else names
        known = [unit for unit in units if not names or unit.name in shown]
        everyone = self._supervisor.units
        unknown = [UnknownService(name, everyone) for name in names if name not in everyone]
        uptime = {"uptime_s": round(time.monotonic() - self._began, 3)}
        data = {
            "manager": self._manager() | uptime,
            "services": await self.reporter.rows(known, detailed=tree or bool(names)),
            "enabled": self._supervisor.enabled(),
        }
        errors = [entry for error in unknown for entry in error.entries()]
        return {"data": data, "errors": errors, "exit_code": 0}

    async def watch(self, names: Sequence[str], args: Message, send: Send) -> Message:
        """Send a picture and each change, until the client leaves; see `core.changes`."""
        if not isinstance(send, Events):
            raise PyroctlError("nobody is there to watch")
        await self.feed.watch(send, _interval(args))
        raise ConnectionAbortedError

    async def measure(self, names: Sequence[str], args: Message, send: Send) -> Message:
        """Return what services use and have done, in numbers that only grow."""
        self._supervisor.choose(names)
        return {"data": await self.meter.measure(names), "errors": [], "exit_code": 0}

    async def connections(self, names: Sequence[str], args: Message, send: Send) -> Message:
        """Return which services are connected with which."""
        found = connections(self._supervisor.units.values())
        return {"data": found, "errors": [], "exit_code": 0}

    def _manager(self) -> dict[str, Any]:
        return {
            "pid": os.getpid(),
            "state": "stopping" if self._gate.stopping else "running",
            "config": self._supervisor.deployment.file,
            "version": pyroctl.__version__,
            **self._about(),
        }

    def _picture(self) -> Picture:
        """Return what watchers see; `since` is when it began to run, in monotonic seconds."""
        rows = {}
        for unit in self._supervisor.units.values():
            state = unit.service_state
            since = state.since if state.state is State.RUNNING else None
            rows[unit.name] = {
                **self.reporter.facts(unit),
                "since": since,
                "on_needs": unit.spec.on_needs,
            }
        return {
            "manager": {**self._manager(), "since": self._began},
            "services": rows,
            "order": list(rows),
            "enabled": self._supervisor.enabled(),
            "operations": self._gate.operations(),
        }


def _interval(args: Message) -> float | None:
    """Return the seconds between measurements for a watcher that wants them; else None."""
    given = args.get("interval")
    if given is None:
        return None
    if not isinstance(given, int | float) or not 0 < given < math.inf:
        raise UsageError("'interval' of a request must be a number of seconds")
    return float(given)
