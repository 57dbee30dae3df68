"""`python -m benchmarks.terminal`: measures `pyroctl top` in a terminal of its own."""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

PYROCTL = Path(sys.executable).parent / "pyroctl"
ROWS, COLUMNS = 40, 132
SETTLE = 4.0
"""Seconds after which a screen counts as idle."""
LONGEST = 30.0
SCREENS = {"3": "logs", "5": "topology", "6": "timeline", "1": "overview, measured each second"}
"""The overview is the last: in the first minute, the time since the start changes each second."""
AIMS = {"first frame": 0.6, "memory": 45.0}
CONFIG = """
[services.ns]
kind = "nameserver"
port = 0
[services.es]
kind = "eventservice"
needs = ["ns"]
[services.quiet]
kind = "command"
command = ["sleep", "86400"]
instances = {quiet}
"""


class Terminal:
    """A terminal in which `pyroctl top` runs; what it draws is read, and thrown away."""

    def __init__(self, root: str, *options: str) -> None:
        self._own, other = pty.openpty()
        fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("4H", ROWS, COLUMNS, 0, 0))
        self.began = time.perf_counter()
        self.process = subprocess.Popen(
            [PYROCTL, "--root", root, "top", *options],
            stdin=other, stdout=other, stderr=other, start_new_session=True,
            env={**os.environ, "TERM": "xterm-256color"},
        )  # fmt: skip
        os.close(other)
        self._seen = b""

    def until(self, text: str) -> float:
        """Wait until a text was drawn; return the seconds since the command began."""
        while text.encode() not in self._seen:
            if not self._read(LONGEST):
                raise SystemExit(f"{text!r} was not drawn in {LONGEST:g} s: {self._seen!r}")
        return time.perf_counter() - self.began

    def press(self, keys: str) -> None:
        """Press keys."""
        os.write(self._own, keys.encode())

    def rest(self, seconds: float) -> None:
        """Read what is drawn for that long."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._read(left)
        self._seen = b""

    def _read(self, timeout: float) -> bool:
        ready, _, _ = select.select([self._own], [], [], timeout)
        if ready:
            self._seen += os.read(self._own, 1 << 16)
        return bool(ready)

    def memory(self) -> float:
        """Return the resident memory of the process, in MiB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) / 1024

    def cpu(self) -> float:
        """Return the seconds of processor time that its threads have used."""
        threads = Path(f"/proc/{self.process.pid}/task").iterdir()
        return sum(int((each / "schedstat").read_text().split()[0]) for each in threads) / 1e9

    def close(self) -> None:
        """End the command."""
        self.press("q")
        self.process.wait(LONGEST)
        os.close(self._own)


@contextlib.contextmanager
def deployment(services: int) -> Iterator[str]:
    """Start a deployment in which nothing happens."""
    with tempfile.TemporaryDirectory() as root:
        Path(root, "pyroctl.toml").write_text(CONFIG.format(quiet=services - 2))
        subprocess.run([PYROCTL, "--root", root, "start"], check=True, stderr=subprocess.DEVNULL)
        try:
            yield root
        finally:
            subprocess.run([PYROCTL, "--root", root, "shutdown", "--yes"], check=True)


def first_frame(root: str, times: int) -> tuple[list[float], list[float], list[float]]:
    """Return after how many seconds the frame was drawn, and the services in it; sorted.

    The last ones are seconds of processor time until then, which others on the machine change less.
    """
    frames, rows, used = [], [], []
    for _ in range(times):
        terminal = Terminal(root)
        frames.append(terminal.until("Overview"))
        used.append(terminal.cpu())
        rows.append(terminal.until("running"))
        terminal.close()
    return sorted(frames), sorted(rows), sorted(used)


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--services", type=int, default=20, help="[20]")
    parser.add_argument("--times", type=int, default=7, help="starts for the first frame [7]")
    parser.add_argument("--seconds", type=float, default=10.0, help="of idleness [10]")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with deployment(options.services) as root:
        frames, rows, used = first_frame(root, options.times)
        median = frames[len(frames) // 2]
        print(f"first frame          {median:.2f} s  (aim {AIMS['first frame']:g} s)")
        print(f"first frame, worst   {frames[-1]:.2f} s")
        print(f"cpu until then       {used[len(used) // 2]:.2f} s")
        print(f"services in it       {rows[len(rows) // 2]:.2f} s")
        terminal = Terminal(root)
        terminal.until("running")
        terminal.rest(SETTLE)
        print(f"memory               {terminal.memory():.1f} MiB  (aim {AIMS['memory']:g} MiB)")
        for key, what in SCREENS.items():
            terminal.press(key)
            idle(terminal, what, options.seconds)
        terminal.press("1p")
        idle(terminal, "overview, paused", options.seconds)
        for keys in ("p", "2", "4", "7", ":", "\x1b", "?", "\x1b", "1"):
            terminal.press(keys)
            terminal.rest(1.0)
        print(f"memory, all screens  {terminal.memory():.1f} MiB")
        terminal.close()


def idle(terminal: Terminal, what: str, seconds: float) -> None:
    """Print how much processor time a screen takes while nothing happens."""
    terminal.rest(SETTLE)
    before = terminal.cpu()
    terminal.rest(seconds)
    used = terminal.cpu() - before
    print(f"cpu when idle        {100 * used / seconds:.2f} %  {what}")


if __name__ == "__main__":
    main()
