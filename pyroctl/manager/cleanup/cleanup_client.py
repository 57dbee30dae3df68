"""Keeps the guard process that ends our services should we be killed."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from pyroctl.manager.process.identity import ReattachedProcess
from pyroctl.manager.process.pidfd import ProcessWatch, has_ended

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyroctl.manager.process.handle import Process

GUARD = os.path.join(os.path.dirname(__file__), "cleanup_process.py")
PATIENCE = 3.0
"""Seconds that the guard has to leave."""
GOODBYE = "."
"""What the guard hears last of a manager that ends in order."""

log = logging.getLogger(__name__)


class CleanupClient:
    """Tells the guard which sessions are ours, and replaces it when it ends.

    The guard holds a lock on the file `lock` as long as it lives: another manager waits for that.
    It ends every process that has PYROCTL_RUN=`mark` in its environment, too, so that none is
    forgotten of which we had no time to tell. With `spare` it ends only the services' helpers: the
    next manager wants the services.
    """

    def __init__(self, lock: str, mark: str | None = None, *, spare: bool = False) -> None:
        self._lock = lock
        self._spare = spare
        self.mark = mark or os.urandom(8).hex()
        """Different for each manager, unless it takes over from another."""
        self._sessions: dict[int, str] = {}
        self._process: Process | None = None
        self._pipe = -1
        self._watch: ProcessWatch | None = None

    def start(self) -> None:
        """Start the guard and give it the list."""
        lock = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        commands, self._pipe = os.pipe()
        try:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", GUARD, str(lock), self.mark],
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
        for entry in self._sessions.values():
            self._say(entry)

    def hand_off(self) -> dict[str, Any]:
        """Give what another program in this process needs to `resume`."""
        assert self._process is not None
        sessions = {str(sid): entry for sid, entry in self._sessions.items()}
        pid = self._process.pid
        return {"pid": pid, "pipe": self._pipe, "mark": self.mark, "sessions": sessions}

    def resume(self, state: Mapping[str, Any]) -> None:
        """Go on with the guard of the program that was here before."""
        self._process, self._pipe, self.mark = (
            ReattachedProcess(state["pid"]),
            state["pipe"],
            state["mark"],
        )
        self._sessions = {int(sid): entry for sid, entry in state["sessions"].items()}
        try:
            self._watch = ProcessWatch(self._process.pid, self._replace)
        except ProcessLookupError:
            self._replace()

    def protect(self, sid: int, grace: float, *, helper: bool = False) -> None:
        """Put a session under guard; it has `grace` seconds to end if we don't live to end it.

        A `helper` is no service itself.
        """
        if self._spare and not helper:
            return
        self._sessions[sid] = f"{'~' if helper else '+'}{sid} {grace}"
        self._say(self._sessions[sid])

    def release(self, sid: int) -> None:
        """Take a session that is gone off the list."""
        if self._sessions.pop(sid, None) is not None:
            self._say(f"-{sid}")

    def stop(self) -> None:
        """Let the guard go; it ends what is still on the list."""
        if self._process is not None and self._watch is not None:
            self._watch.cancel()
            self._say(GOODBYE)
            os.close(self._pipe)
            if has_ended(self._process.pid, PATIENCE):
                self._process.wait()
            else:
                log.warning("the guard process %d doesn't end", self._process.pid)

    def abandon(self) -> None:
        """Let the guard end what is on the list, for we go; that begins at once."""
        if self._process is not None and self._watch is not None:
            self._watch.cancel()
            os.close(self._pipe)

    def _replace(self) -> None:
        assert self._process is not None
        log.warning("the guard process ended (code %s): starting another", self._process.wait())
        os.close(self._pipe)
        self.start()

    def _say(self, line: str) -> None:
        with contextlib.suppress(BrokenPipeError):  # its successor gets the whole list
            os.write(self._pipe, line.encode() + b"\n")
