"""A deployment under load, in which faults happen, and the check after each of them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from Pyro5.errors import PyroError

from benchmarks.events.processes import free_port
from pyroctl.errors import PyroctlError
from tests.faults.clients import Clients, call
from tests.faults.fault import NotSurvived
from tests.faults.invariant import Seen, violations
from tests.faults.security import secured
from tests.harness import Deployment, is_alive

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.faults.fault import Effect
    from tests.faults.security import Mode

HERE = Path(__file__).parent
SERVICES = ("ns", "es", "counter", "ticker")
OBJECT = "lab.counter"
RECOVERY = 30.0
"""Seconds within which all has to be well again."""
_RESTART = "restart_delay = 0.05\nrestart_max_delay = 0.5\nstart_limit = 0"
_CONFIGURATION = """\
[manager]
orphans = "{orphans}"

[services.ns]
{restart}
kind = "nameserver"
host = "localhost"
port = {port}
{security.others}

[services.es]
{restart}
kind = "eventservice"
needs = ["ns"]
{security.es}

[services.counter]
{restart}
kind = "object"
object = "programs:Counter"
path = ["{here}"]
pyro_name = "{name}"
needs = ["ns"]
{security.others}

[services.ticker]
{restart}
kind = "command"
command = {ticker}
ready = {{ log = "^ticking" }}
"""


class Scene:
    """The deployment, its clients, and what was seen of them; a context manager."""

    def __init__(self, root: Path, orphans: str, mode: Mode = "plain") -> None:
        root.mkdir(parents=True)
        self.security = secured(mode, root)
        self.deployment = Deployment(root)
        self.deployment.env |= {"PYTHONPATH": str(HERE.parents[1])}
        self.port = free_port()
        self.name_server = f"localhost:{self.port}"
        self.configuration = _CONFIGURATION.format(
            orphans=orphans, restart=_RESTART, port=self.port, here=HERE, name=OBJECT,
            security=self.security, ticker=json.dumps([sys.executable, str(HERE / "programs.py")]),
        )  # fmt: skip
        self.adopts = orphans == "adopt"
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            stack.callback(self._end)
            self.configure()
            self.deployment.run("start")
            self.clients = stack.enter_context(Clients(self.name_server, self.security))
            self._await_events()
            self.first = self.before = self.look(measure=True)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def configure(self, more: str = "") -> None:
        """Write the configuration, with a further text at its end."""
        self.deployment.configure(self.configuration + more)

    def start(self) -> None:
        """Start what doesn't run, as a user does after a crash of the manager."""
        self.deployment.run("start")

    # Processes

    def pids(self) -> Mapping[str, int]:
        """Return the processes of the manager, its helpers and the services, as far as they run."""
        found = {}
        for pid, command in self.deployment.processes().items():
            role = _role(command)
            if role:
                found[role] = pid
        return found

    def kill(self, role: str, number: signal.Signals = signal.SIGKILL) -> bool:
        """Send a signal to a process; returns whether there was one."""
        pid = self.pids().get(role)
        if pid is None:
            return False
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
            self.deployment.was_killed |= role == "manager" and number == signal.SIGKILL
            return True
        return False

    def killed(self, role: str) -> None:
        """Kill a process, and wait until it has ended."""
        pid = self.pids().get(role)
        if pid is not None and self.kill(role):
            while is_alive(pid):
                time.sleep(0.005)

    # The check

    def look(self, *, measure: bool = False) -> Seen:
        """Return what is seen now; with `measure`, what the processes use, too."""
        rows = {row["name"]: row for row in self.deployment.status()["services"]}
        commands = self.deployment.processes()
        pids = {role: pid for pid, command in commands.items() if (role := _role(command))}
        known = {row["pid"] for row in rows.values()}
        strange = [
            f"{pid}: {command}"
            for pid, command in commands.items()
            if (_role(command) in (None, *SERVICES) and pid not in known)
            or pid != pids.get(_role(command) or "", pid)
        ]
        return Seen(
            {name: row["state"] for name, row in rows.items()},
            pids,
            {name: row["restarts"] for name, row in rows.items()},
            tuple(strange),
            tuple(_zombies(set(commands))),
            {role: _rss_kib(pid) for role, pid in pids.items()} if measure else None,
            {role: _descriptors(pid) for role, pid in pids.items()} if measure else None,
        )

    def check(self, effect: Effect) -> tuple[int, float]:
        """Wait until everything holds; returns the events that were lost and told, and seconds.

        The seconds are those until then, or the longest time without events, if that was longer.
        Raises NotSurvived.
        """
        began = time.monotonic()
        lost = sum(count for count, _, _ in self.clients.lost().values())
        mark = self.clients.source.sent
        while wrong := self._wrong(effect, mark):
            if time.monotonic() - began > RECOVERY:
                raise NotSurvived("; ".join(wrong))
            time.sleep(0.05)
        now = self.clients.lost().values()
        seconds = max(time.monotonic() - began, self.clients.silence())
        return sum(count for count, _, _ in now) - lost, seconds

    def _wrong(self, effect: Effect, mark: int) -> list[str]:
        try:
            if wrong := violations(self.first, self.before, self.look(), effect):
                return wrong
            self.clients.plain.subscribe()
            call(OBJECT, self.name_server)
            if behind := self.clients.behind(mark + 1):
                return [f"{kind} gets no events" for kind in behind]
            now = self.look(measure=True)
        except (PyroError, PyroctlError, OSError, AssertionError) as error:
            return [f"{type(error).__name__}: {error}"]
        wrong = violations(self.first, self.before, now, effect) + self.clients.violations(
            forgets=effect.forgets
        )
        if not wrong:
            self.before = now
        return wrong

    def _await_events(self) -> None:
        end = time.monotonic() + RECOVERY
        while self.clients.behind(50):
            assert time.monotonic() < end, self.clients.behind(50)
            time.sleep(0.05)

    def _end(self) -> None:
        for pid in self.deployment.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        self.deployment.close()

    def logs(self) -> str:
        """Return the ends of all logs, for a fault that was not survived."""
        texts = []
        for path in sorted((self.deployment.root / "logs").glob("*.log")):
            lines = path.read_text(errors="replace").splitlines()
            lines = [line for line in lines if "tick " not in line]
            texts.append(f"--- {path.name}\n" + "\n".join(lines[-40:]))
        return "\n".join(texts)


def _role(command: str) -> str | None:
    """Return what a process of the deployment is, by its command line."""
    roles = {
        "pyro_names": "ns",
        "pyro_events": "es",
        "pyro_host": "counter",
        "programs.py": "ticker",
        "cleanup_process.py": "cleanup",
        "pyroctl.manager.fdstore.server": "fdstore",
        "pyroctl.manager ": "manager",
    }
    return next((role for part, role in roles.items() if part in f"{command} "), None)


def _zombies(parents: set[int]) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, parent = path.read_bytes().rpartition(b")")[2].split()[:2]
            if state == b"Z" and int(parent) in parents:
                found.append(int(path.parent.name))
    return found


def _rss_kib(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE") // 1024


def _descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208 - their number is enough


def services(scene: Scene) -> dict[str, Any]:
    """Return the rows of the status, by name."""
    return {row["name"]: row for row in scene.deployment.status()["services"]}
