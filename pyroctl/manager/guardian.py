"""Keeps the guard process that ends our services should we be killed."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import subprocess
import sys

from pyroctl.manager.pidfd import ProcessWatch

GUARD = os.path.join(os.path.dirname(__file__), "guard.py")
GOODBYE = "."
"""What the guard hears last of a manager that ends in order."""

log = logging.getLogger(__name__)


class Guardian:
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
        self._process: subprocess.Popen[bytes] | None = None
        self._watch: ProcessWatch | None = None

    def start(self) -> None:
        """Start the guard and give it the list."""
        lock = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", GUARD, str(lock), self.mark],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                start_new_session=True,
                cwd="/",
                pass_fds=(lock,),
            )
        finally:
            os.close(lock)
        self._watch = ProcessWatch(self._process.pid, self._replace)
        for entry in self._sessions.values():
            self._say(entry)

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
            assert self._process.stdin is not None
            self._process.stdin.close()
            self._process.wait()

    def _replace(self) -> None:
        assert self._process is not None
        log.warning("the guard process ended (code %s): starting another", self._process.wait())
        assert self._process.stdin is not None
        self._process.stdin.close()
        self.start()

    def _say(self, line: str) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line.encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # it has just ended; its successor gets the whole list
