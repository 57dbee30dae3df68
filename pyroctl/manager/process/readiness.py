"""Detects when a service is ready, in the way its specification requests."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import subprocess
from typing import TYPE_CHECKING

from pyroctl.core.spec import CommandReady, DelayReady, LogReady, NameReady, NotifyReady, PortReady
from pyroctl.manager.process.pidfd import ProcessWatch
from pyroctl.manager.process.probe_command import CommandProbe
from pyroctl.manager.process.spawn import FOLLOW, SHIM

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pyroctl.core.spec import Readiness
    from pyroctl.kinds import LaunchContext
    from pyroctl.manager.process.probe_command import HelperRunner

FIRST_PAUSE, LONGEST_PAUSE = 0.02, 0.5
"""Seconds between attempts to connect to a port: there is no notification when one opens."""
FOREVER = "86400"
"""Seconds that the probe for a name tries; `start_timeout` ends it sooner."""


class ReadinessWatch:
    """Calls `on_ready` once, when a process of a service is ready.

    The owner calls `on_lines` and `on_notify` with what the process writes and reports, and
    `cancel` when it has ended.
    """

    def __init__(
        self,
        readiness: Readiness,
        on_ready: Callable[[], None],
        context: LaunchContext,
        helpers: HelperRunner,
    ) -> None:
        self._on_ready = on_ready
        self._done = False
        self._readiness = readiness
        self._cancel: Callable[[], object] = lambda: None
        loop = asyncio.get_running_loop()
        match readiness:
            case DelayReady(delay):
                self._cancel = loop.call_later(delay, self._ready).cancel
            case PortReady(port, host):
                self._cancel = loop.create_task(self._await_port(host, port)).cancel
            case NameReady(name):
                self._cancel = _Probe(name, self._ready, context).cancel
            case CommandReady(command, every):
                self._cancel = CommandProbe(helpers, command, every, self._ready).cancel
            case NotifyReady() | LogReady():
                pass

    def on_notify(self, fields: Mapping[str, str]) -> None:
        """Handle a notification."""
        if isinstance(self._readiness, NotifyReady) and fields.get("READY") == "1":
            self._ready()

    def on_lines(self, lines: bytes) -> None:
        """Handle lines of its output, each with its newline."""
        if isinstance(self._readiness, LogReady) and not self._done:
            pattern = re.compile(self._readiness.log)
            if any(map(pattern.search, lines.decode(errors="replace").split("\n")[:-1])):
                self._ready()

    def cancel(self) -> None:
        """Stop watching."""
        self._cancel()
        self._done = True
        self._on_ready = lambda: None

    def _ready(self) -> None:
        on_ready = self._on_ready
        self.cancel()
        on_ready()

    async def _await_port(self, host: str, port: int) -> None:
        pause = FIRST_PAUSE
        while True:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection(host, port)
                writer.close()
                break
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
        on_ready, self._cancel = self._on_ready, lambda: None  # not this task itself
        on_ready()


class _Probe:
    """Waits for a name in a separate process, since the manager doesn't import Pyro5."""

    def __init__(self, name: str, on_found: Callable[[], None], context: LaunchContext) -> None:
        self._on_found = on_found
        where = ("--ns", context.ns) if context.ns else ()
        self._process = subprocess.Popen(
            [
                *(*SHIM, FOLLOW.format(os.getpid()), "--"),
                *(context.python, "-m", "pyro_names.wait", name, *where, "--timeout", FOREVER),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=dict(context.environ),
        )
        self._watch = ProcessWatch(self._process.pid, self._ended)

    def _ended(self) -> None:
        if self._process.wait() == 0:
            self._on_found()

    def cancel(self) -> None:
        self._watch.cancel()
        self._process.kill()
        self._process.wait()
