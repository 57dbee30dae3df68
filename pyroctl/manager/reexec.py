"""Replaces the manager's program by exec(2): another version of it, but the same process.

Services stay its children, so their exit codes stay known, and every descriptor stays open: the
lock, the control socket in which clients wait meanwhile, the guard's pipe, and what connects us
with the services. What else the next program has to know, it reads from a file in memory whose
descriptor is in the environment.
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
    from collections.abc import Iterable, Iterator, Mapping, MutableMapping

    from pyroctl.core.spec import Deployment
    from pyroctl.manager.deployment.unit import Unit

VARIABLE = "PYROCTL_HANDOFF_FD"
CHECK_TIMEOUT = 30.0
"""Seconds that the new program has to show that it could begin."""
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)
"""They wait until the new program can take them."""


@dataclass(frozen=True, slots=True)
class Handoff:
    """What one program leaves to the next; descriptors are numbers."""

    lock: int
    control: int
    guard: dict[str, Any]
    """See Guardian.hand_off."""
    nonce: str
    """By what the command knows that the next program is there."""
    records: dict[str, Any] = field(default_factory=dict)
    fds: dict[str, int] = field(default_factory=dict)
    """By the names that the keeper would use."""
    unfinished: dict[str, list[str]] = field(default_factory=dict)
    """The beginnings of lines that services have written so far: of stdout, of stderr."""
    pending: list[str] = field(default_factory=list)
    """What is still to be started as soon as it can be."""
    lent: list[int] = field(default_factory=list)
    """Listening sockets that our own manager has passed to us."""

    def descriptors(self) -> Iterator[int]:
        """Give all descriptors that have to stay open."""
        yield from (self.lock, self.control, self.guard["pipe"], *self.fds.values(), *self.lent)


def receive(environ: MutableMapping[str, str]) -> Handoff | None:
    """Give what the program before us has left, once; None if there was none."""
    number = environ.pop(VARIABLE, None)
    if number is None:
        return None
    with open(int(number), encoding="utf-8") as file:
        file.seek(0)
        handoff = Handoff(**json.load(file))
    for fd in handoff.descriptors():
        os.set_inheritable(fd, False)
    return handoff


def leave(handoff: Handoff, environ: Mapping[str, str]) -> None:
    """Become the next program, with our own command line; raises OSError, and else never returns.

    For the main thread; other threads end.
    """
    file = os.memfd_create("pyroctl-handoff", 0)
    try:
        os.write(file, json.dumps(asdict(handoff)).encode())
        for fd in handoff.descriptors():
            os.set_inheritable(fd, True)
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        arguments = [sys.executable, *sys.orig_argv[1:]]
        os.execve(sys.executable, arguments, {**environ, VARIABLE: str(file)})  # noqa: S606 - no shell
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        for fd in handoff.descriptors():
            os.set_inheritable(fd, False)
        os.close(file)


async def check(deployment: Deployment, units: Iterable[Unit]) -> str:
    """Let the program that is installed now show that it can go on; gives its version.

    Raises PyroctlError if it can't; nothing has changed then.
    """
    where = ["--config", deployment.file] if deployment.file is not None else []
    expected = {unit.name: _stamp_of(unit) for unit in units}
    try:
        done = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "pyroctl.manager", "--check", *where],
            input=json.dumps({"stamps": expected, "orphans": deployment.orphans}),
            capture_output=True,
            text=True,
            timeout=CHECK_TIMEOUT,
            check=False,
        )
        found: dict[str, Any] = json.loads(done.stdout)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _refusal(str(error)) from None
    except ValueError:
        *_, last = ["it says nothing", *done.stderr.strip().splitlines()]
        raise _refusal(last) from None
    if found["errors"]:
        raise Reported(found["errors"], found["exit_code"])
    return str(found["version"])


def _stamp_of(unit: Unit) -> int:
    return unit.run.stamp if unit.run is not None else stamp(unit.spec)


def _refusal(why: str) -> PyroctlError:
    return PyroctlError(
        f"the program that is installed now doesn't start: {why}; the old one goes on",
        hint="try it: python -m pyroctl.manager --check < /dev/null",
    )


def answer_check(deployment: Deployment, expected: Mapping[str, Any]) -> None:
    """Raise PyroctlError if we couldn't go on with what is running, without a restart."""
    ours = {name: stamp(spec) for name, spec in deployment.services.items()}
    theirs = expected.get("stamps", ours)
    changed = [name for name in {**theirs, **ours} if ours.get(name) != theirs.get(name)]
    if changed:
        raise PyroctlError(
            f"the configuration of {', '.join(changed)} has changed since it was loaded;"
            " the old program goes on",
            hint="apply that first: pyroctl reload",
        )
    if expected.get("orphans", deployment.orphans) != deployment.orphans:
        raise PyroctlError(
            "manager.orphans has changed, which needs a new manager; the old program goes on",
            hint="pyroctl shutdown, then pyroctl start",
        )
