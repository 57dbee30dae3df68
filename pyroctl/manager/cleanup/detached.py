"""Processes that have left their service's session: daemons that went into the background.

Whoever has forked and whose parent has died would belong to process 1. As a "subreaper"
(prctl(2), PR_SET_CHILD_SUBREAPER) the manager gets them as children instead, so that none is lost.
Their environment tells whose they are; one who has cleared that is nobody's, and left alone.
"""

from __future__ import annotations

import ctypes
import logging
import os
from typing import TYPE_CHECKING

from pyroctl.manager.process import sessions

if TYPE_CHECKING:
    from collections.abc import Callable, Container

PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h

log = logging.getLogger(__name__)


def become_subreaper() -> None:
    """Get what our descendants leave behind; somebody has to collect it, then."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        log.warning("can't see what services leave behind: %s", os.strerror(ctypes.get_errno()))


class DetachedProcesses:
    """Finds them among our children; `started` gives the pids of those that we have started.

    What it gives is true at that moment only, so it is asked each time before a signal is sent.
    """

    def __init__(self, started: Callable[[], Container[int]]) -> None:
        self._started = started
        self.census = sessions.SessionSnapshot()
        """Who is in which session, for all services."""

    def of(self, service: str) -> list[int]:
        """Give the pids of a service's strays; those that they have forked aren't among them."""
        children = _children()
        if not children:
            return []
        started = self._started()
        return [pid for pid in children if pid not in started and _belongs(pid, service)]

    def signal(self, service: str, number: int) -> None:
        """Signal everything in the sessions of a service's strays."""
        for pid in self.of(service):
            try:
                sid = os.getsid(pid)
            except ProcessLookupError:
                continue
            sessions.send_signal(sid, number)

    def describe(self, service: str) -> list[str]:
        """Say which processes they are."""
        return [_describe(pid) for pid in self.of(service)]


def _describe(stray: int) -> str:
    try:
        with open(f"/proc/{stray}/comm", encoding="utf-8", errors="replace") as comm:
            return f"process {stray} ({comm.read().strip()})"
    except OSError:
        return f"process {stray}"


def _children() -> list[int]:
    """Give our children, dead ones too; none on a system that doesn't tell (CONFIG_PROC_CHILDREN).

    Orphans become those of our first thread.
    """
    pid = os.getpid()
    try:
        with open(f"/proc/{pid}/task/{pid}/children", "rb") as children:
            return [int(child) for child in children.read().split()]
    except FileNotFoundError:
        return []


def _belongs(pid: int, service: str) -> bool:
    """Tell whether it descends from a process of the service; helpers aren't told of a socket."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as environ:
            entries = environ.read().split(b"\0")
    except OSError:
        return False
    ours = f"PYROCTL_SERVICE={service}".encode() in entries
    return ours and any(entry.startswith(b"NOTIFY_SOCKET=") for entry in entries)
