"""The processes of a run, and the event service itself. All of them end with the director."""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.events.processes import environment, first_line
from benchmarks.events.soak import actors, samples

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.process import BaseProcess

PATIENCE = 30.0
"""Seconds that an actor may take to get ready, or to leave."""
_PR_SET_PDEATHSIG = 1

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


class Service:
    """A running `es`."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self._process = process
        self._log = log
        try:
            self.uri = first_line(process).split()[0]
        except RuntimeError as error:
            raise RuntimeError(f"{error}\n{log.read_text(encoding='utf-8')}") from None
        self.pid = process.pid

    @property
    def port(self) -> int:
        """Return the TCP port."""
        return int(self.uri.rpartition(":")[2])

    def exit_code(self) -> int | None:
        """Return how it ended, None while it runs."""
        return self._process.poll()

    def stop(self) -> int:
        """Stop it in order, and return its exit code; raises subprocess.TimeoutExpired."""
        self._process.terminate()
        return self._process.wait(PATIENCE)

    def faults(self) -> list[str]:
        """Return the first lines of its log that report internal errors."""
        lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()
        return [line for line in lines if "Traceback" in line or "internal error" in line][:5]


@contextlib.contextmanager
def service(directory: Path) -> Iterator[Service]:
    """Run the installed `es` while the context lasts, in a session that Ctrl-C doesn't reach."""
    log = directory / "es.log"
    es = Path(sys.executable).parent / "es"
    with log.open("w", encoding="utf-8") as stream:
        process = subprocess.Popen(
            [es, "-N", "-p", "0", "--patience", "0.05", "-q"],
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stream,
            text=True,
            start_new_session=True,
            preexec_fn=_die_with_parent,  # noqa: PLW1509 - there are no threads
        )
    try:
        yield Service(process, log)
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
