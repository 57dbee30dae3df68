"""Tries a command again and again until it succeeds, as the service would run it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

from pyroctl.manager.process import sessions
from pyroctl.manager.process.handle import FOLLOW, SHIM, shim_settings
from pyroctl.manager.process.pidfd import ProcessWatch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pyroctl.core.spec import ServiceSpec
    from pyroctl.kinds.launch import Launch
    from pyroctl.manager.cleanup.cleanup_client import CleanupClient

TRY_PATIENCE = 10.0
"""Seconds that one try may take before it is killed."""


class HelperRunner:
    """Starts programs that run as a service does: its environment, directory, user and limits.

    Each has a session of its own, which doesn't outlive the manager, and no output.
    """

    def __init__(self, spec: ServiceSpec, launch: Launch, guardian: CleanupClient) -> None:
        self._settings = [*shim_settings(spec, launch), FOLLOW.format(os.getpid())]
        self._env = launch.env
        self._guardian = guardian

    def start(self, command: Sequence[str]) -> subprocess.Popen[bytes]:
        """Start a program; raises OSError. Its exit code is 125 if it can't be executed."""
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", SHIM, *self._settings, "--", *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=self._env,
            cwd="/",
            start_new_session=True,
        )
        self._guardian.protect(process.pid, 0, helper=True)
        return process

    def end(self, process: subprocess.Popen[bytes]) -> int:
        """Kill what is left of the program and of its session, and give its exit code."""
        process.kill()
        code = process.wait()
        sessions.send_signal(process.pid, signal.SIGKILL)
        self._guardian.release(process.pid)
        return code


class CommandProbe:
    """Calls `on_success` once, when the program has exited with 0. Lives in the event loop.

    It is run beside the service, again `every` so many seconds after it has failed. Nothing of it
    is left after `on_success` and `cancel`.
    """

    def __init__(
        self,
        beside: HelperRunner,
        command: Sequence[str],
        every: float,
        on_success: Callable[[], None],
    ) -> None:
        self._beside = beside
        self._command = command
        self._every = every
        self._on_success = on_success
        self._process: subprocess.Popen[bytes] | None = None
        self._watch: ProcessWatch | None = None
        self._timer: asyncio.Handle = asyncio.get_running_loop().call_soon(self._begin)

    def _begin(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            self._process = self._beside.start(self._command)
        except OSError:  # no more processes at the moment
            self._timer = loop.call_later(self._every, self._begin)
            return
        self._timer = loop.call_later(TRY_PATIENCE, self._kill)
        self._watch = ProcessWatch(self._process.pid, self._ended)

    def _kill(self) -> None:
        assert self._process is not None
        self._process.kill()  # its end is what goes on
        sessions.send_signal(self._process.pid, signal.SIGKILL)

    def _ended(self) -> None:
        succeeded = self._clear_up() == 0
        if succeeded:
            self._on_success()
        else:
            self._timer = asyncio.get_running_loop().call_later(self._every, self._begin)

    def cancel(self) -> None:
        """Try no more, and end the try that is under way."""
        if self._watch is not None:
            self._watch.cancel()
        self._clear_up()

    def _clear_up(self) -> int | None:
        """End what is left of a try, and give its exit code."""
        self._timer.cancel()
        process, self._process = self._process, None
        return None if process is None else self._beside.end(process)
