"""What the processes of a service use together, from /proc."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

from pyroctl.manager.process import procfs

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

CHILDREN_UTIME, CHILDREN_STIME, THREADS = 13, 14, 17
"""Indexes into what `procfs.stat` returns."""


class SessionUsage(NamedTuple):
    """The sum over the processes of a session."""

    processes: int
    cpu_seconds: float
    """Since the first of them started, those that have ended included."""
    rss_bytes: int
    fds: int | None
    """None if the system doesn't let us count them: they are another user's."""
    threads: int

    def plain(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {**self._asdict(), "cpu_seconds": round(self.cpu_seconds, 2)}


class UsageMeter:
    """Measures sessions; remembers their processor time, which never decreases.

    A process that ends takes its processor time along, unless a parent in the session waits for it.
    """

    def __init__(self) -> None:
        self._cpu: dict[int, float] = {}

    def measure(self, sid: int, members: Iterable[int]) -> SessionUsage | None:
        """Return what the session uses; None without any process."""
        found = usage_of(members)
        if found is None:
            return None
        self._cpu[sid] = max(found.cpu_seconds, self._cpu.get(sid, 0.0))
        return found._replace(cpu_seconds=self._cpu[sid])

    def keep(self, sids: Collection[int]) -> None:
        """Forget the other sessions."""
        self._cpu = {sid: seconds for sid, seconds in self._cpu.items() if sid in sids}


def usage_of(pids: Iterable[int]) -> SessionUsage | None:
    """Return what processes use together; None if none of them exists."""
    count, ticks, pages, threads = 0, 0, 0, 0
    fds: int | None = 0
    for pid in pids:
        fields = procfs.stat(pid)
        if fields is None:
            continue
        count += 1
        ticks += sum(map(int, fields[procfs.UTIME : CHILDREN_STIME + 1]))
        pages += int(fields[procfs.RSS])
        threads += int(fields[THREADS])
        opened = descriptors(pid)
        fds = None if fds is None or opened is None else fds + opened
    if not count:
        return None
    return SessionUsage(count, ticks / procfs.TICKS, pages * procfs.PAGE, fds, threads)


def descriptors(pid: int) -> int | None:
    """Return how many descriptors a process has; None if the system doesn't tell us."""
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))
    except PermissionError:
        return None
    except (FileNotFoundError, ProcessLookupError):
        return 0
