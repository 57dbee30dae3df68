"""How a service is checked for being alive, and when it counts as hung. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyroctl.core.spec import (
    CommandOptions,
    CommandReady,
    LogReady,
    NameReady,
    NotifyReady,
    ObjectOptions,
    PortReady,
    TaskOptions,
)
from pyroctl.printable import brief

if TYPE_CHECKING:
    from pyroctl.core.spec import Readiness, ServiceSpec, WatchdogSpec

LONGEST = 100
"""Characters of an answer that is shown."""
GRACE = 1.0
"""Seconds; a timeout that we notice later than this was our own delay, not the service's."""


@dataclass(frozen=True, slots=True)
class AskCheck:
    """Ask over the control socket, which our own kinds of services answer."""


@dataclass(frozen=True, slots=True)
class PyroCheck:
    """Connect and ping as a Pyro client does."""

    name: str | None = None
    """The name of the object; None: it is the service's own."""


@dataclass(frozen=True, slots=True)
class CallCheck:
    """Call a method of a Pyro object as a client does."""

    method: str
    expect: Any
    """None: any answer will do."""
    name: str | None = None
    """The name of the object; None: it is the service's own."""

    def complaint(self, answer: Any) -> str:
        """Return what is wrong with an answer; "" if it is the expected one."""
        if self.expect is None or answer == json.loads(json.dumps(self.expect)):
            return ""
        return f"returned {brief(json.dumps(answer), LONGEST)}, not {json.dumps(self.expect)}"


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
    """Don't ask: it sends WATCHDOG=1 by itself, like a systemd service."""

    period: float
    """Seconds for which it may be silent."""


Check = AskCheck | PyroCheck | CallCheck | PortCheck | CommandCheck | SilenceCheck


def check_of(spec: ServiceSpec) -> Check | None:
    """Return how a service is checked, or None if it isn't.

    The watchdog's own port or command comes first, then what made the service ready.
    """
    watchdog = spec.watchdog
    if watchdog is None:
        return None
    if watchdog.command is not None:
        return CommandCheck(watchdog.command)
    if watchdog.port is not None:
        return PortCheck(watchdog.host, watchdog.port)
    if watchdog.call is not None:
        return _call_check(spec, watchdog.call, watchdog.expect)
    return _check_of_kind(spec, watchdog)


def _check_of_kind(spec: ServiceSpec, watchdog: WatchdogSpec) -> Check | None:
    match spec.options:
        case ObjectOptions():
            return PyroCheck()
        case CommandOptions(ready=ready):
            return _check_as_ready(ready, watchdog)
        case TaskOptions():
            return None
    return AskCheck()


def _call_check(spec: ServiceSpec, method: str, expect: Any) -> CallCheck | None:
    match spec.options:
        case CommandOptions(ready=NameReady(name)):
            return CallCheck(method, expect, name)
        case ObjectOptions() | CommandOptions(ready=LogReady() | NotifyReady()):
            return CallCheck(method, expect)
    return None  # the configuration's check rejects this


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
    return None  # the configuration's check rejects this


def count_missed(missed: int, waited: float, spec: WatchdogSpec, *, answered: bool) -> int:
    """Return the number of consecutive failed checks, given that of before this check.

    `waited` is the time in seconds until we noticed that the answer is missing. If that is much
    longer than the timeout, we were stopped ourselves, probably with the whole machine; that time
    doesn't count, and counting starts again.
    """
    if answered or waited > spec.timeout + GRACE:
        return 0
    return missed + 1


def verdict(missed: int, spec: WatchdogSpec, said: str = "") -> str | None:
    """Return why the service is unhealthy, or None; `said` is what was wrong with the answer."""
    if missed < spec.failures:
        return None
    plural = "s" if missed > 1 else ""
    if spec.call is not None:
        return f"{spec.call}() {said or 'did not answer'} ({missed} time{plural})"
    if spec.port is not None or spec.command is not None:
        return f"failed {missed} check{plural}"
    return f"did not answer {missed} ping{plural}"
