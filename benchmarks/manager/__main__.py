"""How the manager compares with its peers: `python -m benchmarks.manager`.

Prints Markdown. See benchmarks/README.md for what the figures mean.
"""

from __future__ import annotations

import argparse
import os
import platform
import signal
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.manager import report
from benchmarks.manager.lifecycle import Life, live
from benchmarks.manager.logging_rate import MEBIBYTES, Rate, flood
from benchmarks.manager.processes import PYTHON, Cost, run
from benchmarks.manager.readiness import until_ready
from benchmarks.manager.systems.circus import Circus
from benchmarks.manager.systems.honcho import Honcho
from benchmarks.manager.systems.pyroctl import FirstPyroctl, Pyroctl
from benchmarks.manager.systems.scanners import S6, Runit
from benchmarks.manager.systems.supervisor import Supervisor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.manager.system import System

SYSTEMS: tuple[type[System], ...] = (Pyroctl, FirstPyroctl, Supervisor, Circus, Honcho, Runit, S6)
START_AIM = 0.7
"""Our start, as a part of circus'."""
PARTS = ("lives", "logs", "readiness")
IMPORT = "`python -c 'import Pyro5.api'`"
SERVICES = {
    "name server": [PYTHON, "-m", "pyro_names", "-p", "0"],
    "event service": [PYTHON, "-m", "pyro_events", "-N", "-p", "0"],
}


class Runs:
    """Measures all systems in turn, round by round, so that disturbances meet all alike."""

    def __init__(self, scratch: Path, systems: Sequence[type[System]], rounds: int) -> None:
        self._scratch = scratch
        self._systems = systems
        self._rounds = rounds
        self._number = 0

    def lives(self, count: int, idle: float) -> dict[str, list[Life]]:
        """Run `count` services under each manager from start to end."""
        found: dict[str, list[Life]] = defaultdict(list)
        for _ in range(self._rounds):
            for system in self._systems:
                found[system.name].append(live(system, self._directory(system), count, idle))
        return found

    def logs(self) -> dict[tuple[str, str], list[Rate]]:
        """Flood each manager that takes its services' output."""
        found: dict[tuple[str, str], list[Rate]] = defaultdict(list)
        for _ in range(self._rounds):
            for how, words in (("print", "line by line, `print`"), ("write", "blocks of 64 KiB")):
                for system in self._systems:
                    if system.logs:
                        rate = flood(system, self._directory(system), how)
                        found[words, system.name].append(rate)
        return found

    def readiness(self) -> dict[str, list[Cost]]:
        """Start our services, and what every Pyro5 program pays before it has done anything."""
        found: dict[str, list[Cost]] = defaultdict(list)
        for _ in range(self._rounds + 1):
            found[IMPORT].append(run([PYTHON, "-c", "import Pyro5.api"]))
            for name, command in SERVICES.items():
                found[name].append(until_ready(command))
        return {name: costs[1:] for name, costs in found.items()}  # the first filled the caches

    def _directory(self, system: type[System]) -> Path:
        self._number += 1
        return self._scratch / f"{system.name}{self._number}"


def main() -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.manager", description=__doc__)
    add = parser.add_argument
    add("--rounds", type=int, default=5, help="how often each thing is measured [default: 5]")
    add("--services", type=int, default=100, help="how many run in a life [default: 100]")
    add("--idle", type=float, default=20.0, help="seconds in which nothing happens [default: 20]")
    add("--only", default=",".join(PARTS), help="parts, separated by commas [default: all]")
    add("--systems", default="", help="managers, separated by commas [default: all]")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # lets every context end its programs
    wanted = set(options.systems.split(",")) if options.systems else {s.name for s in SYSTEMS}
    systems = [s for s in SYSTEMS if s.name in wanted and all(map(os.path.exists, s.needs))]
    parts = set(options.only.split(","))
    machine = f"Python {platform.python_version()}, {len(os.sched_getaffinity(0))} cores"
    print(f"{options.rounds} interleaved rounds, medians; {machine}")
    with tempfile.TemporaryDirectory() as scratch:
        runs = Runs(Path(scratch), systems, options.rounds)
        if "lives" in parts:
            found = runs.lives(options.services, options.idle)
            print("\n" + report.lives(found, options.services, options.idle))
            for ours in (Pyroctl.name, FirstPyroctl.name):
                print("\n" + report.start_against(found, ours, Circus.name, START_AIM))
        if "logs" in parts:
            print("\n" + report.rates(runs.logs(), MEBIBYTES))
        if "readiness" in parts:
            print("\n" + report.readiness(runs.readiness(), IMPORT))


if __name__ == "__main__":
    main()
