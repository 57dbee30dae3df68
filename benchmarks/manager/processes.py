"""Starting, finding and measuring processes."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

BIN = Path(sys.executable).parent
PYTHON = sys.executable
WAIT = 60.0
"""Seconds for anything that must happen."""
PAUSE = 0.001


@dataclass(frozen=True)
class Cost:
    """Seconds of one run."""

    wall: float
    cpu: float


def environment() -> dict[str, str]:
    """Return our environment without what would configure the measured programs."""
    ours = ("PYRO", "NOTIFY_SOCKET", "PYTHON")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


def run(argv: Sequence[str]) -> Cost:
    """Measure a command until its end; it must succeed."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    started = time.perf_counter()
    pid = os.posix_spawn(
        argv[0],
        list(argv),
        environment(),
        file_actions=[(os.POSIX_SPAWN_DUP2, devnull, output) for output in (1, 2)],
    )
    _, status, usage = os.wait4(pid, 0)
    wall = time.perf_counter() - started
    os.close(devnull)
    if status != 0:
        sys.exit(f"{' '.join(argv)} failed: exit code {os.waitstatus_to_exitcode(status)}")
    return Cost(wall, usage.ru_utime + usage.ru_stime)


def spawn(argv: Sequence[str]) -> subprocess.Popen[bytes]:
    """Start a program in a session of its own."""
    return subprocess.Popen(
        argv,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


@contextlib.contextmanager
def running(argv: Sequence[str]) -> Iterator[int]:
    """Run a manager; returns its pid. At the end neither it nor anything below it is left."""
    process = spawn(argv)
    try:
        yield process.pid
    finally:
        below = descendants(process.pid)
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(15)
        for pid in {*below, process.pid}:
            with contextlib.suppress(ProcessLookupError):
                if pid != process.pid or process.poll() is None:
                    os.kill(pid, signal.SIGKILL)
        process.wait()


def wait_for(condition: Callable[[], object], what: str) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + WAIT
    while not condition():
        if time.monotonic() > deadline:
            sys.exit(f"never happened: {what}")
        time.sleep(PAUSE)


class Sleepers:
    """Finds the `sleep` processes that a manager was told to run, each by its argument."""

    FIRST = 7_654_000

    def __init__(self, count: int) -> None:
        self._names = {f"sleep\0{self.FIRST + n}\0".encode(): n for n in range(count)}

    @classmethod
    def command(cls, number: int) -> list[str]:
        return ["/bin/sleep", str(cls.FIRST + number)]

    def alive(self) -> dict[int, int]:
        """Return number → pid."""
        found = {}
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                with contextlib.suppress(OSError), open(f"/proc/{entry}/cmdline", "rb") as file:
                    number = self._names.get(file.read().removeprefix(b"/bin/"))
                    if number is not None:
                        found[number] = int(entry)
        return found

    def all_up(self) -> bool:
        return len(self.alive()) == len(self._names)


def descendants(root: int) -> list[int]:
    """Return all descendants of a process."""
    parents: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{entry}/stat", "rb") as file:
                parent = int(file.read().rpartition(b")")[2].split()[1])
                parents.setdefault(parent, []).append(int(entry))
    found: list[int] = []
    waiting = [root]
    while waiting:
        children = parents.get(waiting.pop(), [])
        found += children
        waiting += children
    return found


def cpu_time(pid: int) -> float:
    """Return the processor time that a process has used so far, its ended threads included.

    The number of the clock is made as clock_getcpuclockid(3) makes it on Linux.
    """
    return time.clock_gettime((~pid << 3) | 2)


def cpu_time_of_ended(pid: int) -> float:
    """Return the processor time of a process's children that it has waited for."""
    with open(f"/proc/{pid}/stat", "rb") as file:
        fields = file.read().rpartition(b")")[2].split()
    return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")


def memory(pid: int) -> tuple[int, int]:
    """Return resident and proportional size in bytes."""
    sizes = dict.fromkeys(("Rss:", "Pss:"), 0)
    with open(f"/proc/{pid}/smaps_rollup") as file:
        for line in file:
            words = line.split()
            if words[0] in sizes:
                sizes[words[0]] = int(words[1]) * 1024
    return sizes["Rss:"], sizes["Pss:"]


def switches(pid: int) -> int:
    """Return how often a process's threads were scheduled so far."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/status") as file:
            total += sum(int(line.split()[1]) for line in file if "ctxt_switches" in line)
    return total
