"""Kinds `command` and `task`: any program."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pyroctl.core.key_types import (
    Address,
    Command,
    Filled,
    FixedPort,
    Host,
    Interval,
    Live,
    Regex,
    Seconds,
    Span,
    Times,
    TypeName,
    Zone,
)


@dataclass(frozen=True, slots=True)
class NotifyReady:
    """Ready when the service sends READY=1 to NOTIFY_SOCKET."""


@dataclass(frozen=True, slots=True)
class DelayReady:
    """Ready after running for this long."""

    delay: Seconds = 0.5


@dataclass(frozen=True, slots=True)
class PortReady:
    """Ready when a TCP connection to this port succeeds."""

    port: FixedPort
    host: Host = "localhost"


@dataclass(frozen=True, slots=True)
class LogReady:
    """Ready when a line of the service's output matches the regular expression (`re.search`).

    A group that is a PYRO: URI is the service's address; without groups, a URI in that line is.
    """

    log: Regex


@dataclass(frozen=True, slots=True)
class NameReady:
    """Ready when this name is registered in the name server and its object answers."""

    pyro_name: Filled
    ns: Address | None = None
    """None: the name server that the service itself finds in its environment."""


@dataclass(frozen=True, slots=True)
class CommandReady:
    """Ready when this command exits with 0; it is repeated `every` seconds after it ended.

    It runs like the service: with the same environment, directory, user and limits.
    """

    command: Command
    every: Span = 0.2


Readiness = NotifyReady | DelayReady | PortReady | LogReady | NameReady | CommandReady


@dataclass(frozen=True, slots=True)
class CommandOptions:
    """Kind `command`: any program."""

    command: Command
    ready: Annotated[Readiness, TypeName("Ready")] = DelayReady()


@dataclass(frozen=True, slots=True)
class TaskOptions:
    """Kind `task`: a program that runs to its end, once or again and again."""

    command: Command
    every: Live[Interval | None] = None
    """Seconds from one start to the next; it also runs when it is started."""
    at: Live[Times] = ()
    """Local times at which it runs."""
    timezone: Live[Zone | None] = None
    """The time zone of `at`. None: the machine's."""
    run_timeout: Live[Span | None] = None
    """Maximum duration of a run; what takes longer has failed."""

    @property
    def scheduled(self) -> bool:
        """Whether it runs again by itself."""
        return self.every is not None or bool(self.at)


Program = CommandOptions | TaskOptions
"""What knows nothing of us."""
