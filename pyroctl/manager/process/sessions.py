"""Which processes belong to which session: a session holds all processes of a service."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal

from pyroctl.manager.process import procfs


class SessionSnapshot:
    """Reads /proc once per turn of the event loop; lives in the loop's thread.

    All that ask in one turn share the answer, so that a hundred services stop as fast as one. It
    is right about a service whose end was noticed in this turn or before: what the service has left
    existed then.
    """

    def __init__(self) -> None:
        self._pids: dict[int, list[int]] | None = None

    def members(self, sid: int) -> list[int]:
        """Return the pids of the living processes of a session; a zombie is dead."""
        if self._pids is None:
            self._pids = _by_session()
            asyncio.get_running_loop().call_soon(self._discard)
        return list(filter(procfs.is_alive, self._pids.get(sid, ())))

    def send_signal(self, sid: int, number: int) -> None:
        """Signal every process of a session, and continue stopped ones so that they notice.

        Signals go to whole process groups, which no fork escapes; each is in one session only.
        """
        groups = set()
        for pid in self.members(sid):
            with contextlib.suppress(ProcessLookupError):
                groups.add(os.getpgid(pid))
        for group in groups:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, number)
                os.killpg(group, signal.SIGCONT)

    def _discard(self) -> None:
        self._pids = None


def send_signal(sid: int, number: int) -> None:
    """Signal every process of a session, as SessionSnapshot does, but after reading /proc again."""
    SessionSnapshot().send_signal(sid, number)


def _by_session() -> dict[int, list[int]]:
    """Return the pids of all processes by session."""
    found: dict[int, list[int]] = {}
    for pid in procfs.pids():
        with contextlib.suppress(ProcessLookupError):
            found.setdefault(os.getsid(pid), []).append(pid)
    return found
