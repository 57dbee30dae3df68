"""Which processes belong to a service: all those of its session."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class SessionSnapshot:
    """Who is in which session; lives in the event loop's thread.

    All that ask in one turn of the loop share one look, so that a hundred services are stopped as
    fast as one. That is right about a service whose end was seen in this turn or before: what was
    left of it was there already.
    """

    def __init__(self) -> None:
        self._known: dict[int, list[int]] | None = None

    def members(self, sid: int) -> list[int]:
        """Give the pids of the living processes of a session; a zombie is dead."""
        if self._known is None:
            self._known = _by_session()
            asyncio.get_running_loop().call_soon(self._forget)
        return [pid for pid in self._known.get(sid, ()) if _is_alive(pid)]

    def send_signal(self, sid: int, number: int) -> None:
        """Signal every process of a session, as `send_signal` does."""
        _signal_groups(self.members(sid), number)

    def _forget(self) -> None:
        self._known = None


def members(sid: int) -> list[int]:
    """Give the pids of the living processes of a session; a zombie is dead."""
    return [pid for pid in _by_session().get(sid, ()) if _is_alive(pid)]


def send_signal(sid: int, number: int) -> None:
    """Signal every process of a session, and wake up those that are stopped so that they notice."""
    _signal_groups(members(sid), number)


def _signal_groups(pids: Iterable[int], number: int) -> None:
    """Signal whole process groups, which no fork escapes; each is in one session only."""
    groups = set()
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            groups.add(os.getpgid(pid))
    for group in groups:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, number)
            os.killpg(group, signal.SIGCONT)


def _by_session() -> dict[int, list[int]]:
    """Give the pids of all processes, by the session that they are in."""
    found: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(ProcessLookupError):
                found.setdefault(os.getsid(int(name)), []).append(int(name))
    return found


def _is_alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            state = stat.read().rpartition(b")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in {b"Z", b"X"}
