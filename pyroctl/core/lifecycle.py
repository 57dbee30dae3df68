"""The lifecycle of a service: one table, state × event → handler, and one `step`.

A service is in one of seven states:

    stopped    down on request, or never started
    starting   the process runs, but has not reported yet that it is ready
    running    the service has reported that it is ready
    stopping   signalled, or ended while processes of its session are left
    backoff    down after a failure; restarts when the delay is over
    exited     ended on its own, as expected, and is not restarted
    failed     given up: permanent failure, start limit, or no restart allowed

Each of them has an answer to each of the events (a test walks the table). `Exited` means that the
process ended, `SessionEmpty` that its whole session is empty: only then may the service start
again, so two processes never compete for a port.

All functions are pure: the time (monotonic seconds) and chance (a number from 0 to 1) are
arguments, and the actions for the shell are returned. docs/design.md shows the handlers in a table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pyroctl.core.outcome import Outcome
from pyroctl.core.state import (
    Action,
    AfterStop,
    Arm,
    Disarm,
    Effect,
    Event,
    Exited,
    Ready,
    Replaced,
    Restart,
    ServiceState,
    SessionEmpty,
    SpawnFailed,
    Start,
    State,
    Stop,
    StopCommandFailed,
    StopStage,
    Timeout,
    Unhealthy,
    Wait,
)

if TYPE_CHECKING:
    from pyroctl.core.spec import ServiceSpec

JITTER = 0.2
"""A delay varies by this fraction, so that services that died together don't all return at once."""
CRASH_GRACE = 1.0
"""Seconds that what a crashed process leaves in its session has to end: nobody needs it."""
RESTARTS_AT_ONCE = 5
"""Failures in a row after which even a service without a delay goes through `backoff`."""
SPACING = 1.0
"""Seconds from one start of such a service to the next, or it would occupy a processor."""


@dataclass(frozen=True, slots=True)
class _Case:
    """An event and the state that it meets."""

    spec: ServiceSpec
    before: ServiceState
    event: Event
    now: float
    chance: float

    def enter(self, state: State, reason: str = "", **changes: object) -> ServiceState:
        return replace(self.before, state=state, since=self.now, reason=reason, **changes)  # type: ignore[arg-type] # fields of ServiceState


Result = tuple[ServiceState, tuple[Action, ...]]


def step(
    spec: ServiceSpec, state: ServiceState, event: Event, now: float, chance: float = 0.5
) -> Result:
    """Return the state after an event at the time `now`, and the actions that it requires."""
    return TABLE[state.state][type(event)](_Case(spec, state, event, now, chance))


# --- the handlers -------------------------------------------------------------------------------


def _ignore(case: _Case) -> Result:
    """Change nothing."""
    return case.before, ()


def _start(case: _Case, reason: str = "") -> Result:
    """Start on request: earlier failures and starts don't count any more."""
    after = case.enter(State.STARTING, reason, starts=(case.now,), failures=0, outcome=None)
    return after, (Effect.SPAWN, Arm(case.spec.start_timeout))


def _restart(case: _Case, reason: str = "") -> Result:
    """Start automatically, after a failure."""
    after = case.enter(
        State.STARTING,
        reason,
        starts=(*_recent(case.before.starts, case.now, case.spec), case.now),
        restarts=case.before.restarts + 1,
        outcome=None,
    )
    return after, (Effect.SPAWN, Arm(case.spec.start_timeout))


def _serve(case: _Case) -> Result:
    """Become `running`; why it was not does not matter any more."""
    return case.enter(State.RUNNING), (Disarm(),)


def _stop(case: _Case) -> Result:
    """Ask it to end; start again afterwards if a restart was requested."""
    assert isinstance(case.event, Stop | Restart)
    then = AfterStop.START_AGAIN if isinstance(case.event, Restart) else AfterStop.STAY_DOWN
    reason = "restart requested" if then is AfterStop.START_AGAIN else "stop requested"
    why = case.event.why
    return _ask_to_end(case, case.enter(State.STOPPING, why or reason, then=then, because=why))


def _abort_start(case: _Case) -> Result:
    """Stop what was not ready in time; the restart policy decides afterwards."""
    assert isinstance(case.event, Timeout)
    found = f": {case.event.found}" if case.event.found else ""
    trouble = f"not ready within {case.spec.start_timeout:g} s{found}"
    return _ask_to_end(case, _failed(case, Outcome(trouble=trouble)))


def _stop_unhealthy(case: _Case) -> Result:
    """Stop what is unhealthy, or kill it if it does not answer; the restart policy decides."""
    assert isinstance(case.event, Unhealthy)
    after = _failed(case, Outcome(trouble=case.event.reason))
    if case.event.answers:
        return _ask_to_end(case, after)
    return after, (Effect.KILL, Arm(case.spec.stop_timeout))


def _empty_session(case: _Case) -> Result:
    """Stop what the process has left in its session; the restart policy decides afterwards."""
    assert isinstance(case.event, Exited)
    outcome, grace = case.event.outcome, case.spec.stop_timeout
    if outcome.code not in case.spec.success_exit:
        grace = min(grace, CRASH_GRACE)
    return _failed(case, outcome), (Effect.TERMINATE, Arm(grace))


def _replace_process(case: _Case) -> Result:
    """Continue with the successor; this is not a restart, as the service was never down."""
    assert isinstance(case.event, Replaced)
    if case.event.ready:
        return case.enter(State.RUNNING), ()
    after = case.enter(State.STARTING, "the old process ended during the handover")
    return after, (Arm(case.spec.start_timeout),)


def _record_outcome(case: _Case) -> Result:
    """Record how it ended, and stop the rest; trouble found before explains more than the code."""
    assert isinstance(case.event, Exited)
    outcome = case.event.outcome
    if case.before.outcome is not None:
        outcome = replace(outcome, trouble=case.before.outcome.trouble)
    after = replace(case.before, outcome=outcome)
    if after.stage is StopStage.SESSION:
        return after, ()
    return _enter_stage(case, after, StopStage.SESSION)


def _start_afterwards(case: _Case) -> Result:
    """Start again when the stop is complete."""
    why = case.event.why if isinstance(case.event, Restart) else ""
    return replace(case.before, then=AfterStop.START_AGAIN, because=why), ()


def _stay_down(case: _Case) -> Result:
    """Don't start again when the stop is complete."""
    assert isinstance(case.event, Stop)
    return replace(case.before, then=AfterStop.STAY_DOWN, because=case.event.why), ()


def _insist(case: _Case) -> Result:
    """Begin the next stage of the stop; after the last one, kill what is left."""
    match case.before.stage:
        case StopStage.COMMAND:
            return _enter_stage(case, case.before, _first_signal(case.spec))
        case StopStage.MAIN:
            return _enter_stage(case, case.before, StopStage.SESSION)
    return case.before, (Effect.KILL, Arm(case.spec.stop_timeout))


def _replace_command(case: _Case) -> Result:
    """Send the stop signal, unless that was done."""
    return _insist(case) if case.before.stage is StopStage.COMMAND else (case.before, ())


def _complete_stop(case: _Case) -> Result:
    """Become `stopped`, start again, or apply the restart policy."""
    assert isinstance(case.event, SessionEmpty)
    if case.before.then is AfterStop.START_AGAIN:
        return _start(case, case.before.because)
    if case.before.then is AfterStop.JUDGE:
        return _judge(case, case.event.late)
    return case.enter(State.STOPPED, case.before.because), (Disarm(),)


def _settle(case: _Case) -> Result:
    """Become `stopped`: no process is left to stop."""
    assert isinstance(case.event, Stop)
    return case.enter(State.STOPPED, case.event.why), (Disarm(),)


def _await_time(case: _Case) -> Result:
    """Become `exited` without having run: nothing is to be done yet."""
    return case.enter(State.EXITED, "not run yet", outcome=None), ()


def _give_up(case: _Case) -> Result:
    """Become `failed`: the process could not be created."""
    assert isinstance(case.event, SpawnFailed)
    outcome = Outcome(trouble=case.event.reason)
    return case.enter(State.FAILED, case.event.reason, outcome=outcome), (Disarm(),)


# --- parts of handlers --------------------------------------------------------------------------


STAGES = {
    StopStage.COMMAND: (Effect.STOP_COMMAND, 0.5),
    StopStage.MAIN: (Effect.TERMINATE_MAIN, 0.25),
    StopStage.SESSION: (Effect.TERMINATE, 1.0),
}
"""What each stage of a stop begins with, and the part of the time that is left which it may take.

A main process may wait for a child that only a signal ends, as shell scripts with a `trap` do: so
its stage is the short one.
"""


def _ask_to_end(case: _Case, after: ServiceState) -> Result:
    """Begin a stop in order: by the stop command if it was running, else by the stop signal."""
    if case.spec.stop_command is not None and case.before.state is State.RUNNING:
        return _enter_stage(case, after, StopStage.COMMAND)
    return _enter_stage(case, after, _first_signal(case.spec))


def _first_signal(spec: ServiceSpec) -> StopStage:
    return StopStage.MAIN if spec.kill_mode == "mixed" else StopStage.SESSION


def _enter_stage(case: _Case, after: ServiceState, stage: StopStage) -> Result:
    """Begin a stage of a stop, with its share of what is left of `stop_timeout`."""
    effect, share = STAGES[stage]
    left = max(0.0, case.spec.stop_timeout - (case.now - after.since))
    return replace(after, stage=stage), (effect, Arm(left * share))


def _failed(case: _Case, outcome: Outcome) -> ServiceState:
    """Return the state after a failure; a run that was stable resets the earlier failures."""
    return case.enter(
        State.STOPPING,
        outcome.explain(),
        then=AfterStop.JUDGE,
        stage=StopStage.SESSION,
        outcome=outcome,
        failures=0 if _was_stable(case) else case.before.failures,
    )


def _judge(case: _Case, late: str) -> Result:
    """Apply the restart policy to a run that ended on its own."""
    spec, before = case.spec, case.before
    outcome = before.outcome or Outcome(trouble="ended for an unknown reason")
    outcome = outcome.remarked(late)
    ending = outcome.explain()
    if outcome.permanent:
        return case.enter(State.FAILED, ending), (Disarm(),)
    success = outcome.succeeded(spec.success_exit)
    if spec.restart == "never" or (spec.restart == "on-failure" and success):
        return case.enter(State.EXITED if success else State.FAILED, ending), (Disarm(),)
    failures = before.failures + 1
    delay = restart_delay(failures, spec.restart_delay, spec.restart_max_delay, case.chance)
    if 0 < spec.start_limit <= len(_recent(before.starts, case.now + delay, spec)):
        reason = f"{ending}; given up after {spec.start_limit} starts in {spec.start_window:g} s"
        return case.enter(State.FAILED, reason, failures=failures), (Disarm(),)
    after = case.enter(State.BACKOFF, ending, failures=failures)
    if delay <= 0 and failures <= RESTARTS_AT_ONCE:
        return _restart(replace(case, before=after), ending)
    if delay <= 0:
        delay = max(0.0, max(before.starts, default=0.0) + SPACING - case.now)
    return after, (Arm(delay),)


def restart_delay(failures: int, first: float, longest: float, chance: float) -> float:
    """Return the seconds to wait after that many failures in a row (from 1).

    The delay doubles from `first` up to `longest`; `chance` (0 to 1) places it within the jitter.
    """
    doublings = min(failures - 1, 64)
    delay = min(first * 2.0**doublings, longest)
    return min(delay * (1 + JITTER * (2 * chance - 1)), longest)


def _recent(starts: tuple[float, ...], now: float, spec: ServiceSpec) -> tuple[float, ...]:
    window = spec.start_window if spec.start_limit else 0
    return tuple(start for start in starts if now - start < window)


def _was_stable(case: _Case) -> bool:
    """Return whether it served for so long that this failure is unrelated to earlier ones."""
    lived = case.now - case.before.since
    return case.before.state is State.RUNNING and lived >= case.spec.restart_max_delay


# --- the table ----------------------------------------------------------------------------------

_Row = Mapping[type[Event], Callable[[_Case], Result]]


def _ignored(*events: type[Event]) -> _Row:
    return dict.fromkeys(events, _ignore)


_OF_A_PROCESS: _Row = _ignored(
    Ready, Exited, SessionEmpty, StopCommandFailed, SpawnFailed, Unhealthy, Replaced, Wait
)
_ENDED: _Row = {
    **_OF_A_PROCESS,
    **dict.fromkeys((Start, Restart), _start),
    Stop: _settle,
    Timeout: _ignore,
}

TABLE: Mapping[State, _Row] = {
    State.STOPPED: {**_ENDED, Stop: _ignore, Wait: _await_time},
    State.STARTING: {
        **dict.fromkeys((Stop, Restart), _stop),
        Ready: _serve,
        Exited: _empty_session,
        Timeout: _abort_start,
        SpawnFailed: _give_up,
        **_ignored(Start, Wait, SessionEmpty, StopCommandFailed, Unhealthy, Replaced),
    },
    State.RUNNING: {
        **dict.fromkeys((Stop, Restart), _stop),
        Exited: _empty_session,
        Unhealthy: _stop_unhealthy,
        Replaced: _replace_process,
        **_ignored(Start, Wait, Ready, SessionEmpty, Timeout, StopCommandFailed, SpawnFailed),
    },
    State.STOPPING: {
        **dict.fromkeys((Start, Restart), _start_afterwards),
        Stop: _stay_down,
        Exited: _record_outcome,
        SessionEmpty: _complete_stop,
        Timeout: _insist,
        StopCommandFailed: _replace_command,
        **_ignored(Wait, Ready, SpawnFailed, Unhealthy, Replaced),
    },
    State.BACKOFF: {**_ENDED, Timeout: _restart},
    State.EXITED: _ENDED,
    State.FAILED: _ENDED,
}
