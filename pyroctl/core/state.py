"""The states of a service, the events that change them, and the actions that follow.

The table in `pyroctl.core.lifecycle` connects them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyroctl.core.outcome import Outcome


class State(StrEnum):
    """The state of a service, in the words of `status`."""

    STOPPED = "stopped"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    BACKOFF = "backoff"
    EXITED = "exited"
    FAILED = "failed"


SETTLED = frozenset({State.STOPPED, State.EXITED, State.FAILED})
"""The states that a service leaves only on request."""
USABLE = frozenset({State.RUNNING, State.EXITED})
"""Services that need this one can start: it is ready, or has done its work."""


# --- events: what can happen to a service -------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Start:
    """A start was requested."""


@dataclass(frozen=True, slots=True)
class Wait:
    """A start was requested that is to come later: at a time of the task's schedule."""


@dataclass(frozen=True, slots=True)
class Stop:
    """A stop was requested; `why` gives the reason unless a user asked for it."""

    why: str = ""


@dataclass(frozen=True, slots=True)
class Restart:
    """A new process was requested, whether one is running or not; `why` as for `Stop`."""

    why: str = ""


@dataclass(frozen=True, slots=True)
class Ready:
    """The service reported that it is ready."""


@dataclass(frozen=True, slots=True)
class Exited:
    """The process ended; others of its session may still be running."""

    outcome: Outcome


@dataclass(frozen=True, slots=True)
class SessionEmpty:
    """No process of its session is left; `late` describes those that took long, for people."""

    late: str = ""


@dataclass(frozen=True, slots=True)
class Timeout:
    """The timer that was armed last expired."""

    found: str = ""
    """What was found instead of readiness, for people."""


@dataclass(frozen=True, slots=True)
class StopCommandFailed:
    """The program that was to stop the service could not."""


@dataclass(frozen=True, slots=True)
class SpawnFailed:
    """The process could not be created."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unhealthy:
    """The process runs, but does not answer any more, or exceeds its resource limits."""

    reason: str
    answers: bool = False
    """Whether it would still react to the stop signal."""
    cause: str = "hung"
    """One of `core.counters.RESTARTS`."""


@dataclass(frozen=True, slots=True)
class Replaced:
    """The successor, started beside the old process for a handover, is the service now.

    `ready`: it has reported that it is ready. Otherwise the old process ended first, and the
    successor is about to report.
    """

    ready: bool


Event = (
    Start
    | Wait
    | Stop
    | Restart
    | Ready
    | Exited
    | SessionEmpty
    | Timeout
    | StopCommandFailed
    | SpawnFailed
    | Unhealthy
    | Replaced
)


# --- actions: what the shell has to do ----------------------------------------------------------


class Effect(StrEnum):
    """What a step requests, besides the timer."""

    SPAWN = "spawn"
    STOP_COMMAND = "stop command"
    """Run the program that asks the service to end."""
    TERMINATE_MAIN = "terminate main"
    """Send the stop signal to the main process; to the whole session if it ignores that signal."""
    TERMINATE = "terminate"
    """Send the stop signal to every process of the session."""
    KILL = "kill"


@dataclass(frozen=True, slots=True)
class Arm:
    """Raise `Timeout` after that many seconds; a new timer replaces the old one."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Disarm:
    """Cancel the timer."""


Action = Effect | Arm | Disarm


class AfterStop(StrEnum):
    """What follows once a service that is stopping is down."""

    STAY_DOWN = "stay down"
    START_AGAIN = "start again"
    JUDGE = "judge"
    """It ended on its own: the restart policy decides."""


class StopStage(StrEnum):
    """How far a stop has come: what has been asked to end, in this order."""

    COMMAND = "command"
    """The service, by its `stop_command`."""
    MAIN = "main"
    """The main process, by the stop signal."""
    SESSION = "session"
    """All processes; what is left is killed next."""


@dataclass(frozen=True, slots=True)
class ServiceState:
    """Everything that the future of a service depends on."""

    state: State = State.STOPPED
    since: float = 0.0
    """When it entered the state."""
    starts: tuple[float, ...] = ()
    """The starts that still count towards the start limit."""
    failures: int = 0
    """Failures in a row; a run that lasts resets them."""
    restarts: int = 0
    """How often it was restarted automatically."""
    then: AfterStop = AfterStop.STAY_DOWN
    outcome: Outcome | None = None
    """How the last run ended; None while it lasts."""
    reason: str = ""
    """Why it is in this state, for people."""
    because: str = ""
    """Why it is stopping, unless a user asked for it."""
    stage: StopStage = StopStage.SESSION
    """How far the stop has come, while it is stopping."""
