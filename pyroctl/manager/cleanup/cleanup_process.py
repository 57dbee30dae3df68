"""Ends what a killed manager has left: `python -I -S cleanup_process.py FD MARK`.

The manager reports on stdin every session that it starts ("+SID GRACE", or "~SID GRACE" for a
helper of a service), every one that is empty ("-SID"), and its orderly end ("."). If the pipe
closes without the latter, or while sessions are left, their processes get SIGTERM, and SIGKILL
after their grace (seconds); SIGTERM comes to the leader of a session first, and to the others after
its end or half of the grace. So does every process with PYROCTL_RUN=MARK in its environment: one
that has left its session, or has only just started. The pipe does not close before that, because a
process on its way to exec also holds it.

In the file FD the next manager finds when this happened, and how many services were concerned.

A self-contained script, which imports only what starts fast.
"""

import os
import select
import signal
import sys
import time

LONGEST_GRACE = 3.0
"""Seconds: the next manager waits for this."""
KILL_TIMEOUT = 2.0
"""Seconds after which a killed process is given up: it is stuck in the kernel."""
PAUSE = 0.05
"""Seconds; exec closes the pipe a moment before the environment is visible."""
SCANS = 5
"""How often in a row no process must be found."""


def main() -> None:
    """Keep the list until the manager has ended, then clean up."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # only the end of the manager counts
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
        write_note(int(sys.argv[1]), len(sessions) - len(helpers))
    if sessions or not orderly:
        clean_up(sessions, os.fsencode(f"PYROCTL_RUN={sys.argv[2]}"))


def write_note(fd: int, services: int) -> None:
    """Record when the manager was found dead, and how many services it left."""
    os.ftruncate(fd, 0)
    os.pwrite(fd, f"{time.time():.3f} {services}\n".encode(), 0)


def clean_up(sessions: dict[int, float], mark: bytes = b"") -> None:
    """End all processes of these sessions, and those with `mark` in their environment."""
    started = time.monotonic()
    signalled: set[int] = set()
    killed: dict[int, float] = {}
    scans = 0
    while scans < SCANS:
        lived = time.monotonic() - started
        found = find(set(sessions), mark)
        left = {
            pid: sid for pid, sid in found.items() if lived < killed.get(pid, lived) + KILL_TIMEOUT
        }
        for pid, sid in left.items():
            grace = sessions.get(sid, LONGEST_GRACE)
            led = pid != sid and sid in left
            if lived >= grace:
                killed.setdefault(pid, lived)
                send(pid, signal.SIGKILL)
            elif pid not in signalled and not (led and lived < grace / 2):
                signalled.add(pid)
                send(pid, signal.SIGTERM)
        if left:
            wait_for_any(list(left), 0.2)
        elif mark:
            time.sleep(PAUSE)
        scans = 0 if left else scans + 1 if mark else SCANS


def find(sids: set[int], mark: bytes) -> dict[int, int]:
    """Return the living processes of these sessions or with that mark: pid to session id."""
    found = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                sid = os.getsid(int(entry))
                if (sid in sids or is_marked(entry, mark)) and is_alive(int(entry)):
                    found[int(entry)] = sid
            except OSError:
                pass  # it has ended, or belongs to another user
    return found


def is_marked(pid: str, mark: bytes) -> bool:
    """Return whether its environment has that entry."""
    if not mark:
        return False
    with open(f"/proc/{pid}/environ", "rb") as environ:
        return mark in environ.read().split(b"\0")


def is_alive(pid: int) -> bool:
    """Return whether it is not a zombie; raise OSError without such a process."""
    with open(f"/proc/{pid}/stat", "rb") as stat:
        return stat.read().rpartition(b")")[2].split()[0] not in {b"Z", b"X"}


def send(pid: int, number: int) -> None:
    """Signal a process that may have ended, and continue it so that it notices."""
    try:
        os.kill(pid, number)
        os.kill(pid, signal.SIGCONT)
    except OSError:
        pass


def wait_for_any(pids: list[int], seconds: float) -> None:
    """Wait until one of the processes ends, for at most that long."""
    fds = []
    try:
        for pid in pids[:100]:
            try:
                fds.append(os.pidfd_open(pid))
            except OSError:
                return  # one has ended already
        select.select(fds, [], [], seconds)
    finally:
        for fd in fds:
            os.close(fd)


if __name__ == "__main__":
    main()
