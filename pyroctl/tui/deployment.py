"""The deployment that is shown, and commands about it that run as children."""

from __future__ import annotations

import asyncio
import ctypes
import json
import signal
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from pyroctl.errors import PyroctlError

if TYPE_CHECKING:
    from asyncio.subprocess import Process

    from pyroctl.control.protocol import Message
    from pyroctl.paths import Paths

PR_SET_PDEATHSIG = 1
"""prctl(2)"""
_libc = ctypes.CDLL(None)


class Deployment(NamedTuple):
    """What is shown; `options` select it on a command line."""

    paths: Paths
    config: str | None
    options: tuple[str, ...]
    host: str
    chosen: bool = False
    """Whether the configuration was named by an option: then the manager's must be the same."""

    @property
    def request(self) -> Message:
        """What every request to the manager contains."""
        return {"config": self.config} if self.chosen else {}

    @property
    def name(self) -> str:
        """What to call it before the manager has told its name."""
        return (
            "default"
            if self.config is None
            else self.config.rpartition("/")[2].removesuffix(".toml")
        )

    def command(self, *words: str) -> list[str]:
        """Return a command line about this deployment."""
        return [sys.executable, "-m", "pyroctl", *self.options, *words]


async def spawn(command: list[str]) -> Process:
    """Start a child whose output is read here; it ends when this process does."""
    return await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        preexec_fn=_die_with_parent,
    )


async def run(deployment: Deployment, *words: str) -> tuple[int, bytes, bytes]:
    """Run a command to its end; return its exit code and output. If cancelled, end it."""
    process = await spawn(deployment.command(*words))
    try:
        out, errors = await process.communicate()
    finally:
        await end(process)
    return await process.wait(), out, errors


async def output(deployment: Deployment, *words: str) -> list[str]:
    """Run a command, and return the lines of its output."""
    _, out, _ = await run(deployment, *words)
    return out.decode(errors="replace").splitlines()


async def envelope(deployment: Deployment, *words: str) -> dict[str, Any]:
    """Run a command with --json, and return its envelope; raises PyroctlError without one."""
    _, out, errors = await run(deployment, "--json", *words)
    try:
        found: dict[str, Any] = json.loads(out)
    except ValueError:
        told = errors.decode(errors="replace").strip().splitlines()
        raise PyroctlError(told[-1] if told else f"{' '.join(words)}: no answer") from None
    return found


async def end(process: Process) -> None:
    """End a child, and wait for that even if the waiting is cancelled: it must not be left."""
    if process.returncode is None:
        process.terminate()
    cancelled = False
    while process.returncode is None:
        try:
            await process.wait()
        except asyncio.CancelledError:
            cancelled = True
    if cancelled:
        raise asyncio.CancelledError


def _die_with_parent() -> None:
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
