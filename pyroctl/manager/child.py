"""One run of a service: a process in a session of its own, watched until nothing of it is left."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from pyroctl.core.outcome import Outcome, from_returncode
from pyroctl.manager import sessions
from pyroctl.manager.control_link import ControlLink
from pyroctl.manager.pidfd import ProcessWatch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pyroctl.core.spec import ServiceSpec
    from pyroctl.kinds.launch import Launch

SHIM = os.path.join(os.path.dirname(__file__), "shim.py")
READ_SIZE = 1 << 18


class Child:
    """A running process and what belongs to it: its output pipe, its control socket.

    All methods and callbacks run in the event loop's thread. PDEATHSIG needs that thread to live
    as long as the manager.

    Callbacks: `on_output(bytes)`; `on_exit(outcome)` once, when the process has ended and its
    output was read; `on_gone()` once, after that, when no process of its session is left.
    """

    def __init__(
        self,
        spec: ServiceSpec,
        launch: Launch,
        env: Mapping[str, str],
        on_output: Callable[[bytes], None],
        on_exit: Callable[[Outcome], None],
        on_gone: Callable[[], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._on_output = on_output
        self._on_exit = on_exit
        self._on_gone = on_gone
        self._control = ControlLink() if launch.controlled else None
        self._output, output_end = os.pipe()
        try:
            self._process = _popen(spec, launch, env, output_end, self._control)
        except BaseException:
            os.close(self._output)
            if self._control is not None:
                self._control.close()
            raise
        finally:
            os.close(output_end)
            if self._control is not None:
                self._control.release_remote()
        self.pid = self._process.pid
        os.set_blocking(self._output, False)
        self._loop.add_reader(self._output, self._read_output)
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

    def _read_output(self) -> None:
        data = self._read_once()
        if data:
            self._on_output(data)
        elif data is not None:
            self._close_output()

    def _read_once(self) -> bytes | None:
        """Give what the pipe has: b"" at its end, None when there is nothing at the moment."""
        try:
            return os.read(self._output, READ_SIZE)
        except BlockingIOError:
            return None

    def _process_ended(self) -> None:
        returncode = self._process.wait()
        self._drain_output()
        self._on_exit(from_returncode(returncode))
        self._await_session_end()

    def _drain_output(self) -> None:
        """Read the last words before anybody is told that the process has ended."""
        for _ in range(64):  # other processes of the session may write on for ever
            data = self._read_once() if self._output >= 0 else None
            if not data:
                return
            self._on_output(data)

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

    def _close_output(self) -> None:
        if self._output >= 0:
            self._loop.remove_reader(self._output)
            os.close(self._output)
            self._output = -1

    def _close(self) -> None:
        self._drain_output()
        self._close_output()
        if self._control is not None:
            self._control.close()


def _popen(
    spec: ServiceSpec,
    launch: Launch,
    env: Mapping[str, str],
    output: int,
    control: ControlLink | None,
) -> subprocess.Popen[bytes]:
    if control is not None:
        env = {**env, "PYROCTL_CONTROL_FD": str(control.remote.fileno())}
    return subprocess.Popen(
        [sys.executable, "-I", "-S", SHIM, *_shim_settings(spec, launch), "--", *launch.argv],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        env=env,
        cwd="/",
        start_new_session=True,
        pass_fds=() if control is None else (control.remote.fileno(),),
    )


def _shim_settings(spec: ServiceSpec, launch: Launch) -> list[str]:
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
