"""How a service is asked whether it is alive, and when one that isn't counts as hung. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyroctl.core.spec import (
    CommandOptions,
    CommandReady,
    NameReady,
    NotifyReady,
    ObjectOptions,
    PortReady,
)

if TYPE_CHECKING:
    from pyroctl.core.spec import Readiness, ServiceSpec, WatchdogSpec

GRACE = 1.0
"""Seconds: a time-out that we notice later than that says more about us than about the service."""


@dataclass(frozen=True, slots=True)
class AskCheck:
    """Ask over the control socket: our own kinds know best whether they serve."""


@dataclass(frozen=True, slots=True)
class PyroCheck:
    """Connect and ping as a Pyro client does."""

    name: str | None = None
    """The name that leads to the object; None: it is the service's own."""


@dataclass(frozen=True, slots=True)
class PortCheck:
    """Connect to a TCP port."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class CommandCheck:
    """Run a program; 0 means alive."""

    command: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SilenceCheck:
    """Don't ask: it says WATCHDOG=1 by itself, as services of systemd do."""

    period: float
    """Seconds for which it may be silent."""


Check = AskCheck | PyroCheck | PortCheck | CommandCheck | SilenceCheck


def check_of(spec: ServiceSpec) -> Check | None:
    """Give how a service is found to be alive, None if nobody looks.

    What the watchdog itself says comes first, then what made the service ready.
    """
    watchdog = spec.watchdog
    if watchdog is None:
        return None
    if watchdog.command is not None:
        return CommandCheck(watchdog.command)
    if watchdog.port is not None:
        return PortCheck(watchdog.host, watchdog.port)
    match spec.options:
        case ObjectOptions():
            return PyroCheck()
        case CommandOptions(ready=ready):
            return _check_as_ready(ready, watchdog)
    return AskCheck()


def _check_as_ready(ready: Readiness, watchdog: WatchdogSpec) -> Check | None:
    match ready:
        case NotifyReady():
            return SilenceCheck(watchdog.every * watchdog.failures)
        case NameReady(name):
            return PyroCheck(name)
        case PortReady(port, host):
            return PortCheck(host, port)
        case CommandReady(command):
            return CommandCheck(command)
    return None  # such a configuration is refused


def count_missed(missed: int, waited: float, spec: WatchdogSpec, *, answered: bool) -> int:
    """Give how many questions in a row are unanswered now, `missed` before this one.

    `waited` is how long, in seconds, this one was open until we noticed that there is no answer.
    If that is much longer than the time-out, we were stopped ourselves, with the whole machine
    probably: nobody can be blamed for that time, and everybody begins anew.
    """
    if answered or waited > spec.timeout + GRACE:
        return 0
    return missed + 1


def verdict(missed: int, spec: WatchdogSpec) -> str | None:
    """Say why the service is to be ended, or None if it isn't."""
    if missed < spec.failures:
        return None
    plural = "s" if missed > 1 else ""
    if spec.port is not None or spec.command is not None:
        return f"failed {missed} check{plural}"
    return f"did not answer {missed} ping{plural}"
