"""Reaps orphans: what services leave behind becomes a child of the manager."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal

from pyroctl.manager.cleanup.detached import become_subreaper
from pyroctl.manager.process import procfs

PAUSE = 0.5
"""Seconds that a zombie may wait: children that we started are reaped at once by their watchers."""

log = logging.getLogger(__name__)


class Reaper:
    """Waits for children that we inherited but did not start, so that no zombies pile up.

    Their watchers reap our own children in the same turn of the event loop, so any zombie that is
    seen twice is an inherited one.
    """

    def __init__(self) -> None:
        self._dead: set[int] = set()
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Start; only the end of a child wakes us."""
        become_subreaper()
        asyncio.get_running_loop().add_signal_handler(signal.SIGCHLD, self._scan_soon)

    def stop(self) -> None:
        """Stop."""
        asyncio.get_running_loop().remove_signal_handler(signal.SIGCHLD)
        if self._timer is not None:
            self._timer.cancel()

    def _scan_soon(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(PAUSE, self._scan)

    def _scan(self) -> None:
        self._timer = None
        dead = _dead_children()
        for pid in dead & self._dead:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
                log.debug("reaped orphaned process %d", pid)
        self._dead = dead - self._dead
        if self._dead:
            self._scan_soon()


def _dead_children() -> set[int]:
    """Return our children that have ended and were not reaped."""
    ours = str(os.getpid()).encode()
    return {
        pid
        for pid in procfs.pids()
        if (fields := procfs.stat(pid))
        and (fields[procfs.STATE], fields[procfs.PARENT]) == (b"Z", ours)
    }
