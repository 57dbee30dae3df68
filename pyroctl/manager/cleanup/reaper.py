"""Collects processes that nobody else does: what services leave behind comes to us."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal

from pyroctl.manager.cleanup.detached import become_subreaper

PATIENCE = 0.5
"""Seconds that a dead child may wait for us: our own are collected at once, by who watches them."""

log = logging.getLogger(__name__)


class Reaper:
    """Waits for children that we didn't start but inherited, so that no zombies pile up.

    Our own are known by elimination: their watchers collect them in the turn of the event loop in
    which they die, so what is dead at two looks is a foreigner.
    """

    def __init__(self) -> None:
        self._dead: set[int] = set()
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin; only the death of a child wakes us."""
        become_subreaper()
        asyncio.get_running_loop().add_signal_handler(signal.SIGCHLD, self._look_soon)

    def stop(self) -> None:
        """Look no more."""
        asyncio.get_running_loop().remove_signal_handler(signal.SIGCHLD)
        if self._timer is not None:
            self._timer.cancel()

    def _look_soon(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(PATIENCE, self._look)

    def _look(self) -> None:
        self._timer = None
        dead = _dead_children()
        for pid in dead & self._dead:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
                log.debug("collected process %d, which nobody waited for", pid)
        self._dead = dead - self._dead
        if self._dead:
            self._look_soon()


def _dead_children() -> set[int]:
    """Find our children that have ended and weren't waited for."""
    ours = str(os.getpid()).encode()
    return {
        int(name)
        for name in os.listdir("/proc")
        if name.isdigit() and _state_and_parent(name) == [b"Z", ours]
    }


def _state_and_parent(pid: str) -> list[bytes]:
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            return stat.read().rpartition(b")")[2].split()[:2]
    except (FileNotFoundError, ProcessLookupError):
        return []
