"""How fast a manager takes the output of a service."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.manager.processes import PYTHON, cpu_time, descendants, running, wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.manager.system import System

MEBIBYTES = 32
LINE = 64
LINES = (MEBIBYTES << 20) // LINE
TALKER = """
import os, sys, time
how, go, done, length, lines = sys.argv[1:]
line = "x" * int(length)
while not os.path.exists(go): time.sleep(0.01)
began = time.perf_counter()
if how == "print":  # buffered under every manager, whatever PYTHONUNBUFFERED says
    with open(1, "w", closefd=False) as output:
        for _ in range(int(lines)): print(line, file=output)
else:
    block = (line.encode() + b"\\n") * 1024
    for _ in range(int(lines) // 1024):
        rest = memoryview(block)
        while rest: rest = rest[os.write(1, rest):]
seconds = time.perf_counter() - began
with open(done + ".part", "w") as file: file.write(str(seconds))
os.rename(done + ".part", done)
time.sleep(100000)
"""


class Rate(NamedTuple):
    """One flood: seconds until the service has written all, and what that cost the manager."""

    seconds: float
    cpu: float
    lost: int
    """Lines."""


def flood(system_class: type[System], directory: Path, how: str) -> Rate:
    """Run one service that writes 32 MiB of lines, by `print` or in blocks of 64 KiB."""
    directory.mkdir(parents=True)
    script, go, done = (directory / name for name in ("talker.py", "go", "done"))
    script.write_text(TALKER)
    command = [PYTHON, str(script), how, str(go), str(done), str(LINE - 1), str(LINES)]
    system = system_class(directory / "system", [command])
    with running(system.manager()) as manager:
        wait_for(lambda: _talker(manager, script) is not None, f"{system.name} runs the service")
        time.sleep(0.3)
        own = {manager, *descendants(manager)} - {_talker(manager, script)}
        before = sum(cpu_time(pid) for pid in own if pid)
        go.touch()
        wait_for(done.exists, f"{system.name}: all is written")
        wait_for(lambda: system.logged().count(b"\n") >= LINES, f"{system.name}: all is logged")
        cpu = sum(cpu_time(pid) for pid in own if pid) - before
        kept = system.logged().count(b"x" * (LINE - 1) + b"\n")
    return Rate(float(done.read_text()), cpu, LINES - kept)


def _talker(manager: int, script: Path) -> int | None:
    for pid in descendants(manager):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                words = file.read().split(b"\0")
        except OSError:
            continue
        if len(words) > 1 and words[1] == str(script).encode():
            return pid
    return None
