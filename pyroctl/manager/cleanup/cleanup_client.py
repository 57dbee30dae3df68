"""Runs the cleanup process, which ends our services if the manager is killed."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from pyroctl.manager.process.handle import ReattachedProcess
from pyroctl.manager.process.pidfd import ProcessWatch, has_ended

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyroctl.manager.process.handle import Process

SCRIPT = os.path.join(os.path.dirname(__file__), "cleanup_process.py")
EXIT_TIMEOUT = 3.0
"""Seconds that the cleanup process has to exit."""
SERVICE, HELPER = "+", "~"
"""Begin the lines about sessions."""
ORDERLY_END = "."
"""The last line to the cleanup process when the manager ends in order."""

log = logging.getLogger(__name__)


class CleanupClient:
    """Reports sessions to the cleanup process, and replaces it when it ends.

    The cleanup process holds a lock on the file `lock` as long as it lives: the next manager waits
    for that. It also ends every process with PYROCTL_RUN=`mark` in its environment, so that none
    escapes before it was reported. With `helpers_only` it leaves services to the next manager.
    """

    def __init__(self, lock: str, *, helpers_only: bool = False) -> None:
        self._lock = lock
        self._helpers_only = helpers_only
        self.mark = os.urandom(8).hex()
        """Different for each manager, but kept by a reexec."""
        self._sessions: dict[int, str] = {}
        self._process: Process | None = None
        self._pipe = -1
        self._watch: ProcessWatch | None = None

    def start(self) -> None:
        """Start the cleanup process and report all sessions to it."""
        lock = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        commands, self._pipe = os.pipe()
        try:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", SCRIPT, str(lock), self.mark],
                stdin=commands,
                stdout=subprocess.DEVNULL,
                start_new_session=True,
                cwd="/",
                pass_fds=(lock,),
            )
        finally:
            os.close(lock)
            os.close(commands)
        self._watch = ProcessWatch(self._process.pid, self._replace)
        for line in self._sessions.values():
            self._send(line)

    def snapshot(self) -> dict[str, Any]:
        """Return what the next program in this process needs to `restore`."""
        assert self._process is not None
        sessions = {str(sid): line for sid, line in self._sessions.items()}
        pid = self._process.pid
        return {"pid": pid, "pipe": self._pipe, "mark": self.mark, "sessions": sessions}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue with the cleanup process of the previous program in this process."""
        self._process = ReattachedProcess(state["pid"])
        self._pipe, self.mark = state["pipe"], state["mark"]
        self._sessions = {int(sid): line for sid, line in state["sessions"].items()}
        try:
            self._watch = ProcessWatch(self._process.pid, self._replace)
        except ProcessLookupError:
            self._replace()

    def helpers(self) -> set[int]:
        """Return the sessions that are reported as helpers'."""
        return {sid for sid, line in self._sessions.items() if line.startswith(HELPER)}

    def protect(self, sid: int, grace: float, *, helper: bool = False) -> None:
        """Report a session; it gets `grace` seconds to end if the manager is killed.

        A `helper` is not a service itself.
        """
        if self._helpers_only and not helper:
            return
        self._sessions[sid] = f"{HELPER if helper else SERVICE}{sid} {grace}"
        self._send(self._sessions[sid])

    def release(self, sid: int) -> None:
        """Report that a session is empty."""
        if self._sessions.pop(sid, None) is not None:
            self._send(f"-{sid}")

    def stop(self) -> None:
        """End the cleanup process in order; it ends the sessions that are left."""
        if self._process is not None and self._watch is not None:
            self._watch.cancel()
            self._send(ORDERLY_END)
            os.close(self._pipe)
            if has_ended(self._process.pid, EXIT_TIMEOUT):
                self._process.wait()
            else:
                log.warning("the cleanup process %d doesn't end", self._process.pid)

    def abandon(self) -> None:
        """Leave the sessions to the cleanup process, which ends them at once."""
        if self._process is not None and self._watch is not None:
            self._watch.cancel()
            os.close(self._pipe)

    def _replace(self) -> None:
        assert self._process is not None
        code = self._process.wait()
        log.warning("the cleanup process ended (code %s); starting another", code)
        os.close(self._pipe)
        self.start()

    def _send(self, line: str) -> None:
        with contextlib.suppress(BrokenPipeError):  # its replacement gets the whole list
            os.write(self._pipe, line.encode() + b"\n")
