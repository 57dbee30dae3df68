"""Runs programs as a service does: once, or again and again until one succeeds."""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import subprocess
from typing import TYPE_CHECKING, Protocol

from pyroctl.manager.process import sessions
from pyroctl.manager.process.pidfd import ProcessWatch
from pyroctl.manager.process.spawn import FOLLOW, SHIM, shim_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pyroctl.core.spec import ServiceSpec
    from pyroctl.kinds import Launch

TRY_TIMEOUT = 10.0
"""Seconds that one attempt may take before it is killed."""


class Cleanup(Protocol):
    """Ends the sessions of a killed manager."""

    def protect(self, sid: int, grace: float, *, helper: bool = False) -> None:
        """Register a session, which gets `grace` seconds to end; see CleanupClient."""

    def release(self, sid: int) -> None:
        """Remove a session that is empty."""


class HelperRunner:
    """Starts programs that run as a service does: with its environment, directory, user and limits.

    Each has a session of its own, which doesn't outlive the manager.
    """

    def __init__(self, spec: ServiceSpec, launch: Launch, cleanup: Cleanup) -> None:
        self._settings = [*shim_settings(spec, launch), FOLLOW.format(os.getpid())]
        self._env = launch.env
        self._cleanup = cleanup

    def start(
        self,
        command: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        output: int = subprocess.DEVNULL,
        stdin: int = subprocess.DEVNULL,
    ) -> subprocess.Popen[bytes]:
        """Start a program with more variables `env`, which writes to the descriptor `output`.

        Raises OSError or ValueError. Its exit code is 125 if it can't be executed.
        """
        process = subprocess.Popen(
            [*SHIM, *self._settings, "--", *command],
            stdin=stdin,
            stdout=output,
            stderr=output,
            env={**self._env, **(env or {})},
            cwd="/",
            start_new_session=True,
        )
        self._cleanup.protect(process.pid, 0, helper=True)
        return process

    def end(self, process: subprocess.Popen[bytes]) -> int:
        """Kill what is left of the program and of its session; return its exit code."""
        process.kill()
        code = process.wait()
        sessions.send_signal(process.pid, signal.SIGKILL)
        self._cleanup.release(process.pid)
        return code


class CommandProbe:
    """Calls `on_success` once, when a command has exited with 0. Lives in the event loop's thread.

    The command runs beside the service, and again `every` seconds after a failure. Nothing of it
    is left after `on_success` and `cancel`.
    """

    def __init__(
        self,
        helpers: HelperRunner,
        command: Sequence[str],
        every: float,
        on_success: Callable[[], None],
    ) -> None:
        self._helpers = helpers
        self._command = command
        self._every = every
        self._on_success = on_success
        self._process: subprocess.Popen[bytes] | None = None
        self._last_code: int | None = None
        self._watch: ProcessWatch | None = None
        self._timer: asyncio.Handle = asyncio.get_running_loop().call_soon(self._try)

    def _try(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            self._process = self._helpers.start(self._command)
        except OSError:  # no more processes at the moment
            self._timer = loop.call_later(self._every, self._try)
            return
        self._timer = loop.call_later(TRY_TIMEOUT, self._kill)
        self._watch = ProcessWatch(self._process.pid, self._ended)

    def _kill(self) -> None:
        assert self._process is not None
        self._process.kill()  # `_ended` does the rest
        sessions.send_signal(self._process.pid, signal.SIGKILL)

    def _ended(self) -> None:
        self._last_code = self._clear_up()
        if self._last_code == 0:
            self._on_success()
        else:
            self._timer = asyncio.get_running_loop().call_later(self._every, self._try)

    def describe(self) -> str:
        """Return how the last attempt ended, for people."""
        command = shlex.join(self._command)
        if self._last_code is None:
            return f"{command} has not ended yet"
        if self._last_code < 0:
            return f"{command} was ended by {signal.Signals(-self._last_code).name} the last time"
        return f"{command} exited with {self._last_code} the last time"

    def cancel(self) -> None:
        """Stop trying, and end the current attempt."""
        if self._watch is not None:
            self._watch.cancel()
        self._clear_up()

    def _clear_up(self) -> int | None:
        """End what is left of an attempt; return its exit code."""
        self._timer.cancel()
        process, self._process = self._process, None
        return None if process is None else self._helpers.end(process)
