"""How a service is checked for being alive, and when it counts as hung. Pure."""

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
"""Seconds: a timeout noticed later than that means that the manager itself was stopped."""


@dataclass(frozen=True, slots=True)
class AskCheck:
    """Ask over the control socket: our own kinds know best whether they serve."""


@dataclass(frozen=True, slots=True)
class PyroCheck:
    """Connect and ping as a Pyro client does."""

    name: str | None = None
    """The name of the object; None for the service's own object."""


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
    """Wait for WATCHDOG=1, which the service sends on its own, as for systemd."""

    period: float
    """Seconds that it may be silent."""


Check = AskCheck | PyroCheck | PortCheck | CommandCheck | SilenceCheck


def check_of(spec: ServiceSpec) -> Check | None:
    """Return how a service is checked, None if it isn't.

    The watchdog's own setting has precedence over the way in which the service becomes ready.
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
    return None  # the configuration is checked for that


def count_missed(missed: int, waited: float, spec: WatchdogSpec, *, answered: bool) -> int:
    """Return how many checks in a row have failed now, after `missed` before this one.

    `waited` is how many seconds this one took until we noticed that there was no answer. If that is
    much longer than the timeout, the manager was stopped, probably with the whole machine: that
    time proves nothing, and counting starts again.
    """
    if answered or waited > spec.timeout + GRACE:
        return 0
    return missed + 1


def verdict(missed: int, spec: WatchdogSpec) -> str | None:
    """Return why the service has to be ended, None if it doesn't."""
    if missed < spec.failures:
        return None
    plural = "s" if missed > 1 else ""
    if spec.port is not None or spec.command is not None:
        return f"failed {missed} check{plural}"
    return f"did not answer {missed} ping{plural}"
