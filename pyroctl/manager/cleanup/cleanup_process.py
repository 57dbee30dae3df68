"""Ends what a manager that was killed has left: `python -I -S guard.py FD MARK`, commands on stdin.

The ring that lets nobody outlive the manager. It is told of every session that the manager starts
("+SID GRACE", or "~SID GRACE" if it is no service but a helper of one), of every one that is gone
("-SID"), and of the manager's orderly end ("."). When the pipe closes without that, or while
sessions are left, they get SIGTERM, and SIGKILL when their grace (seconds) is over. So does every
process with PYROCTL_RUN=MARK in its environment: what has left its session, and what was only just
started. The pipe doesn't close before that: a process on its way to exec holds it, too.

The next manager finds in the file FD when that was, and how many services it concerned. It may
import only what starts fast.
"""

import os
import select
import signal
import sys
import time

LONGEST_GRACE = 3.0
"""Nobody is there to wait for a service that takes long over its end."""
LAST = 2.0
"""Seconds after which nobody waits any more for what was killed: it is stuck in the kernel."""
PAUSE = 0.05
"""Seconds; what has closed the pipe by its exec gets its environment a moment later."""
LOOKS = 5
"""So often nobody must be found before that is believed."""


def main() -> None:
    """Keep the list until the manager is gone, then clear up."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # only the manager's end ends the guard
    sessions: dict[int, float] = {}
    helpers: set[int] = set()
    orderly = False
    for line in sys.stdin:
        if line == ".\n":
            orderly = True
            continue
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
    if sessions or not orderly:
        clear_up(sessions, os.fsencode(f"PYROCTL_RUN={sys.argv[2]}"))


def leave_note(fd: int, services: int) -> None:
    """Say when the manager was found dead, and how many services it has left."""
    os.ftruncate(fd, 0)
    os.pwrite(fd, f"{time.time():.3f} {services}\n".encode(), 0)


def clear_up(sessions: dict[int, float], mark: bytes = b"") -> None:
    """End all processes of these sessions, and those with that in their environment."""
    started = time.monotonic()
    told: set[int] = set()
    killed: dict[int, float] = {}
    looks = 0
    while looks < LOOKS:
        lived = time.monotonic() - started
        found = find(set(sessions), mark)
        left = {pid: sid for pid, sid in found.items() if lived < killed.get(pid, lived) + LAST}
        for pid, sid in left.items():
            if lived >= sessions.get(sid, LONGEST_GRACE):
                killed.setdefault(pid, lived)
                send(pid, signal.SIGKILL)
            elif pid not in told:
                send(pid, signal.SIGTERM)
        told |= set(left)
        if left:
            wait_for_any(list(left), 0.2)
        elif mark:
            time.sleep(PAUSE)
        looks = 0 if left else looks + 1 if mark else LOOKS


def find(sids: set[int], mark: bytes) -> dict[int, int]:
    """Find the living processes of these sessions, or with that mark: pid to session id."""
    found = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                sid = os.getsid(int(entry))
                if (sid in sids or is_marked(entry, mark)) and is_alive(int(entry)):
                    found[int(entry)] = sid
            except OSError:
                pass  # it ended while we looked, or is somebody else's
    return found


def is_marked(pid: str, mark: bytes) -> bool:
    """Tell whether its environment has that entry."""
    if not mark:
        return False
    with open(f"/proc/{pid}/environ", "rb") as environ:
        return mark in environ.read().split(b"\0")


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
