"""Finds out when a service is ready, in the way its specification says."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

from pyroctl.core.spec import CommandReady, DelayReady, LogReady, NameReady, NotifyReady, PortReady
from pyroctl.manager.process.handle import SHIM
from pyroctl.manager.process.pidfd import ProcessWatch
from pyroctl.manager.process.probe_command import CommandProbe

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pyroctl.core.spec import Readiness
    from pyroctl.kinds.launch import LaunchContext
    from pyroctl.manager.process.probe_command import HelperRunner

FIRST_PAUSE, LONGEST_PAUSE = 0.02, 0.5
"""Seconds between attempts to connect to a port: nobody tells when one opens."""
FOREVER = "86400"
"""Seconds that the probe for a name tries; the start time-out ends it sooner."""


class ReadinessWatch:
    """Calls `on_ready` once, when one run of a service is ready.

    `beside` starts programs that run as the service does.
    `on_lines` and `on_notify` are to be called with what the service says; `cancel` when the run
    is over.
    """

    def __init__(
        self,
        readiness: Readiness,
        on_ready: Callable[[], None],
        surroundings: LaunchContext,
        beside: HelperRunner,
    ) -> None:
        self._on_ready = on_ready
        self._done = False
        self._readiness = readiness
        self._cancel: Callable[[], object] = lambda: None
        loop = asyncio.get_running_loop()
        match readiness:
            case DelayReady(seconds):
                self._cancel = loop.call_later(seconds, self._ready).cancel
            case PortReady(port, host):
                self._cancel = loop.create_task(self._await_port(host, port)).cancel
            case NameReady(name):
                self._cancel = _Probe(name, self._ready, surroundings).cancel
            case CommandReady(command, every):
                self._cancel = CommandProbe(beside, command, every, self._ready).cancel
            case NotifyReady() | LogReady():
                pass

    def on_notify(self, fields: Mapping[str, str]) -> None:
        """Take a message of the service."""
        if isinstance(self._readiness, NotifyReady) and fields.get("READY") == "1":
            self._ready()

    def on_lines(self, lines: bytes) -> None:
        """Take lines of the service's output, each with its newline."""
        if isinstance(self._readiness, LogReady) and not self._done:
            pattern = re.compile(self._readiness.pattern)
            if any(
                pattern.search(line) for line in lines.decode(errors="replace").split("\n")[:-1]
            ):
                self._ready()

    def cancel(self) -> None:
        """Watch no longer."""
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
    """Waits for a name in a process of its own: the manager itself has no Pyro5 in it."""

    def __init__(
        self, name: str, on_found: Callable[[], None], surroundings: LaunchContext
    ) -> None:
        self._on_found = on_found
        where = ("--ns", surroundings.ns) if surroundings.ns else ()
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-I", "-S", SHIM, f"parent={os.getpid()}", "--"),
                *(surroundings.python, "-m", "pyro_names.wait", name, *where, "--timeout", FOREVER),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=dict(surroundings.environ),
        )
        self._watch = ProcessWatch(self._process.pid, self._ended)

    def _ended(self) -> None:
        if self._process.wait() == 0:
            self._on_found()

    def cancel(self) -> None:
        self._watch.cancel()
        self._process.kill()
        self._process.wait()
