"""Ends the services of a manager that was killed: `python -I -S guard.py FD`, commands on stdin.

The last of the rings that let nobody outlive the manager. It is told of every session that the
manager starts ("+SID GRACE", or "~SID GRACE" if it is no service but a helper of one) and of every
one that is gone ("-SID"). When the pipe closes while sessions are left, their manager died without
stopping them: they get SIGTERM, and SIGKILL when their grace (seconds) is over. The next manager
finds in the file FD when that was, and how many services it concerned. It may import only what
starts fast.
"""

import os
import select
import signal
import sys
import time

LONGEST_GRACE = 3.0
"""Nobody is there to wait for a service that takes long over its end."""


def main() -> None:
    """Keep the list until the manager is gone, then clear up."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # only the manager's end ends the guard
    sessions: dict[int, float] = {}
    helpers: set[int] = set()
    for line in sys.stdin:
        sid, _, grace = line[1:].partition(" ")
        helpers.discard(int(sid))
        if line.startswith("-"):
            sessions.pop(int(sid), None)
            continue
        sessions[int(sid)] = min(float(grace), LONGEST_GRACE)
        if line.startswith("~"):
            helpers.add(int(sid))
    if sessions:
        leave_note(int(sys.argv[1]), len(sessions) - len(helpers))
        clear_up(sessions)


def leave_note(fd: int, services: int) -> None:
    """Say when the manager was found dead, and how many services it has left."""
    os.ftruncate(fd, 0)
    os.pwrite(fd, f"{time.time():.3f} {services}\n".encode(), 0)


def clear_up(sessions: dict[int, float]) -> None:
    """End all processes of these sessions."""
    started = time.monotonic()
    for pid in members(set(sessions)):
        send(pid, signal.SIGTERM)
    while left := members(set(sessions)):
        lived = time.monotonic() - started
        for pid, sid in left.items():
            if lived >= sessions[sid]:
                send(pid, signal.SIGKILL)
        wait_for_any(list(left), 0.2)


def members(sids: set[int]) -> dict[int, int]:
    """Find the living processes of these sessions: pid to session id."""
    found = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                sid = os.getsid(int(entry))
                if sid in sids and is_alive(int(entry)):
                    found[int(entry)] = sid
            except OSError:
                pass  # it ended while we looked
    return found


def is_alive(pid: int) -> bool:
    """Tell whether it lives; a zombie only waits for somebody to read its exit code."""
    with open(f"/proc/{pid}/stat", "rb") as stat:
        return stat.read().rpartition(b")")[2].split()[0] not in {b"Z", b"X"}


def send(pid: int, number: int) -> None:
    """Signal a process that may have ended meanwhile, and wake it up to take the signal."""
    try:
        os.kill(pid, number)
        os.kill(pid, signal.SIGCONT)
    except OSError:
        pass


def wait_for_any(pids: list[int], seconds: float) -> None:
    """Wait until one of the processes ends, at most so long."""
    fds = []
    try:
        for pid in pids[:100]:
            try:
                fds.append(os.pidfd_open(pid))
            except OSError:
                return  # one ended already
        select.select(fds, [], [], seconds)
    finally:
        for fd in fds:
            os.close(fd)


if __name__ == "__main__":
    main()
