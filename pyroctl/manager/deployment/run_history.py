"""Records how the runs of a service end, and why."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pyroctl.core.history import Ending, conclude, remember
from pyroctl.core.outcome import Outcome
from pyroctl.core.state import Exited, SpawnFailed, State

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyroctl.core.history import History
    from pyroctl.core.state import Event, ServiceState
    from pyroctl.manager.process.service_process import ServiceProcess


def as_known(outcome: Outcome, state: State, detached: Callable[[], list[str]]) -> Outcome:
    """Add to an outcome what only the manager knows: whether it ended the process, or what is left.

    `detached` describes the processes that have left the service's session.
    """
    if state is State.STOPPING:
        return replace(outcome, ended_by_us=True)
    left = detached()
    if not left:
        return outcome
    trouble = f"{', '.join(left)} went into the background: run it in the foreground"
    return replace(outcome, trouble=trouble)


def note_event(
    history: History, event: Event, state: ServiceState, process: ServiceProcess | None, at: float
) -> History:
    """Record the end of a run if an event reports one; it meets `state` at the time `at`.

    The reason is what was requested, or else what happened.
    """
    match event:
        case Exited(outcome):
            requested = state.reason if state.state is State.STOPPING else ""
            reason = requested or outcome.describe()
            return remember(history, _ending(process, outcome, reason, at))
        case SpawnFailed(reason):
            return remember(history, _ending(None, Outcome(trouble=reason), reason, at))
    return history


def note_other(
    history: History,
    other: ServiceProcess,
    outcome: Outcome,
    at: float,
    state: State,
    pid: int | None,
) -> History:
    """Record the end of a process that is not the service, which is `pid`: an old or a new one."""
    if other.record.ready_since is not None:
        reason = f"process {pid} has taken over"
    else:
        reason = f"could not take over: {outcome.describe()}"
    return conclude(remember(history, _ending(other, outcome, reason, at)), state)


def _ending(process: ServiceProcess | None, outcome: Outcome, reason: str, at: float) -> Ending:
    since = process.record.ready_since if process is not None else None
    uptime = None if since is None else at - since
    pid = process.pid if process is not None else None
    return Ending(datetime.now(UTC).astimezone(), pid, outcome, reason, uptime)
