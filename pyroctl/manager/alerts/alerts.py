"""Sends people changes of state: one alert at a time, and not too many."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from pyroctl.core.alerts.policy import HEALTHY, UNHEALTHY, Quiet, decide, is_wanted
from pyroctl.core.spec import CommandOptions, ServiceSpec
from pyroctl.kinds import words
from pyroctl.manager.process.pidfd import ProcessWatch

if TYPE_CHECKING:
    import subprocess

    from pyroctl.core.state import State
    from pyroctl.manager.deployment.supervisor import Supervisor
    from pyroctl.manager.deployment.unit import Unit
    from pyroctl.manager.process.probe_command import HelperRunner

    Alert = dict[str, Any]

QUEUE_SIZE = 100
"""Alerts that wait for the program; then new ones are dropped."""
RUN_TIMEOUT = 30.0
"""Seconds after which the program for one alert is killed."""
LINES = 20
LONGEST_SAID = 300
"""Bytes of what the program printed last."""
_CHUNK = 1 << 16
"""As much as a pipe holds."""

log = logging.getLogger(__name__)


class Alerts:
    """Sends what the configuration in effect asks for. Lives in the event loop's thread."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._quiet: dict[str, Quiet] = {}
        self._last: dict[str, Alert] = {}
        """The latest alert about each service that was suppressed."""
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._queue: deque[Alert] = deque()
        self._dropped = 0
        self._sender: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to observe the services."""
        self._supervisor.observers.append(self._changed)
        self._supervisor.health_observers.append(self._health_changed)

    def _changed(self, unit: Unit, old: State) -> None:
        self._consider(unit, str(unit.state), unit.service_state.reason)

    def _health_changed(self, unit: Unit, fault: str | None) -> None:
        self._consider(unit, HEALTHY if fault is None else UNHEALTHY, fault or "")

    def close(self) -> None:
        """Send nothing more; the program that runs is ended."""
        for timer in self._timers.values():
            timer.cancel()
        if self._sender is not None:
            self._sender.cancel()

    def _consider(self, unit: Unit, state: str, reason: str) -> None:
        if self._supervisor.closing:
            return  # somebody asked for it
        spec, name = self._supervisor.deployment.alerts, unit.name
        quiet = self._quiet.get(name, Quiet())
        if spec is None or not is_wanted(spec, name, state, unit.service_state, quiet):
            return
        now = time.monotonic()
        suppressed = quiet.suppressed
        self._quiet[name], is_due = decide(spec, state, quiet, now)
        alert = self._alert(unit, state, reason)
        if is_due:
            self._send({**alert, "suppressed": suppressed})
            return
        self._last[name] = alert
        if name not in self._timers:
            wait = self._quiet[name].until - now
            self._timers[name] = asyncio.get_running_loop().call_later(wait, self._summarize, name)

    def _summarize(self, name: str) -> None:
        """Send the latest alert that was suppressed, with the number of those before it."""
        del self._timers[name]
        spec, alert = self._supervisor.deployment.alerts, self._last.pop(name, None)
        quiet = self._quiet.get(name, Quiet())
        if spec is not None and alert is not None and quiet.suppressed:
            until = time.monotonic() + spec.interval
            self._quiet[name] = Quiet(until, 0, quiet.troubled)
            self._send({**alert, "suppressed": quiet.suppressed - 1})

    def _alert(self, unit: Unit, state: str, reason: str) -> Alert:
        outcome = unit.service_state.outcome
        return {
            "deployment": self._supervisor.deployment.name,
            "service": unit.name,
            "state": state,
            "reason": reason or None,
            "exit": None
            if outcome is None
            else {"code": outcome.code, "signal": outcome.signal, "text": outcome.describe()},
            "output": unit.log.last_lines()[-LINES:],
            "time": time.time(),
        }

    def _send(self, alert: Alert) -> None:
        spec = self._supervisor.deployment.alerts
        if spec is None:
            return
        if spec.publish is not None:
            self._supervisor.publish(spec.publish, alert)
        if spec.command is None:
            return
        if len(self._queue) >= QUEUE_SIZE:
            self._dropped += 1
            return
        self._queue.append(alert)
        if self._sender is None or self._sender.done():
            self._sender = asyncio.get_running_loop().create_task(self._run_all())

    async def _run_all(self) -> None:
        while self._queue:
            alert = self._queue.popleft()
            try:
                await self._run(alert)
            except (OSError, ValueError) as error:
                log.warning("the program for alerts can't be started: %s", error)
        if self._dropped:
            log.warning("%d alerts were dropped: the program takes too long", self._dropped)
            self._dropped = 0

    async def _run(self, alert: Alert) -> None:
        spec = self._supervisor.deployment.alerts
        if spec is None or spec.command is None:
            return
        service = ServiceSpec("_alerts", CommandOptions(spec.command))
        helpers, context = self._supervisor.helpers(service)
        about = {f"PYROCTL_ALERT_{key.upper()}": str(alert[key] or "") for key in ABOUT}
        given, output = os.memfd_create("alert"), LastWords()
        try:
            os.write(given, json.dumps(alert).encode())
            os.lseek(given, 0, os.SEEK_SET)
            command = words(spec.command, context)
            process = helpers.start(command, env=about, output=output.writer, stdin=given)
            code = await _ended(helpers, process)
        finally:
            os.close(given)
            said = output.close()
        if code != 0:
            log.warning("the program for alerts exited with %s: %s", code, said or "no output")


class LastWords:
    """A pipe for what a program prints, of which the end is kept, however much it is."""

    def __init__(self) -> None:
        self._reader, self.writer = os.pipe()
        self._end = b""
        os.set_blocking(self._reader, False)
        asyncio.get_running_loop().add_reader(self._reader, self._read)

    def close(self) -> str:
        """Close both ends, and return the text."""
        self._read()
        asyncio.get_running_loop().remove_reader(self._reader)
        os.close(self._reader)
        os.close(self.writer)
        return self._end.decode(errors="replace").strip()

    def _read(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._end = (self._end + os.read(self._reader, _CHUNK))[-LONGEST_SAID:]


ABOUT = ("service", "state", "reason")
"""What the program also has in its environment."""


async def _ended(helpers: HelperRunner, process: subprocess.Popen[bytes]) -> int:
    """Wait for a program, for a bounded time, and end what is left of it; return its exit code."""
    ended = asyncio.Event()
    watch = ProcessWatch(process.pid, ended.set)
    try:
        async with asyncio.timeout(RUN_TIMEOUT):
            await ended.wait()
    except TimeoutError:
        log.warning("the program for alerts was killed after %g s", RUN_TIMEOUT)
    finally:
        watch.cancel()
        code = helpers.end(process)
    return code
