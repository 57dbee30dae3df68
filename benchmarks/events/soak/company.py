"""The processes of a run, and the deployment itself. All of them end with the director."""

from __future__ import annotations

import contextlib
import ctypes
import json
import multiprocessing
import os
import secrets
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.events.certificates import make_certificates
from benchmarks.events.processes import environment
from benchmarks.events.soak import actors, samples
from benchmarks.events.soak.clients import Door

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.process import BaseProcess

PATIENCE = 30.0
"""Seconds that an actor may take to get ready, or to leave."""
_PR_SET_PDEATHSIG = 1
_PYROCTL = Path(sys.executable).parent / "pyroctl"
_PAIR = """
[services.ns{suffix}]
kind = "nameserver"
port = 0
{names}
[services.es{suffix}]
kind = "eventservice"
needs = ["ns{suffix}"]
patience = 0.05
{es}
"""

# Forked from a process that has imported everything: an actor costs milliseconds, and what changes
# in the sources during a run doesn't reach it.
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["benchmarks.events.soak.actors"])


class ActorFailed(Exception):
    """An actor that should be well has died, or reports that something is wrong."""


class Actor:
    """A process that runs one of `actors`, and the pipe to it."""

    def __init__(self, actor: Callable[..., None], *args: Any) -> None:
        self._pipe, theirs = _context.Pipe()
        self._process: BaseProcess = _context.Process(
            target=actors.act, args=(theirs, actor, *args)
        )
        self._process.start()
        theirs.close()
        assert self._process.pid is not None
        self.pid = self._process.pid
        self.cpu = 0.0
        """Its processor time in seconds, known when it has ended."""

    def expect(self, word: str, patience: float = PATIENCE) -> Any:
        """Wait for that word, and return what came with it; raises ActorFailed."""
        try:
            if not self._pipe.poll(patience):
                raise ActorFailed(f"not {word} within {patience:g} s")
            received, value = self._pipe.recv()
        except (EOFError, OSError):
            raise ActorFailed(f"died before it was {word}") from None
        if received != word:
            raise ActorFailed(str(value))
        return value

    def send(self, value: Any = None) -> None:
        """Send something, unless it has died, which `expect` will report."""
        with contextlib.suppress(OSError):
            self._pipe.send(value)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    def leave(self, last_word: Any = actors.LEAVE) -> Any:
        """Ask it to leave and wait until it has; returns its report, or raises ActorFailed."""
        self.send(last_word)
        report = self.expect(actors.REPORT)
        self.cpu = samples.cpu(self.pid)
        self._process.join(PATIENCE)
        if self._process.exitcode != 0:
            raise ActorFailed(f"left with exit code {self._process.exitcode}")
        return report

    def end(self) -> None:
        """End it, whatever it does; ending it again does nothing."""
        if self._pipe.closed:
            return
        self.cpu = max(self.cpu, samples.cpu(self.pid))
        self._process.kill()
        self._process.join()
        self._process.close()
        self._pipe.close()


class Lab:
    """A running deployment: for each way to know each other an event service and a name server."""

    def __init__(self, root: Path, manager: subprocess.Popen[str], tls: str) -> None:
        self._root = root
        self._manager = manager
        ident = (root / "ident").read_text(encoding="ascii")
        rows = {row["name"]: row for row in _rows(root)}
        self.doors = {
            "es": Door(rows["es"]["uri"]),
            "es-tls": Door(rows["es-tls"]["uri"], tls),
            "es-tls-ident": Door(rows["es-tls-ident"]["uri"], tls, ident),
        }
        """Where clients go, by event service."""
        self.pids = {name: int(row["pid"]) for name, row in rows.items()}
        self.pids["manager"] = manager.pid

    def ended(self) -> list[str]:
        """Return which processes are not there any more."""
        return [name for name, pid in self.pids.items() if not Path(f"/proc/{pid}/fd/0").exists()]

    def stop(self) -> int:
        """Stop all in order, and return the exit code; raises subprocess.TimeoutExpired."""
        self._manager.terminate()
        return self._manager.wait(PATIENCE)

    def faults(self) -> list[str]:
        """Return the first lines of the logs that report internal errors."""
        logs = [*sorted((self._root / "logs").glob("*.log")), self._root / "out"]
        lines = [
            f"{log.stem}: {line}"
            for log in logs
            for line in log.read_text(encoding="utf-8", errors="replace").splitlines()
        ]
        return [line for line in lines if "Traceback" in line or "internal error" in line][:5]


def _rows(root: Path) -> list[dict[str, Any]]:
    """Return the services' rows of the status; all of them run."""
    status = subprocess.run(
        [_PYROCTL, "--root", root, "status", "--json"],
        env=environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    rows: list[dict[str, Any]] = json.loads(status.stdout)["data"]["services"]
    if any(row["state"] != "running" for row in rows):
        raise RuntimeError(f"not all services run: {(root / 'out').read_text(encoding='utf-8')}")
    return rows


@contextlib.contextmanager
def lab(root: Path) -> Iterator[Lab]:
    """Run the installed pyroctl while the context lasts, in a session that Ctrl-C doesn't reach."""
    tls = make_certificates(root)
    ident = root / "ident"
    ident.touch(0o600)
    ident.write_text(f"soak {secrets.token_hex(16)}", encoding="ascii")
    secured = f'tls = "both"\ntls_certificate = "{tls}/cert.pem"\n'
    pairs = {"": "", "-tls": secured, "-tls-ident": f'{secured}ident_file = "{ident}"\n'}
    text = "".join(
        _PAIR.format(suffix=suffix, names=secured if suffix else "", es=es)
        for suffix, es in pairs.items()
    )
    (root / "pyroctl.toml").write_text(text, encoding="utf-8")
    ready = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    ready.bind(str(root / "notify"))
    ready.settimeout(PATIENCE)
    with (root / "out").open("w", encoding="utf-8") as out:
        process = subprocess.Popen(
            [_PYROCTL, "--root", root, "run", "--no-logs"],
            env=environment() | {"NOTIFY_SOCKET": str(root / "notify")},
            stdin=subprocess.DEVNULL, stdout=out, stderr=out, text=True, start_new_session=True,
            preexec_fn=_die_with_parent,  # noqa: PLW1509 - there are no threads
        )  # fmt: skip
    try:
        with ready:
            while b"READY=1" not in ready.recv(4096):  # sd_notify(3)
                pass
        yield Lab(root, process, tls)
    finally:
        process.kill()  # what it has started ends with it
        process.wait()


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
