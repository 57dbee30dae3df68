"""Runs the program that asks a service to end."""

from __future__ import annotations

import signal
from dataclasses import replace
from typing import TYPE_CHECKING

from pyroctl.core.outcome import outcome_of
from pyroctl.manager.output.lines import LineAssembler
from pyroctl.manager.output.pipes import OutputPipe
from pyroctl.manager.process import sessions
from pyroctl.manager.process.pidfd import ProcessWatch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pyroctl.manager.process.probe_command import HelperRunner

MAIN_PID = "PYROCTL_MAIN_PID"
"""The variable with the pid of the service's main process."""


class StopCommand:
    """One run of a service's `stop_command`. Lives in the event loop's thread.

    `note` gets the lines of its output, and how it failed. `on_end(failed)` is called once, when
    nothing of it is left. Raises OSError or ValueError if it can't be started.
    """

    def __init__(
        self,
        helpers: HelperRunner,
        command: Sequence[str],
        main_pid: int,
        note: Callable[[str], None],
        on_end: Callable[[bool], None],
    ) -> None:
        self._helpers = helpers
        self._note = note
        self._on_end = on_end
        self._killed = False
        self._lines = LineAssembler()
        self._pipe = OutputPipe(lambda data: self._show(self._lines.feed(data)))
        try:
            env = {MAIN_PID: str(main_pid)}
            self._process = helpers.start(command, env=env, output=self._pipe.remote)
        except BaseException:
            self._pipe.close()
            raise
        finally:
            self._pipe.release_remote()
        self._pipe.start()
        ProcessWatch(self._process.pid, self._ended)

    def kill(self) -> None:
        """End it now; `on_end` follows."""
        self._killed = True
        self._process.kill()
        sessions.send_signal(self._process.pid, signal.SIGKILL)

    def _ended(self) -> None:
        outcome = outcome_of(self._helpers.end(self._process))
        self._pipe.drain()
        self._show(self._lines.finish())
        self._pipe.close()
        if outcome.code != 0:
            by_us = replace(outcome, ended_by_us=self._killed)
            self._note(f"stop_command failed: {by_us.describe()}")
        self._on_end(outcome.code != 0)

    def _show(self, lines: bytes) -> None:
        for line in lines.decode(errors="replace").splitlines():
            self._note(f"stop_command: {line}")
