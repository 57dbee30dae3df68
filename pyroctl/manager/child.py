"""One run of a service: a process in a session of its own, watched until nothing of it is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from pyroctl.core.outcome import Outcome, from_returncode
from pyroctl.manager import sessions
from pyroctl.manager.control_link import ControlLink
from pyroctl.manager.output import OutputPipe
from pyroctl.manager.pidfd import ProcessWatch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pyroctl.core.spec import ServiceSpec
    from pyroctl.kinds.launch import Launch

SHIM = os.path.join(os.path.dirname(__file__), "shim.py")


class Child:
    """A running process and what belongs to it: its output, its control socket.

    All methods and callbacks run in the event loop's thread. PDEATHSIG needs that thread to live
    as long as the manager.

    `listen_fd` is a listening socket that it inherits.

    Callbacks: `on_output(bytes)`, and `on_errors(bytes)` if its stderr is to be kept apart;
    `on_exit(outcome)` once, when the process has ended and its output was read; `on_gone()` once,
    after that, when no process of its session is left.
    """

    def __init__(
        self,
        spec: ServiceSpec,
        launch: Launch,
        env: Mapping[str, str],
        on_output: Callable[[bytes], None],
        on_exit: Callable[[Outcome], None],
        on_gone: Callable[[], None],
        *,
        listen_fd: int | None = None,
        on_errors: Callable[[bytes], None] | None = None,
    ) -> None:
        self._on_exit = on_exit
        self._on_gone = on_gone
        self._control = ControlLink() if launch.controlled else None
        self._outputs: list[OutputPipe] = []
        try:
            self._outputs.append(OutputPipe(on_output))
            if on_errors is not None:
                self._outputs.append(OutputPipe(on_errors))
            self._process = _popen(spec, launch, env, self._outputs, self._control, listen_fd)
        except BaseException:
            self._close_outputs()
            if self._control is not None:
                self._control.close()
            raise
        finally:
            for output in self._outputs:
                output.release_remote()
            if self._control is not None:
                self._control.release_remote()
        self.pid = self._process.pid
        for output in self._outputs:
            output.start()
        ProcessWatch(self.pid, self._process_ended)

    async def ask(self, question: str, patience: float, **parameters: object) -> Any:
        """Ask the service something over its control socket; raises OSError when it can't answer.

        TimeoutError is an OSError; what the service refuses is one, too.
        """
        if self._control is None:
            raise OSError("it has no control socket")
        return await self._control.ask(question, patience, parameters)

    def terminate(self, number: int) -> None:
        """Send the stop signal to every process of the session."""
        sessions.send_signal(self.pid, number)

    def kill(self) -> None:
        """End every process of the session for certain."""
        sessions.send_signal(self.pid, signal.SIGKILL)

    def _process_ended(self) -> None:
        returncode = self._process.wait()
        self._drain_outputs()
        self._on_exit(from_returncode(returncode))
        self._await_session_end()

    def _drain_outputs(self) -> None:
        """Read the last words before anybody is told that the process has ended."""
        for output in self._outputs:
            output.drain()

    def _await_session_end(self) -> None:
        """Wait for the rest of the session, one process at a time, without polling."""
        for pid in sessions.members(self.pid):
            try:
                ProcessWatch(pid, self._await_session_end)
            except ProcessLookupError:
                continue
            return
        self._close()
        self._on_gone()

    def _close_outputs(self) -> None:
        for output in self._outputs:
            output.close()

    def _close(self) -> None:
        self._drain_outputs()
        self._close_outputs()
        if self._control is not None:
            self._control.close()


def _popen(
    spec: ServiceSpec,
    launch: Launch,
    env: Mapping[str, str],
    outputs: Sequence[OutputPipe],
    control: ControlLink | None,
    listen_fd: int | None,
) -> subprocess.Popen[bytes]:
    settings = shim_settings(spec, launch)
    inherited = []
    if listen_fd is not None:
        settings.append(f"listen={listen_fd}")
        inherited.append(listen_fd)
    if control is not None:
        inherited.append(control.remote.fileno())
        env = {**env, "PYROCTL_CONTROL_FD": str(control.remote.fileno())}
    return subprocess.Popen(
        [sys.executable, "-I", "-S", SHIM, *settings, "--", *launch.argv],
        stdin=subprocess.DEVNULL,
        stdout=outputs[0].remote,
        stderr=outputs[-1].remote,
        env=env,
        cwd="/",
        start_new_session=True,
        pass_fds=inherited,
    )


def shim_settings(spec: ServiceSpec, launch: Launch) -> list[str]:
    """Give the shim's arguments for what runs as the service."""
    settings = [f"parent={os.getpid()}"]
    settings += [f"limit={name}:{value}" for name, value in spec.limits.items()]
    if spec.nice is not None:
        settings.append(f"nice={spec.nice}")
    if spec.group is not None:
        settings.append(f"group={spec.group}")
    if spec.user is not None:
        settings.append(f"user={spec.user}:{spec.group or ''}")
    if spec.umask is not None:
        settings.append(f"umask={spec.umask}")
    return [*settings, f"cwd={launch.cwd}"]
