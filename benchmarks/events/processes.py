"""Processes that end with us, and what they cost."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PATIENCE = 10.0
"""Seconds that a program may take to come up, or to go."""
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Broker:
    """A running broker: how clients reach it, and the process to look at."""

    address: str
    pid: int | None
    """None: there is no process between publishers and subscribers."""

    def cpu(self) -> float:
        """Return the processor time of all its threads so far, in seconds."""
        return 0.0 if self.pid is None else cpu_time(self.pid)

    def status(self, key: str) -> int:
        """Return a number of /proc/PID/status: `VmRSS` in KiB, `Threads`."""
        text = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii")
        line = next(line for line in text.splitlines() if line.startswith(key + ":"))
        return int(line.split()[1])


def cpu_time(pid: int) -> float:
    """Return the processor time of all threads of a process so far (see clock_getres(2))."""
    return time.clock_gettime((~pid << 3) | 2)


def _die_with_parent() -> None:
    """Make the kernel end this process when its parent ends, however that happens."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def environment() -> dict[str, str]:
    """Return our environment without what would configure the measured programs."""
    ours = ("PYRO", "NOTIFY_SOCKET")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


@contextlib.contextmanager
def program(argv: Sequence[str], cwd: Path) -> Iterator[subprocess.Popen[str]]:
    """Run a program while the context lasts; its output goes to a file `log` there."""
    with (cwd / "log").open("w", encoding="utf-8") as log:
        process = subprocess.Popen(
            argv,
            cwd=cwd,
            env=environment() | {"PYTHONPATH": os.pathsep.join(_import_path())},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            preexec_fn=_die_with_parent,  # noqa: PLW1509 - there are no threads
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _import_path() -> list[str]:
    return [entry or str(Path.cwd()) for entry in sys.path if "zip" not in entry]


def free_port() -> int:
    """Return a TCP port that is free now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def await_port(process: subprocess.Popen[str], port: int | str) -> None:
    """Wait until the program listens at a port, or at the path of a Unix socket."""
    deadline = time.monotonic() + PATIENCE
    while True:
        family = socket.AF_UNIX if isinstance(port, str) else socket.AF_INET
        with contextlib.suppress(OSError), socket.socket(family) as sock:
            sock.settimeout(1.0)
            sock.connect(port if isinstance(port, str) else ("127.0.0.1", port))
            return
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"{process.args!r} does not come up: exit code {process.poll()}")
        time.sleep(0.01)


def first_line(process: subprocess.Popen[str]) -> str:
    """Return the line in which a program reports that it is ready."""
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise RuntimeError(f"{process.args!r} does not come up: exit code {process.wait()}")
    return line.strip()
