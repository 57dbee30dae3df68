"""Records the states of a service, how its runs end, and why."""

from __future__ import annotations

import logging
import signal
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple, Protocol

from pyroctl.core.history import Ending, conclude, remember
from pyroctl.core.outcome import UNKNOWN, Outcome, last_said
from pyroctl.core.spec import CommandOptions, PortReady
from pyroctl.core.state import AfterStop, Exited, SpawnFailed, State
from pyroctl.manager.process import port_owner

if TYPE_CHECKING:
    from collections.abc import Sequence

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


OUTSIDE = frozenset({signal.SIGKILL, signal.SIGTERM})
"""Signals that the process didn't expect, so that what it said before doesn't explain them."""

log = logging.getLogger(__name__)


class OwnLog(Protocol):
    """The log of a service."""

    def note(self, text: str) -> None:
        """Write a line of the manager's own."""


def as_known(
    outcome: Outcome,
    state: ServiceState,
    spec: ServiceSpec,
    lines: Sequence[str],
    left: Leftovers,
    processes: UnitProcesses,
) -> Outcome:
    """Add to an outcome what only the manager knows.

    That is whether the manager ended the process, what is left of its session, and, if it failed,
    who has its port and what it said in its last `lines` of output.
    """
    if state.state is State.STOPPING:
        known = outcome.trouble if outcome != UNKNOWN else None  # the request explains it
        outcome = replace(outcome, ended_by_us=True, trouble=known)
        if state.then is not AfterStop.JUDGE:
            return outcome
    elif outcome.code == 0:
        if detached := processes.detached():
            trouble = f"{', '.join(detached)} went into the background: run it in the foreground"
            outcome = replace(outcome, trouble=trouble)
    else:
        outcome = outcome.remarked(_port_taken(spec, left))
    if outcome.succeeded(spec.success_exit) or outcome.signal in OUTSIDE:
        return outcome
    return replace(outcome, said=last_said(lines))


def _port_taken(spec: ServiceSpec, left: Leftovers) -> str:
    """Return that another program has the service's port; "" if none has."""
    match spec.options:
        case CommandOptions(ready=PortReady(port=port)):
            owner = port_owner.describe_other(port, left.pids)
            return f"port {port} is taken by {owner}" if owner is not None else ""
    return ""


def why_killed(state: ServiceState, now: float) -> str:
    """Return why a service that is stopping is killed at the monotonic time `now`."""
    trouble = state.outcome.trouble if state.outcome is not None else None
    return trouble or f"still running after {now - state.since:.3g} s"


def log_state(name: str, state: ServiceState, own: OwnLog) -> None:
    """Log the state that a service has entered, in the manager's log and in its own."""
    reason = f": {state.reason}" if state.reason else ""
    level = logging.WARNING if state.state in {State.FAILED, State.BACKOFF} else logging.INFO
    log.log(level, "%s is %s%s", name, state.state, reason, extra={"service": name})
    own.note(f"{state.state}{reason}")


def note_event(
    history: History, event: Event, state: ServiceState, process: ServiceProcess | None, at: float
) -> History:
    """Record the end of a run if an event reports one; it meets `state` at the time `at`.

    The reason is what was requested, or else what happened.
    """
    match event:
        case Exited(outcome):
            requested = state.reason if state.state is State.STOPPING else ""
            reason = requested or outcome.explain()
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
