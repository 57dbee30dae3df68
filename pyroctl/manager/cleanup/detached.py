"""Processes that have left their service's session: daemons that went into the background.

An orphan normally becomes a child of process 1. As a "subreaper" (prctl(2),
PR_SET_CHILD_SUBREAPER) the manager adopts them instead, so that none is lost. Their environment
tells to which service they belong; one that has cleared its environment is left alone.
"""

from __future__ import annotations

import ctypes
import logging
import os
from typing import TYPE_CHECKING

from pyroctl.manager.cleanup.orphan_scan import VARIABLE
from pyroctl.manager.process import procfs, sessions

if TYPE_CHECKING:
    from collections.abc import Callable, Container

PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h

log = logging.getLogger(__name__)


def become_subreaper() -> None:
    """Become the parent of orphaned descendants; they have to be reaped then."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        reason = os.strerror(ctypes.get_errno())
        log.warning("cannot track processes that leave their session: %s", reason)


class DetachedProcesses:
    """Finds them among our children: those of the deployment with the runtime directory `run`.

    `started` returns the sessions that the manager has started for services and their helpers.

    The answers are outdated a moment later, so every use asks again.
    """

    def __init__(self, run: str, started: Callable[[], Container[int]]) -> None:
        self._run = run
        self._started = started
        self.snapshot = sessions.SessionSnapshot()
        """Which process is in which session, for all services."""

    def of(self, service: str) -> list[int]:
        """Return the pids of a service's detached processes, without what these have forked."""
        children = procfs.children()
        if not children:
            return []
        started = self._started()
        marks = {f"PYROCTL_SERVICE={service}".encode(), os.fsencode(f"{VARIABLE}={self._run}")}
        return [pid for pid in children if _has(pid, marks) and _session(pid) not in started]

    def signal(self, service: str, number: int) -> None:
        """Signal all processes in the sessions of a service's detached processes."""
        for pid in self.of(service):
            try:
                sid = os.getsid(pid)
            except ProcessLookupError:
                continue
            sessions.send_signal(sid, number)

    def describe(self, service: str) -> list[str]:
        """Describe a service's detached processes."""
        return [_describe(pid) for pid in self.of(service)]


def _describe(pid: int) -> str:
    try:
        return f"process {pid} ({procfs.command_name(pid)})"
    except OSError:
        return f"process {pid}"


def _has(pid: int, marks: set[bytes]) -> bool:
    """Return whether all of these are in the environment of a process."""
    try:
        return marks.issubset(procfs.environ(pid))
    except OSError:
        return False


def _session(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return None
