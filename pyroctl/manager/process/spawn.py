"""Starts processes as services: in a session of their own, through the shim where necessary."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from pyroctl.manager.process import ring
from pyroctl.manager.process.control_link import ControlLink

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyroctl.core.spec import ServiceSpec
    from pyroctl.kinds import Launch

SHIM = (sys.executable, "-I", "-S", os.path.join(os.path.dirname(__file__), "shim.py"))
FOLLOW = "parent={}"
"""The shim's argument for a process that must not outlive us; the last one, as a change of user
undoes it."""


class Passed(NamedTuple):
    """Descriptors that a process inherits from its service's resources."""

    listen: int | None = None
    """The listening socket."""
    ring: int | None = None
    """Memory that outlives the process."""


NOTHING: Final = Passed()


class Pipes(Protocol):
    """The pipes that a process writes to."""

    def remotes(self) -> tuple[int, int]:
        """Return the descriptors for the process' stdout and stderr."""

    def release_remotes(self) -> None:
        """Close the ends of the process here."""

    def start(self, pid: int, /) -> None:
        """Begin to read what the process `pid` writes."""

    def drain(self, then: Callable[[], None]) -> None:
        """Call `then` when everything written so far has been read."""

    def close(self) -> None:
        """Stop reading."""

    def descriptors(self) -> dict[str, int]:
        """Return our ends that are open, by name."""


def spawn(
    spec: ServiceSpec, launch: Launch, pipes: Pipes, passed: Passed
) -> tuple[subprocess.Popen[bytes], ControlLink | None]:
    """Start the process of a service, which inherits what is `passed` to it.

    Return it and our end of its control socket. Raise OSError or ValueError; then nothing is left
    of the process or its pipes.
    """
    control = ControlLink() if launch.controlled else None
    try:
        return _popen(spec, launch, pipes, control, passed), control
    except BaseException:
        pipes.close()
        if control is not None:
            control.close()
        raise
    finally:
        pipes.release_remotes()
        if control is not None:
            control.release_remote()


def _popen(
    spec: ServiceSpec,
    launch: Launch,
    pipes: Pipes,
    control: ControlLink | None,
    passed: Passed,
) -> subprocess.Popen[bytes]:
    stdout, stderr = pipes.remotes()
    env = dict(launch.env)
    inherited = [fd for fd in passed if fd is not None]
    if passed.ring is not None:
        env[ring.VARIABLE] = str(passed.ring)
    if control is not None:
        inherited.append(control.remote.fileno())
        env["PYROCTL_CONTROL_FD"] = str(control.remote.fileno())
    start: partial[subprocess.Popen[bytes]] = partial(
        subprocess.Popen,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        env=env,
        start_new_session=True,
        pass_fds=inherited,
    )
    needs_shim = spec.limits or (spec.nice, spec.group, spec.user) != (None, None, None)
    if passed.listen is None and not needs_shim:  # the shim costs 10 ms
        with contextlib.suppress(OSError):  # the shim tries again, and reports the error in the log
            umask = -1 if spec.umask is None else spec.umask
            return start(launch.argv, cwd=launch.cwd, umask=umask)
    settings = shim_settings(spec, launch)
    if not launch.outlives:
        settings.append(FOLLOW.format(os.getpid()))
    if passed.listen is not None:
        settings.append(f"listen={passed.listen}")
    return start([*SHIM, *settings, "--", *launch.argv], cwd="/")


def shim_settings(spec: ServiceSpec, launch: Launch) -> list[str]:
    """Return the shim's arguments for a program that runs as the service."""
    limits = [f"limit={name}:{value}" for name, value in spec.limits.items()]
    user = None if spec.user is None else f"{spec.user}:{spec.group or ''}"
    found = {"nice": spec.nice, "group": spec.group, "user": user, "umask": spec.umask}
    identity = [f"{key}={value}" for key, value in found.items() if value is not None]
    return [*limits, *identity, f"cwd={launch.cwd}"]
