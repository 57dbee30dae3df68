"""How quick the manager's commands and its services are: `python -m benchmarks.manager`.

Prints Markdown. See README.md beside this file for what the figures mean.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

BIN = Path(sys.executable).parent
PYTHON = sys.executable
ROUNDS = 25
MANY = 20
WAIT = 30.0

NAMES_AND_EVENTS = """
[services.ns]
kind = "nameserver"
port = 0

[services.es]
kind = "eventservice"
needs = ["ns"]
"""

SLEEPER = """
[services.s{number}]
kind = "command"
command = ["sleep", "100000"]
"""

SUPERVISOR = """
[supervisord]
nodaemon = true
logfile = {directory}/log
pidfile = {directory}/pid
childlogdir = {directory}

[unix_http_server]
file = {directory}/socket

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface

[supervisorctl]
serverurl = unix://{directory}/socket
"""

SUPERVISED = """
[program:s{number}]
command = sleep 100000
startsecs = 0
"""


@dataclass(frozen=True)
class Cost:
    """Seconds of one run."""

    wall: float
    cpu: float


@dataclass
class Subject:
    """Something that is measured once a round."""

    name: str
    argv: Sequence[str]
    until_ready: bool = False
    """A service, measured until it says ready; otherwise a command, until its end."""
    costs: list[Cost] = field(default_factory=list)

    def measure(self) -> None:
        """Run it once."""
        self.costs.append(start_service(self.argv) if self.until_ready else run(self.argv))

    @property
    def wall(self) -> float:
        """Median of the elapsed time, in seconds."""
        return median(cost.wall for cost in self.costs)

    @property
    def cpu(self) -> float:
        """Median of the processor time, in seconds."""
        return median(cost.cpu for cost in self.costs)


def environment() -> dict[str, str]:
    """Give ours without what would configure the programs that are measured."""
    ours = ("PYRO", "NOTIFY_SOCKET", "PYTHON")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


def run(argv: Sequence[str]) -> Cost:
    """Measure a command until its end; it must succeed."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    started = time.perf_counter()
    pid = os.posix_spawn(
        argv[0], list(argv), environment(), file_actions=[(os.POSIX_SPAWN_DUP2, devnull, 1)]
    )
    _, status, usage = os.wait4(pid, 0)
    wall = time.perf_counter() - started
    os.close(devnull)
    if status != 0:
        sys.exit(f"{' '.join(argv)} failed: exit code {os.waitstatus_to_exitcode(status)}")
    return Cost(wall, usage.ru_utime + usage.ru_stime)


def start_service(argv: Sequence[str]) -> Cost:
    """Measure a service from nothing until it says READY=1, then end it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        name = f"pyroctl-bench-{os.getpid()}"
        sock.bind("\0" + name)
        sock.settimeout(WAIT)
        started = time.perf_counter()
        service = spawn(argv, NOTIFY_SOCKET="@" + name)
        try:
            while b"READY=1" not in sock.recv(4096):
                pass
            wall = time.perf_counter() - started
            return Cost(wall, cpu_time(service.pid))
        finally:
            service.terminate()
            service.wait(WAIT)


def spawn(argv: Sequence[str], **environ: str) -> subprocess.Popen[bytes]:
    """Start a program whose output nobody wants."""
    devnull = subprocess.DEVNULL
    return subprocess.Popen(argv, env=environment() | environ, stdout=devnull, stderr=devnull)


def cpu_time(pid: int) -> float:
    """Give the processor time that a process has used so far, its ended threads included.

    The number of the clock is made as clock_getcpuclockid(3) makes it on Linux.
    """
    return time.clock_gettime((~pid << 3) | 2)


@contextlib.contextmanager
def pyroctl(directory: Path, toml: str) -> Iterator[list[str]]:
    """Run a deployment; gives the command that asks for its status."""
    directory.mkdir()
    file = directory / "pyroctl.toml"
    file.write_text(toml)
    command = [str(BIN / "pyroctl"), "--root", str(directory / "root"), "-c", str(file)]
    try:
        if spawn([*command, "start"]).wait(WAIT) != 0:
            sys.exit(f"{' '.join(command)} start failed")
        yield [*command, "status"]
    finally:
        spawn([*command, "shutdown"]).wait(WAIT)


@contextlib.contextmanager
def supervisor(directory: Path, count: int) -> Iterator[list[str]]:
    """Run supervisor with as many services; gives the command that asks for its status."""
    directory.mkdir()
    file = directory / "supervisord.conf"
    programs = "".join(SUPERVISED.format(number=number) for number in range(count))
    file.write_text(SUPERVISOR.format(directory=directory) + programs)
    daemon = spawn([str(BIN / "supervisord"), "-c", str(file)])
    try:
        status = [str(BIN / "supervisorctl"), "-c", str(file), "status"]
        deadline = time.monotonic() + WAIT
        while spawn(status).wait(WAIT) != 0:
            if time.monotonic() > deadline:
                sys.exit("supervisor doesn't come up")
            time.sleep(0.1)
        yield status
    finally:
        daemon.terminate()
        daemon.wait(WAIT)


def measure(rounds: int, subjects: Sequence[Subject]) -> None:
    """Run all subjects once a round, so that what disturbs the machine disturbs all alike."""
    for number in range(rounds + 1):
        for subject in subjects:
            subject.measure()
        if number == 0:  # the first round fills the caches
            for subject in subjects:
                subject.costs.clear()


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Give a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def ms(seconds: float) -> str:
    """Show milliseconds."""
    return f"{seconds * 1000:.0f} ms"


def commands_table(pairs: Sequence[tuple[str, Subject, Subject]], bare: Subject) -> str:
    """Compare the two managers' status commands."""
    head = [
        "services",
        "`pyroctl status`",
        "`supervisorctl status`",
        "ratio (elapsed)",
        "ratio (CPU)",
    ]
    rows = [
        [
            what,
            f"{ms(ours.wall)} ({ms(ours.cpu)} CPU)",
            f"{ms(theirs.wall)} ({ms(theirs.cpu)} CPU)",
            f"**{ours.wall / theirs.wall:.2f}**",
            f"{ours.cpu / theirs.cpu:.2f}",
        ]
        for what, ours, theirs in pairs
    ]
    note = f"`python -c pass` alone takes {ms(bare.wall)} ({ms(bare.cpu)} CPU).\n"
    return table(head, rows) + "\n" + note


def services_table(services: Sequence[Subject], imported: Subject) -> str:
    """Show what services cost from nothing until ready, beyond importing Pyro5."""
    head = ["until ready", "elapsed", "CPU", "elapsed beyond import", "CPU beyond import"]
    rows = [
        [
            subject.name,
            ms(subject.wall),
            ms(subject.cpu),
            ms(subject.wall - imported.wall),
            f"**{ms(subject.cpu - imported.cpu)}**",
        ]
        for subject in services
    ]
    own = ["`python -c 'import Pyro5.api'`", ms(imported.wall), ms(imported.cpu), "–", "–"]
    return table(head, [own, *rows])


def main() -> None:
    """Measure everything and print two tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.manager", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"default: {ROUNDS}")
    rounds = parser.parse_args().rounds
    bare = Subject("python", [PYTHON, "-c", "pass"])
    imported = Subject("import", [PYTHON, "-c", "import Pyro5.api"])
    services = [
        Subject("name server", [PYTHON, "-m", "pyro_names", "-p", "0"], until_ready=True),
        Subject("event service", [PYTHON, "-m", "pyro_events", "-N", "-p", "0"], until_ready=True),
    ]
    sleepers = "".join(SLEEPER.format(number=number) for number in range(MANY))
    with contextlib.ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        pairs = [
            (
                what,
                Subject("pyroctl", stack.enter_context(pyroctl(scratch / f"p{count}", toml))),
                Subject(
                    "supervisor", stack.enter_context(supervisor(scratch / f"s{count}", count))
                ),
            )
            for what, count, toml in (
                ("2 (name server, event service)", 2, NAMES_AND_EVENTS),
                (f"{MANY} (sleep)", MANY, sleepers),
            )
        ]
        commands = [subject for _, *pair in pairs for subject in pair]
        measure(rounds, [bare, *commands, imported, *services])
    cores = len(os.sched_getaffinity(0))
    print(f"{rounds} interleaved rounds, medians; Python {sys.version.split()[0]}, {cores} cores\n")
    print(commands_table(pairs, bare))
    print(services_table(services, imported))


if __name__ == "__main__":
    main()
