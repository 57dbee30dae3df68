"""Notes how the runs of a service end, and why, in its history."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pyroctl.core.history import Ending, conclude, remember
from pyroctl.core.outcome import Outcome
from pyroctl.core.state import Exited, SpawnFailed, State
from pyroctl.manager.output.logs import now

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyroctl.core.history import History
    from pyroctl.core.state import Event, ServiceState
    from pyroctl.manager.process.service_process import ServiceProcess


def as_known(outcome: Outcome, state: State, left_behind: Callable[[], list[str]]) -> Outcome:
    """Add to the end of a process what only we know: whether we wanted it, and who is left."""
    if state is State.STOPPING:
        return replace(outcome, ended_by_us=True)
    left = left_behind()
    if not left:
        return outcome
    trouble = f"{', '.join(left)} went into the background: run it in the foreground"
    return replace(outcome, trouble=trouble)


def note_event(
    history: History, event: Event, life: ServiceState, run: ServiceProcess | None, at: float
) -> History:
    """Note what an event, about to happen to `life` at `at` by its clock, says of a run's end.

    The reason is what was wanted of it, or what has happened to it.
    """
    match event:
        case Exited(outcome):
            wanted = life.reason if life.state is State.STOPPING else ""
            return remember(history, _ending(run, outcome, wanted or outcome.describe(), at))
        case SpawnFailed(reason):
            return remember(history, _ending(None, Outcome(trouble=reason), reason, at))
    return history


def note_other(
    history: History,
    other: ServiceProcess,
    outcome: Outcome,
    state: State,
    pid: int | None,
    at: float,
) -> History:
    """Note the end of a process that isn't the service, which is `pid`: an old or a new one."""
    if other.ready_since is not None:
        reason = f"process {pid} has taken over"
    else:
        reason = f"could not take over: {outcome.describe()}"
    return conclude(remember(history, _ending(other, outcome, reason, at)), state)


def _ending(run: ServiceProcess | None, outcome: Outcome, reason: str, at: float) -> Ending:
    since = run.ready_since if run is not None else None
    uptime = None if since is None else at - since
    return Ending(now(), run.pid if run is not None else None, outcome, reason, uptime)
