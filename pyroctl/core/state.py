"""What a service's life is made of: its states, what can happen to it, and what is done about it.

How they go together is the table in `pyroctl.core.lifecycle`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyroctl.core.outcome import Outcome


class State(StrEnum):
    """Where a service is in its life; the words of `status`."""

    STOPPED = "stopped"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    BACKOFF = "backoff"
    EXITED = "exited"
    FAILED = "failed"


SETTLED = frozenset({State.STOPPED, State.EXITED, State.FAILED})
"""The states that a service leaves only when it is told to."""


# --- events: what can happen to a service -------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Start:
    """Somebody wants it up."""


@dataclass(frozen=True, slots=True)
class Stop:
    """Somebody wants it down; `why` says what for, if it was no user."""

    why: str = ""


@dataclass(frozen=True, slots=True)
class Restart:
    """Somebody wants a fresh process, whether one is there or not; `why` as above."""

    why: str = ""


@dataclass(frozen=True, slots=True)
class Ready:
    """The service says that it can serve."""


@dataclass(frozen=True, slots=True)
class Exited:
    """The process ended; others of its session may still be there."""

    outcome: Outcome


@dataclass(frozen=True, slots=True)
class SessionEmpty:
    """No process of its session is left."""


@dataclass(frozen=True, slots=True)
class Timeout:
    """The timer that was armed last ran out."""


@dataclass(frozen=True, slots=True)
class SpawnFailed:
    """The system refused to create the process."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unhealthy:
    """It lives, but isn't well: it doesn't answer any more, or takes more than it may."""

    reason: str
    answers: bool = False
    """Whether it would still hear the stop signal."""


@dataclass(frozen=True, slots=True)
class Replaced:
    """Another process, started beside the old one to take over from it, is the service now.

    `ready`: it has said that it can serve. Otherwise the old process ended first, and it will say
    so in a moment.
    """

    ready: bool


Event = (
    Start
    | Stop
    | Restart
    | Ready
    | Exited
    | SessionEmpty
    | Timeout
    | SpawnFailed
    | Unhealthy
    | Replaced
)


# --- effects: what the shell has to do ----------------------------------------------------------


class Effect(StrEnum):
    """What a step asks for, besides the timer."""

    SPAWN = "spawn"
    TERMINATE = "terminate"
    """Send the stop signal to every process of the session."""
    KILL = "kill"


@dataclass(frozen=True, slots=True)
class Arm:
    """Let `Timeout` happen in so many seconds; there is one timer, the new one replaces the old."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Disarm:
    """No time-out any more."""


Action = Effect | Arm | Disarm


class AfterStop(StrEnum):
    """What follows once a service that is stopping is gone."""

    STAY_DOWN = "stay down"
    START_AGAIN = "start again"
    JUDGE = "judge"
    """It ended by itself: the restart policy decides."""


@dataclass(frozen=True, slots=True)
class ServiceState:
    """All that a service's future depends on."""

    state: State = State.STOPPED
    since: float = 0.0
    """When the state was entered."""
    starts: tuple[float, ...] = ()
    """The starts that still count for the start limit."""
    failures: int = 0
    """Failures in a row; a run that lasted forgets them."""
    restarts: int = 0
    """How often it was started again by itself."""
    then: AfterStop = AfterStop.STAY_DOWN
    outcome: Outcome | None = None
    """How the last run ended; None while it hasn't."""
    reason: str = ""
    """Why it is in this state, for people."""
    because: str = ""
    """Why it is on its way down, if no user wanted that."""


def is_usable(life: ServiceState) -> bool:
    """Tell whether what needs this service can begin: it is ready, or has done its work."""
    return life.state in {State.RUNNING, State.EXITED}
