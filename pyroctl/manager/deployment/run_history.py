"""Records the states of a service, how its runs end, and why."""

from __future__ import annotations

import logging
import signal
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

from pyroctl.core.history import Ending, conclude, remember
from pyroctl.core.outcome import Outcome, last_said
from pyroctl.core.state import AfterStop, Exited, SpawnFailed, State

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pyroctl.core.history import History
    from pyroctl.core.spec import ServiceSpec
    from pyroctl.core.state import Event, ServiceState
    from pyroctl.manager.process.service_process import ServiceProcess


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
    detached: Callable[[], list[str]],
) -> Outcome:
    """Add to an outcome what only the manager knows.

    That is whether the manager ended the process, and what it said in its last `lines` of output if
    it failed. `detached` describes the processes that have left the service's session.
    """
    if state.state is State.STOPPING:
        outcome = replace(outcome, ended_by_us=True)
        if state.then is not AfterStop.JUDGE:
            return outcome
    elif left := detached():
        trouble = f"{', '.join(left)} went into the background: run it in the foreground"
        outcome = replace(outcome, trouble=trouble)
    if outcome.succeeded(spec.success_exit) or outcome.signal in OUTSIDE:
        return outcome
    return replace(outcome, said=last_said(lines))


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
