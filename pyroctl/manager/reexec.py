"""Replaces the manager's program by exec(2): another version, but the same process.

Services stay its children, so their exit codes stay known, and every descriptor stays open: the
lock, the control socket where clients wait, the pipe of the cleanup process, and the connections to
services. The next program reads everything else from a file in memory, whose descriptor is in the
environment.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from pyroctl.core.record import stamp
from pyroctl.errors import PyroctlError, Reported

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, MutableMapping

    from pyroctl.core.spec import Deployment

VARIABLE = "PYROCTL_HANDOFF_FD"
CHECK_TIMEOUT = 30.0
"""Seconds that the new program has to show that it can start."""
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)
"""They stay blocked until the new program can handle them."""


@dataclass(frozen=True, slots=True)
class ReexecState:
    """What one program leaves to the next, as JSON, so the fields must keep their names.

    Descriptors are numbers.
    """

    lock: int
    control: int
    guard: dict[str, Any]
    """See CleanupClient.snapshot."""
    nonce: str
    """Identifies the next program to the command that requested it."""
    records: dict[str, Any] = field(default_factory=dict)
    fds: dict[str, int] = field(default_factory=dict)
    """Named as in the descriptor store."""
    unfinished: dict[str, list[str]] = field(default_factory=dict)
    """The unfinished lines of each service, on stdout and on stderr."""
    pending: list[str] = field(default_factory=list)
    """Services that are still to be started."""
    lent: list[int] = field(default_factory=list)
    """Listening sockets that the manager's own manager has passed."""

    def descriptors(self) -> Iterator[int]:
        """Return all descriptors that have to stay open."""
        yield from (self.lock, self.control, self.guard["pipe"], *self.fds.values(), *self.lent)


def receive(environ: MutableMapping[str, str]) -> ReexecState | None:
    """Return what the previous program has left, None if there was none; clears the variable."""
    number = environ.pop(VARIABLE, None)
    if number is None:
        return None
    with open(int(number), encoding="utf-8") as file:
        file.seek(0)
        state = ReexecState(**json.load(file))
    for fd in state.descriptors():
        os.set_inheritable(fd, False)
    return state


def execute(state: ReexecState, environ: Mapping[str, str]) -> None:
    """Become the next program, with our own command line; return only by raising OSError.

    Call it in the main thread; all others end.
    """
    file = os.memfd_create("pyroctl-handoff", 0)
    try:
        os.write(file, json.dumps(asdict(state)).encode())
        for fd in state.descriptors():
            os.set_inheritable(fd, True)
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        arguments = [sys.executable, *sys.orig_argv[1:]]
        os.execve(sys.executable, arguments, {**environ, VARIABLE: str(file)})  # noqa: S606 - no shell
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        for fd in state.descriptors():
            os.set_inheritable(fd, False)
        os.close(file)


async def check(deployment: Deployment, stamps: Mapping[str, int]) -> str:
    """Check that the installed program can continue; return its version.

    `stamps` are those of the services' processes. Raise PyroctlError if it can't; then nothing has
    changed.
    """
    where = ["--config", deployment.file] if deployment.file is not None else []
    try:
        done = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "pyroctl.manager", "--check", *where],
            input=json.dumps({"stamps": stamps, "orphans": deployment.orphans}),
            capture_output=True,
            text=True,
            timeout=CHECK_TIMEOUT,
            check=False,
        )
        found: dict[str, Any] = json.loads(done.stdout)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _refusal(str(error)) from None
    except ValueError:
        *_, last = ["no output", *done.stderr.strip().splitlines()]
        raise _refusal(last) from None
    if found["errors"]:
        raise Reported(found["errors"], found["exit_code"])
    return str(found["version"])


def _refusal(why: str) -> PyroctlError:
    return PyroctlError(
        f"the installed program doesn't start: {why}; the old one continues",
        hint="to try it: python -m pyroctl.manager --check < /dev/null",
    )


def answer_check(deployment: Deployment, expected: Mapping[str, Any]) -> None:
    """Raise PyroctlError if we could not continue with the running services without a restart."""
    ours = {name: stamp(spec) for name, spec in deployment.services.items()}
    theirs = expected.get("stamps", ours)
    changed = [name for name in {**theirs, **ours} if ours.get(name) != theirs.get(name)]
    if changed:
        raise PyroctlError(
            f"the configuration of {', '.join(changed)} has changed since it was loaded;"
            " the old program continues",
            hint="apply the change first: pyroctl reload",
        )
    if expected.get("orphans", deployment.orphans) != deployment.orphans:
        raise PyroctlError(
            "manager.orphans has changed, which needs a new manager; the old program continues",
            hint="pyroctl shutdown, then pyroctl start",
        )
