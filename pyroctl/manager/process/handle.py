"""One run of a service: a process in a session of its own, watched until nothing of it is left."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from pyroctl.core.outcome import outcome_of
from pyroctl.manager.process import sessions
from pyroctl.manager.process.control_link import ControlLink
from pyroctl.manager.process.pidfd import ProcessWatch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pyroctl.core.outcome import Outcome
    from pyroctl.core.spec import ServiceSpec
    from pyroctl.kinds.launch import Launch

SHIM = os.path.join(os.path.dirname(__file__), "shim.py")
FOLLOW = "parent={}"
"""The shim's argument for what must not outlive us; the last, since a change of user undoes it."""


class Pipes(Protocol):
    """What a child writes to."""

    def remotes(self) -> tuple[int, int]:
        """Give what the child gets as stdout and stderr."""

    def release_remotes(self) -> None:
        """Close the child's ends here."""

    def start(self, pid: int, /) -> None:
        """Begin to read; the child has that pid."""

    def drain(self, then: Callable[[], None]) -> None:
        """Call `then` when what is there now has been read."""

    def close(self) -> None:
        """Read no more."""

    def descriptors(self) -> dict[str, int]:
        """Give our ends, of those that are open."""


class Process(Protocol):
    """A process; the standard library's, or one that another manager has started."""

    pid: int

    def wait(self) -> int | None:
        """Give the return code once it has ended, None if that can't be known."""


class ProcessHandle:
    """A running process and what belongs to it: its output, its control socket.

    All methods and callbacks run in the event loop's thread. PDEATHSIG, which the shim asks for,
    needs that thread to live as long as the manager.

    Callbacks: `on_exit(outcome)` once, when the process has ended and its output was read;
    `on_gone()` once, after that, when no process of its session is left.
    """

    def __init__(
        self,
        process: Process,
        pipes: Pipes,
        control: ControlLink | None,
        on_exit: Callable[[Outcome], None],
        on_gone: Callable[[], None],
        *,
        census: sessions.SessionSnapshot,
    ) -> None:
        self._process = process
        self._census = census
        self._pipes = pipes
        self._control = control
        self._on_exit = on_exit
        self._on_gone = on_gone
        self.pid = process.pid
        pipes.start(self.pid)
        try:
            ProcessWatch(self.pid, self._process_ended)
        except ProcessLookupError:  # it is none that we have started, and is gone
            asyncio.get_running_loop().call_soon(self._process_ended)

    async def ask(self, question: str, patience: float, **parameters: object) -> Any:
        """Ask the service something over its control socket; raises OSError when it can't answer.

        TimeoutError is an OSError; what the service refuses is one, too.
        """
        if self._control is None:
            raise OSError("it has no control socket")
        return await self._control.ask(question, patience, parameters)

    def terminate(self, number: int) -> None:
        """Send the stop signal to every process of the session."""
        self._census.send_signal(self.pid, number)

    def kill(self) -> None:
        """End every process of the session for certain."""
        sessions.send_signal(self.pid, signal.SIGKILL)

    def descriptors(self) -> dict[str, int]:
        """Give our ends of what connects us with it."""
        control = {} if self._control is None else {"control": self._control.fileno()}
        return {**self._pipes.descriptors(), **control}

    def _process_ended(self) -> None:
        outcome = outcome_of(self._process.wait())
        self._pipes.drain(lambda: self._tell_end(outcome))  # its last words come first

    def _tell_end(self, outcome: Outcome) -> None:
        self._on_exit(outcome)
        self._await_session_end()

    def _await_session_end(self) -> None:
        """Wait for the rest of the session, one process at a time, without polling."""
        for pid in self._census.members(self.pid):
            try:
                ProcessWatch(pid, self._await_session_end)
            except ProcessLookupError:
                continue
            return
        self._pipes.drain(self._close)

    def _close(self) -> None:
        self._pipes.close()
        if self._control is not None:
            self._control.close()
        self._on_gone()


def spawn(
    spec: ServiceSpec,
    launch: Launch,
    env: Mapping[str, str],
    pipes: Pipes,
    on_exit: Callable[[Outcome], None],
    on_gone: Callable[[], None],
    *,
    census: sessions.SessionSnapshot,
    listen_fd: int | None = None,
) -> ProcessHandle:
    """Start a process; raises OSError or ValueError, and then nothing is left of it.

    `listen_fd` is a listening socket that it inherits.
    """
    control = ControlLink() if launch.controlled else None
    try:
        process = _popen(spec, launch, env, pipes, control, listen_fd)
    except BaseException:
        pipes.close()
        if control is not None:
            control.close()
        raise
    finally:
        pipes.release_remotes()
        if control is not None:
            control.release_remote()
    return ProcessHandle(process, pipes, control, on_exit, on_gone, census=census)


def _popen(
    spec: ServiceSpec,
    launch: Launch,
    env: Mapping[str, str],
    pipes: Pipes,
    control: ControlLink | None,
    listen_fd: int | None,
) -> subprocess.Popen[bytes]:
    stdout, stderr = pipes.remotes()
    inherited = []
    if listen_fd is not None:
        inherited.append(listen_fd)
    if control is not None:
        inherited.append(control.remote.fileno())
        env = {**env, "PYROCTL_CONTROL_FD": str(control.remote.fileno())}
    start: partial[subprocess.Popen[bytes]] = partial(
        subprocess.Popen,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        env=env,
        start_new_session=True,
        pass_fds=inherited,
    )
    if listen_fd is None and not needs_shim(spec):
        with contextlib.suppress(OSError):  # the shim tries again, and says why in the log
            umask = -1 if spec.umask is None else spec.umask
            return start(launch.argv, cwd=launch.cwd, umask=umask)
    settings = shim_settings(spec, launch)
    if not launch.outlives:
        settings.append(FOLLOW.format(os.getpid()))
    if listen_fd is not None:
        settings.append(f"listen={listen_fd}")
    return start([sys.executable, "-I", "-S", SHIM, *settings, "--", *launch.argv], cwd="/")


def needs_shim(spec: ServiceSpec) -> bool:
    """Tell whether only the process itself can do what is configured; the shim costs 10 ms."""
    return bool(spec.limits) or (spec.nice, spec.group, spec.user) != (None, None, None)


def shim_settings(spec: ServiceSpec, launch: Launch) -> list[str]:
    """Give the shim's arguments for what runs as the service."""
    settings = [f"limit={name}:{value}" for name, value in spec.limits.items()]
    if spec.nice is not None:
        settings.append(f"nice={spec.nice}")
    if spec.group is not None:
        settings.append(f"group={spec.group}")
    if spec.user is not None:
        settings.append(f"user={spec.user}:{spec.group or ''}")
    if spec.umask is not None:
        settings.append(f"umask={spec.umask}")
    return [*settings, f"cwd={launch.cwd}"]
