"""What tests of real processes share: the installed command, conditions, a check for leftovers."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pyroctl.control.client import call
from pyroctl.errors import ManagerNotRunning, NoAnswer
from pyroctl.paths import deployment_paths

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pyroctl.paths import Paths

BIN = Path(sys.executable).parent
DEADLINE = 20.0
MARK = "DEPLOYMENT_UNDER_TEST"

T = TypeVar("T")


def eventually(condition: Callable[..., T], what: str = "", deadline: float = DEADLINE) -> T:
    """Wait until the condition returns something true, and return that.

    `Callable[..., T]` because mypy cannot infer `lambda each=each: …` for `Callable[[], T]`.
    """
    end = time.monotonic() + deadline
    while not (value := condition()):
        assert time.monotonic() < end, f"never happened: {what or condition}"
        time.sleep(0.01)
    return value


def reaches(file: Path, count: int) -> None:
    """Wait until a file's size, which counts something, has reached `count`."""
    eventually(lambda: file.exists() and file.stat().st_size >= count, f"{count} times in {file}")


def is_alive(pid: int) -> bool:
    """Return whether the process runs; a zombie does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(b")")[2].split()[0] not in {b"Z", b"X"}


def marked_processes(mark: str) -> dict[int, str]:
    """Find the living processes that descend from a test, by a mark in their environment."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if f"{MARK}={mark}".encode() in (entry / "environ").read_bytes().split(b"\0"):
                    command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                    if is_alive(int(entry.name)):
                        found[int(entry.name)] = command
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                pass
    return found


class Deployment:
    """A deployment below a directory of its own, driven by the installed command."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.mark = uuid.uuid4().hex
        self.was_killed = False
        self.place = ["--root", str(root)]
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(("PYRO_", "PYROCTL_"))}
        self.env |= {MARK: self.mark, "COLUMNS": "100"}

    def configure(self, toml: str) -> Path:
        path = self.root / "pyroctl.toml"
        path.write_text(toml)
        return path

    @contextlib.contextmanager
    def popen(self, *args: str) -> Iterator[subprocess.Popen[str]]:
        """Run a command beside the test; it doesn't outlive the block."""
        with subprocess.Popen(
            [BIN / "pyroctl", *self.place, *args],
            env=self.env,
            cwd=self.root,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def run(self, *args: str, code: int | None = 0) -> subprocess.CompletedProcess[str]:
        """Run a command to its end; `code` is the exit code it must have (None: any)."""
        with self.popen(*args) as process:
            out, err = process.communicate(timeout=50)
        assert code is None or process.returncode == code, (
            f"{args} exited with {process.returncode}\n{out}\n{err}\n{self.manager_log()}"
        )
        assert "\nTraceback" not in f"\n{err}", err  # of the command; it quotes those of services
        return subprocess.CompletedProcess(args, process.returncode, out, err)

    def json(self, *args: str, code: int | None = 0) -> dict[str, Any]:
        envelope: dict[str, Any] = json.loads(self.run(*args, "--json", code=code).stdout)
        return envelope

    def paths(self) -> Paths:
        return deployment_paths(None, str(self.root), self.env)

    def ask(self, do: str, *services: str) -> dict[str, Any]:
        """Send the manager a request without starting a command; raises ManagerNotRunning."""
        reply: dict[str, Any] = call(self.paths(), do, {"services": list(services)})
        return reply

    def status(self, *services: str) -> dict[str, Any]:
        """Return the data of `status --json`, cheaply enough for waiting in a loop."""
        try:
            found: dict[str, Any] = self.ask("status", *services)["data"]
        except (ManagerNotRunning, NoAnswer):
            found = self.json("status", *services, code=None)["data"]
        return found

    def service(self, name: str) -> dict[str, Any]:
        """Return a service's row of the status."""
        (row,) = self.status(name)["services"]
        assert isinstance(row, dict)
        return row

    def listens(self) -> bool:
        """Return whether the manager accepts commands."""
        return (self.root / "run" / "control.sock").exists()

    def state(self, name: str) -> str:
        return str(self.service(name)["state"])

    def manager_pid(self) -> int:
        return int(self.status()["manager"]["pid"])

    def kill_manager(self) -> None:
        """Kill the manager with SIGKILL, which leaves only the files of its sockets behind."""
        os.kill(self.manager_pid(), signal.SIGKILL)
        self.was_killed = True

    def manager_log(self) -> str:
        path = Path(self.paths().manager_log)
        return path.read_text() if path.exists() else ""

    def processes(self) -> dict[int, str]:
        return marked_processes(self.mark)

    def close(self) -> None:
        """Stop everything, and check that no process and no socket is left."""
        try:
            self.ask("shutdown")
        except (ManagerNotRunning, NoAnswer):
            self.run("shutdown")  # it also stops services without a manager
        eventually(lambda: not self.processes(), f"all ended: {self.processes()}", 8)
        left = [p for d in ("run", "state") for p in (self.root / d).rglob("*") if p.is_socket()]
        assert self.was_killed or not left, left
