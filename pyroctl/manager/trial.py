"""Tries a command again and again until it succeeds, as the service would run it."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

from pyroctl.manager import sessions
from pyroctl.manager.child import SHIM, shim_settings
from pyroctl.manager.pidfd import ProcessWatch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Spawn = Callable[[], subprocess.Popen[bytes]]

    from pyroctl.core.spec import ServiceSpec
    from pyroctl.kinds.launch import Launch

TRY_PATIENCE = 10.0
"""Seconds that one try may take before it is killed."""


def beside(spec: ServiceSpec, launch: Launch, command: Sequence[str]) -> subprocess.Popen[bytes]:
    """Start a program that runs as the service does: its environment, directory, user and limits.

    It has a session of its own and no output; its exit code is 125 if it can't be executed.
    """
    return subprocess.Popen(
        [sys.executable, "-I", "-S", SHIM, *shim_settings(spec, launch), "--", *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=launch.env,
        cwd="/",
        start_new_session=True,
    )


class Trial:
    """Calls `on_success` once, when the program has exited with 0. Lives in the event loop.

    `spawn` starts the program, again `every` so many seconds after it has failed. Nothing of it
    is left after `on_success` and `cancel`.
    """

    def __init__(self, spawn: Spawn, every: float, on_success: Callable[[], None]) -> None:
        self._spawn = spawn
        self._every = every
        self._on_success = on_success
        self._process: subprocess.Popen[bytes] | None = None
        self._watch: ProcessWatch | None = None
        self._timer: asyncio.Handle = asyncio.get_running_loop().call_soon(self._begin)

    def _begin(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            self._process = self._spawn()
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
        if process is None:
            return None
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        code = process.wait()
        sessions.send_signal(process.pid, signal.SIGKILL)  # what it left behind
        return code
