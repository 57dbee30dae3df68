"""The processes of one service: the current one, its successor in a handover, and ending ones."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Protocol

from pyroctl.errors import describe
from pyroctl.manager.deployment.stop_command import StopCommand
from pyroctl.manager.process.pidfd import ProcessWatch
from pyroctl.manager.process.service_process import PriorProcess, ProcessParts, ServiceProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pyroctl.core.outcome import Outcome
    from pyroctl.core.record import UnitRecord
    from pyroctl.manager.cleanup.cleanup_client import CleanupClient
    from pyroctl.manager.cleanup.detached import DetachedProcesses
    from pyroctl.manager.process.service_process import OutputLog, StartPlan
    from pyroctl.manager.process.spawn import Passed


class Names(Protocol):
    """The names of processes in name servers; see NameRegistry."""

    def of(self, pid: int) -> list[str]:
        """Return the names that a process has."""

    def release(self, pids: Sequence[int], then: Callable[[], None]) -> None:
        """Remove the names of processes that have ended, and call `then`."""


class UnitProcesses:
    """Starts and signals the processes of the service `name`; lives in the event loop's thread.

    `current` is the service. During a handover its `successor` runs beside it, until `promote`.
    The owner assigns both; they are None again when `on_empty` is called.
    """

    def __init__(
        self,
        name: str,
        log: OutputLog,
        cleanup: CleanupClient,
        detached: DetachedProcesses,
        names: Names,
        *,
        on_ready: Callable[[ServiceProcess], None],
        on_exit: Callable[[ServiceProcess, Outcome], None],
        on_empty: Callable[[], None],
    ) -> None:
        self._name = name
        self._cleanup = cleanup
        self._detached = detached
        self._names = names
        self._on_empty = on_empty
        snapshot = detached.snapshot
        self._parts = ProcessParts(log, cleanup, snapshot, on_ready, on_exit, self._gone)
        self._log = log
        self._stop_command: StopCommand | None = None
        self._main_asked = False
        self.current: ServiceProcess | None = None
        self.successor: ServiceProcess | None = None
        self.all: list[ServiceProcess] = []
        """Every process whose session is not empty yet."""
        self._ended: list[int] = []
        """Those whose session is empty, while others are left."""

    def start(self, plan: StartPlan, passed: Passed) -> ServiceProcess:
        """Start a process; raise OSError or ValueError."""
        process = ServiceProcess(self._parts, plan, passed)
        self.all.append(process)
        self._cleanup.protect(process.pid, plan.spec.stop_timeout)
        return process

    def promote(self) -> None:
        """Make the successor the current process."""
        self.current, self.successor = self.successor, None

    def restore(
        self,
        record: UnitRecord,
        fds: Mapping[int, dict[str, int]],
        plan: Callable[[str], StartPlan],
    ) -> None:
        """Reattach the processes whose descriptors are in `fds`, by pid.

        `plan` returns how a process would start today, with that notification socket.
        """
        for entry in record.runs:
            if entry.pid not in fds:
                continue
            prior = PriorProcess(entry, fds[entry.pid])
            process = ServiceProcess(self._parts, plan(entry.notify_path), prior=prior)
            self.all.append(process)
            if entry.pid == record.run:
                self.current = process
            elif entry.pid == record.successor:
                self.successor = process

    def run_stop_command(self, command: Sequence[str], on_failed: Callable[[], None]) -> None:
        """Run a program that asks the service to end; call `on_failed` if it can't, or fails.

        The service counts as down only when the program has ended, too.
        """
        assert self.current is not None

        def ended(failed: bool) -> None:
            self._stop_command = None
            if failed:
                on_failed()
            if not self.all:
                self._await_detached()

        helpers, pid = self.current.helpers, self.current.pid
        try:
            self._stop_command = StopCommand(helpers, command, pid, self._log.note, ended)
        except (OSError, ValueError) as error:
            self._log.note(f"stop_command failed: {describe(error)}")
            on_failed()

    def terminate(self, number: int, *, main_only: bool) -> None:
        """Send the stop signal to all processes of the service, or to the main process only.

        One that ignores that signal gets it along with all others.
        """
        if self.current is not None and not self.current.ended:
            self._kill_stop_command()  # it has had its time
        if main_only:
            for process in self.all:
                process.handle.terminate_main(number)
            self._main_asked = True
            return
        if self._main_asked and self.current is not None and not self.current.ended:
            self._log.note(
                f"process {self.current.pid} doesn't end: its whole session is signalled"
            )
        for process in self.all:
            process.handle.terminate(number)
        self._detached.signal(self._name, number)

    def kill(self) -> None:
        """Kill all processes of the service."""
        self._kill_stop_command()
        for process in self.all:
            process.handle.kill()
        self._detached.signal(self._name, signal.SIGKILL)

    def found(self, waiting_for: str | None) -> str:
        """Return what was found so far instead of readiness, for people."""
        if self.current is None or waiting_for is not None:
            return f"waited for {waiting_for}"
        names = self._names.of(self.current.pid) if self.current.record.ns else ()
        ours = f"; this service has registered {', '.join(map(repr, names))}" if names else ""
        return self.current.found() + ours

    def sessions(self) -> dict[int, list[int]]:
        """Return the members of each process's session, by its pid.

        What has left the service's session counts as a member of the current one.
        """
        found = {each.pid: self._detached.snapshot.members(each.pid) for each in self.all}
        if self.current is not None:
            found.setdefault(self.current.pid, []).extend(self._detached.of(self._name))
        return found

    def _kill_stop_command(self) -> None:
        if self._stop_command is not None:
            self._stop_command.kill()

    def stop_watching(self) -> None:
        """Stop watching the processes, because another program continues with them."""
        self._kill_stop_command()
        for process in self.all:
            process.stop_watching()

    def left(self) -> tuple[int, ...]:
        """Return the pids of what the current process has left after its end."""
        assert self.current is not None
        found = {*self._detached.snapshot.members(self.current.pid), *self._detached.of(self._name)}
        return tuple(sorted(found - {self.current.pid}))

    def pids(self) -> list[int]:
        """Return the pids of all processes of the service, in whatever session."""
        found = {process.pid for process in self.all if not process.ended}
        for process in self.all:
            found.update(self._detached.snapshot.members(process.pid))
        return sorted(found.union(self._detached.of(self._name)))

    def hands_over(self) -> bool:
        """Return whether a successor is about to take over."""
        return self.successor is not None

    def detached(self) -> list[str]:
        """Describe the processes that have left the service's session."""
        return self._detached.describe(self._name)

    def _gone(self, process: ServiceProcess) -> None:
        self._cleanup.release(process.pid)
        self.all.remove(process)
        self._ended.append(process.pid)
        if not self.all:
            self._await_detached()
        else:
            self._names.release([process.pid], lambda: None)

    def _await_detached(self) -> None:
        """Wait for detached processes as well: they may hold what the next process needs."""
        for pid in self._detached.of(self._name):
            try:
                ProcessWatch(pid, self._await_detached)
            except ProcessLookupError:
                continue
            return
        if not self.all and self._stop_command is None:
            ended, self._ended = self._ended, []
            self._names.release(ended, self._emptied)

    def _emptied(self) -> None:
        self.current = self.successor = None
        self._main_asked = False
        self._on_empty()
