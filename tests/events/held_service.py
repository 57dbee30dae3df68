"""An event service whose socket, state directory and control channel are held by the test.

A manager does this; here is as little of it as a test needs.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Self

from pyro_events import Publisher
from pyroctl.manager.process.ring import HeldRing
from tests.events.service_harness import read_line
from tests.harness import is_alive

_LAUNCH = """
import os, sys
os.dup2(int(os.environ.pop("HELD")), 3)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES="pyroctl")
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


class HeldService:
    """Starts and replaces processes of one event service; nothing of it is left after `close`."""

    def __init__(
        self,
        directory: Path,
        *arguments: str,
        path: Path | None = None,
        state: bool = True,
        holds: bool = True,
        ring_bytes: int | None = None,
    ) -> None:
        self.directory = directory
        self.state = directory / "state"
        self.state.mkdir(mode=0o700)
        self.keeps_state = state
        self.arguments = arguments
        self.log = directory / "log"
        self.listening: socket.socket | None = None
        if path is not None and not holds:
            self.arguments = ("-N", "-q", "-n", f"./u:{path}", *arguments)
            self.uri = f"PYRO:Pyro.EventService@./u:{path}"
        elif path is None:
            self.listening = socket.create_server(("127.0.0.1", 0), backlog=1024)
            self.uri = f"PYRO:Pyro.EventService@localhost:{self.listening.getsockname()[1]}"
        else:
            self.listening = socket.socket(socket.AF_UNIX)
            self.listening.bind(str(path))
            self.listening.listen(1024)
            self.uri = f"PYRO:Pyro.EventService@./u:{path}"
        self.ring = None if ring_bytes is None else HeldRing.make(ring_bytes)
        self.process: subprocess.Popen[bytes] | None = None
        self.control: socket.socket | None = None
        self.pids: list[int] = []
        self.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Start a process, and wait until it is ready."""
        self.become(self.spawn())

    def spawn(self, **environment: str) -> tuple[subprocess.Popen[bytes], socket.socket]:
        """Start a process; returns it and our end of its control channel."""
        control, theirs = socket.socketpair()
        control.settimeout(20)
        number = fcntl.fcntl(theirs, fcntl.F_DUPFD, 100)
        held = fcntl.fcntl(self.listening or theirs, fcntl.F_DUPFD, 100)
        env = {k: v for k, v in os.environ.items() if not k.startswith(("PYRO_", "PYROCTL_"))}
        env |= {"PYROCTL_CONTROL_FD": str(number), "HELD": str(held)} | environment
        if self.keeps_state:
            env["PYROCTL_STATE_DIR"] = str(self.state)
        passed = [number, held]
        if self.ring is not None:
            env["PYROCTL_RING_FD"] = str(self.ring.fileno())
            passed.append(self.ring.fileno())
        options = self.arguments or ("-N", "-q")
        command = [sys.executable, "-m", "pyro_events", *options]
        if self.listening is not None:
            command[1:1] = ["-S", "-c", _LAUNCH]
        with theirs, self.log.open("ab") as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                env=env,
                pass_fds=passed,
            )
        os.close(number)
        os.close(held)
        self.pids.append(process.pid)
        return process, control

    def become(self, started: tuple[subprocess.Popen[bytes], socket.socket]) -> None:
        """Wait until that process is ready; it is the service from then on."""
        self.process, self.control = started
        self.lines = self.control.makefile("rb")
        assert self.process.stdout is not None
        line = read_line(self.process.stdout)  # type: ignore[arg-type] # it wants the descriptor
        assert line.startswith(self.uri), (line, self.log.read_text())
        Path(self.meeting_place).unlink(missing_ok=True)

    @property
    def meeting_place(self) -> str:
        """Where a handover is offered."""
        return str(self.state / "handover")

    def handover(self) -> None:
        """Replace the process without any client noticing."""
        assert self.ask("offer_handover", path=self.meeting_place)["offered"]
        started = self.spawn(PYROCTL_TAKE_OVER=self.meeting_place)
        self.see_off()
        self.become(started)

    def see_off(self) -> None:
        """Wait for the orderly end of the process."""
        assert self.process is not None
        status = self.process.wait(20)
        self._release()
        assert status == 0, self.log.read_text()

    def ask(self, ask: str, **parameters: object) -> Any:
        assert self.control is not None
        self.control.sendall(json.dumps({"id": 1, "ask": ask, **parameters}).encode() + b"\n")
        reply = json.loads(self.lines.readline())
        assert "error" not in reply, reply
        return reply["answer"]

    def kill(self) -> None:
        """Kill -9, without starting again."""
        self.end(signal.SIGKILL)

    def end(self, number: signal.Signals) -> int:
        """Send a signal and wait for the end; returns the exit status."""
        assert self.process is not None
        self.process.send_signal(number)
        status = self.process.wait(10)
        self._release()
        return status

    def _release(self) -> None:
        assert self.process is not None
        assert self.process.stdout is not None
        assert self.control is not None
        self.process.stdout.close()
        self.lines.close()
        self.control.close()
        self.process = None

    def crash(self) -> None:
        """Kill -9, and start again."""
        self.kill()
        self.start()

    def restart(self) -> dict[str, Any]:
        """Replace the process as planned; returns what the old one left."""
        left: dict[str, Any] = self.ask("retire", reason="restart")
        assert self.end(signal.SIGTERM) == 0
        self.start()
        return left

    def await_return(self, seconds: float = 20) -> dict[str, Any]:
        found: dict[str, Any] = self.ask("returned", wait=seconds)
        assert found["back"] == found["expected"], (found, self.log.read_text())
        return found

    def close(self) -> None:
        if self.process is not None:
            status = self.end(signal.SIGTERM)
            assert status == 0, self.log.read_text()
        if self.listening is not None:
            self.listening.close()
        if self.ring is not None:
            self.ring.close()
        assert not any(map(is_alive, self.pids))
        assert list(self.state.iterdir()) == []


class Flood:
    """Publishes numbers on a thread, at full speed in bursts, until `stop`, which returns how many.

    An incident at a random moment comes either during a burst or while a queue drains.
    """

    BURST = 0.02
    PAUSE = 0.1

    def __init__(self, uri: str, subjects: str = "flood", **options: Any) -> None:
        self.publisher = Publisher(uri, timeout=30, patience=None, **options)
        self.subject = subjects
        self.count = 0
        self._stop = False
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop:
            end = time.monotonic() + self.BURST
            while not self._stop and time.monotonic() < end:
                self.publisher.post(self.subject, self.count)
                self.count += 1
            time.sleep(self.PAUSE)

    def stop(self) -> int:
        self._stop = True
        self._thread.join(30)
        assert not self._thread.is_alive()
        self.publisher.close()
        return self.count

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop = True
        self._thread.join(30)
        with contextlib.suppress(Exception):
            self.publisher.close()
