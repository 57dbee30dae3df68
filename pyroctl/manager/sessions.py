"""Which processes belong to a service: all those of its session."""

from __future__ import annotations

import contextlib
import os
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


def members(sid: int) -> list[int]:
    """Give the pids of the living processes of a session; a zombie is dead."""
    return [pid for pid in _all_pids() if _session_of(pid) == sid and _is_alive(pid)]


def send_signal(sid: int, number: int) -> None:
    """Signal every process of a session, and wake up those that are stopped so that they notice."""
    for pid in members(sid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
            os.kill(pid, signal.SIGCONT)


def _all_pids() -> Iterator[int]:
    return (int(name) for name in os.listdir("/proc") if name.isdigit())


def _session_of(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return None


def _is_alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            state = stat.read().rpartition(b")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in {b"Z", b"X"}
