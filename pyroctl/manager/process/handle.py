"""Watches a process that leads a session, until nothing of the session is left."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from typing import TYPE_CHECKING

from pyroctl.core.outcome import outcome_of
from pyroctl.manager.process import procfs, sessions
from pyroctl.manager.process.pidfd import ProcessWatch

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyroctl.core.outcome import Outcome
    from pyroctl.manager.process.control_link import ControlLink
    from pyroctl.manager.process.spawn import Pipes


class ReattachedProcess:
    """A process started by the previous manager, which may have been this very process."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def wait(self) -> int | None:
        """Return the return code of a process that has ended; None if it is not our child."""
        try:
            return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        except ChildProcessError:
            return None


Process = subprocess.Popen[bytes] | ReattachedProcess


class ProcessHandle:
    """A running process with its pipes and its control socket, None if it has none.

    All methods and callbacks run in the event loop's thread. PDEATHSIG, which the shim asks for,
    needs that thread to live as long as the manager.

    `on_exit(outcome)` is called once, when the process has ended and its output was read, and then
    `on_gone()` once, when no process of its session is left.
    """

    def __init__(
        self,
        process: Process,
        pipes: Pipes,
        control: ControlLink | None,
        snapshot: sessions.SessionSnapshot,
        on_exit: Callable[[Outcome], None],
        on_gone: Callable[[], None],
    ) -> None:
        self._process = process
        self._pipes = pipes
        self.control = control
        self._snapshot = snapshot
        self._on_exit = on_exit
        self._on_gone = on_gone
        self.pid = process.pid
        self._watch: ProcessWatch | None = None
        pipes.start(self.pid)
        try:
            self._watch = ProcessWatch(self.pid, self._process_ended)
        except ProcessLookupError:  # it was reattached, and has ended
            asyncio.get_running_loop().call_soon(self._process_ended)

    def terminate_main(self, number: int) -> None:
        """Send the stop signal to the process itself; to all if it ignores that, or has ended."""
        if self._watch is None or procfs.ignores(self.pid, number):
            self.terminate(number)
        else:
            self._watch.send_signal(number)
            self._watch.send_signal(signal.SIGCONT)  # a stopped one must notice

    def terminate(self, number: int) -> None:
        """Send the stop signal to every process of the session."""
        self._snapshot.send_signal(self.pid, number)

    def kill(self) -> None:
        """Kill every process of the session."""
        sessions.send_signal(self.pid, signal.SIGKILL)

    def descriptors(self) -> dict[str, int]:
        """Return our ends of its connections, by name."""
        control = {} if self.control is None else {"control": self.control.fileno()}
        return {**self._pipes.descriptors(), **control}

    def _process_ended(self) -> None:
        self._watch = None
        outcome = outcome_of(self._process.wait())
        self._pipes.drain(lambda: self._report_end(outcome))  # its last output comes first

    def _report_end(self, outcome: Outcome) -> None:
        self._on_exit(outcome)
        self._await_session_end()

    def _await_session_end(self) -> None:
        """Wait for the rest of the session, one process at a time, without polling."""
        for pid in self._snapshot.members(self.pid):
            try:
                ProcessWatch(pid, self._await_session_end)
            except ProcessLookupError:
                continue
            return
        self._pipes.drain(self._close)

    def _close(self) -> None:
        self._pipes.close()
        if self.control is not None:
            self.control.close()
        self._on_gone()
