"""Records how the runs of a service end, and why."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from pyroctl.core.history import Ending, conclude, remember
from pyroctl.core.outcome import Outcome
from pyroctl.core.spec import CommandOptions, PortReady
from pyroctl.core.state import Exited, SpawnFailed, State
from pyroctl.manager.process import port_owner

if TYPE_CHECKING:
    from pyroctl.core.history import History
    from pyroctl.core.spec import ServiceSpec
    from pyroctl.core.state import Event, ServiceState
    from pyroctl.manager.deployment.processes import UnitProcesses
    from pyroctl.manager.process.service_process import ServiceProcess


NOTICEABLE = 0.5
"""Seconds that leftover processes may take to end before people are told."""
SHOWN = 3
"""How many of them are named."""


class Leftovers(NamedTuple):
    """The processes that one has left when it ended by itself, at the monotonic time `since`."""

    pids: tuple[int, ...] = ()
    since: float = 0.0

    def describe(self, now: float) -> str:
        """Return that they took long to end; "" if they didn't."""
        seconds = round(now - self.since, 1)
        if not self.pids or seconds < NOTICEABLE:
            return ""
        more = f" and {len(self.pids) - SHOWN} more" if len(self.pids) > SHOWN else ""
        what = "child" if len(self.pids) == 1 else "children"
        return (
            f"its {what} {', '.join(map(str, self.pids[:SHOWN]))}{more} took {seconds:g} s to end"
        )


def as_known(
    outcome: Outcome,
    state: State,
    spec: ServiceSpec,
    left: Leftovers,
    processes: UnitProcesses,
) -> Outcome:
    """Add to an outcome what only the manager knows: whether it ended the process, or what is left.

    If it failed, also who has its port.
    """
    if state is State.STOPPING:
        return replace(outcome, ended_by_us=True)
    if outcome.code == 0:
        left_session = processes.detached()
        if not left_session:
            return outcome
        names = ", ".join(left_session)
        trouble = f"{names} went into the background: run it in the foreground"
        return replace(outcome, trouble=trouble)
    match spec.options:
        case CommandOptions(ready=PortReady(port=port)):
            owner = port_owner.describe_other(port, left.pids)
            if owner is not None:
                return outcome.remarked(f"port {port} is taken by {owner}")
    return outcome


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
