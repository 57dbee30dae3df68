"""The life of a service: one table, state × event → what happens, and one `step`.

A service is in one of seven states:

    stopped    down, because somebody wanted that (or nobody has started it yet)
    starting   the process runs; it has not said yet that it can serve
    running    ready: the service itself said so
    stopping   on its way down: signalled, or dead with processes of its session left
    backoff    down after a failure; comes back by itself when the delay is over
    exited     ended by itself, as expected, and is not wanted again
    failed     given up: permanent failure, start limit, or no restart wanted

Ten events can meet it in any of them, and the table has an answer for every pair, so none is
forgotten (a test walks it). `Exited` means that the process died, `SessionEmpty` that nothing of
its session is left: only then may it be started again, so a port is never fought over.

Everything here is a function of its arguments: times are handed in (monotonic seconds), chance as
a number from 0 to 1; what is to be done comes back as a list of effects.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pyroctl.core.backoff import restart_delay
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
    Timeout,
    Unhealthy,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pyroctl.core.spec import ServiceSpec


@dataclass(frozen=True, slots=True)
class _Case:
    """One row of the table, about to be applied."""

    spec: ServiceSpec
    life: ServiceState
    event: Event
    now: float
    chance: float

    def enter(self, state: State, reason: str = "", **changes: object) -> ServiceState:
        return replace(self.life, state=state, since=self.now, reason=reason, **changes)  # type: ignore[arg-type] # fields of Life


Result = tuple[ServiceState, tuple[Action, ...]]


def step(
    spec: ServiceSpec, life: ServiceState, event: Event, now: float, chance: float = 0.5
) -> Result:
    """Let one event happen at `now`, and give the new life and what is to be done about it."""
    return TABLE[life.state][type(event)](_Case(spec, life, event, now, chance))


# --- the handlers -------------------------------------------------------------------------------


def _ignore(case: _Case) -> Result:
    return case.life, ()


def _begin(case: _Case, reason: str = "") -> Result:
    """Start because somebody wants it: old failures and starts don't count against that."""
    life = case.enter(State.STARTING, reason, starts=(case.now,), failures=0, outcome=None)
    return life, (Effect.SPAWN, Arm(case.spec.start_timeout))


def _begin_again(case: _Case) -> Result:
    """Start by ourselves, after a failure."""
    starts = (*_recent(case.life.starts, case.now, case.spec), case.now)
    life = case.enter(
        State.STARTING,
        case.life.reason,
        starts=starts,
        restarts=case.life.restarts + 1,
        outcome=None,
    )
    return life, (Effect.SPAWN, Arm(case.spec.start_timeout))


def _serve(case: _Case) -> Result:
    return case.enter(State.RUNNING, case.life.reason), (Disarm(),)


def _go_down(case: _Case) -> Result:
    assert isinstance(case.event, Stop | Restart)
    then = AfterStop.START_AGAIN if isinstance(case.event, Restart) else AfterStop.STAY_DOWN
    reason = "restart asked for" if then is AfterStop.START_AGAIN else "stop asked for"
    why = case.event.why
    life = case.enter(State.STOPPING, why or reason, then=then, because=why)
    return life, (Effect.TERMINATE, Arm(case.spec.stop_timeout))


def _too_slow(case: _Case) -> Result:
    trouble = f"not ready within {case.spec.start_timeout:g} s"
    life = case.enter(
        State.STOPPING, trouble, then=AfterStop.JUDGE, outcome=Outcome(trouble=trouble)
    )
    return life, (Effect.TERMINATE, Arm(case.spec.stop_timeout))


def _put_down(case: _Case) -> Result:
    """End what isn't well; asking what doesn't answer kindly would be pointless."""
    assert isinstance(case.event, Unhealthy)
    trouble = case.event.reason
    failures = 0 if _was_stable(case) else case.life.failures
    life = case.enter(
        State.STOPPING,
        trouble,
        then=AfterStop.JUDGE,
        outcome=Outcome(trouble=trouble),
        failures=failures,
    )
    effect = Effect.TERMINATE if case.event.answers else Effect.KILL
    return life, (effect, Arm(case.spec.stop_timeout))


def _change_over(case: _Case) -> Result:
    """Go on with another process; it is no restart, since the service was there all the time."""
    assert isinstance(case.event, Replaced)
    if case.event.ready:
        return case.enter(State.RUNNING), ()
    life = case.enter(State.STARTING, "the old process ended while it handed over")
    return life, (Arm(case.spec.start_timeout),)


def _clear_up(case: _Case) -> Result:
    """Take down what the dead process has left in its session, before anything else happens."""
    assert isinstance(case.event, Exited)
    outcome = case.event.outcome
    failures = 0 if _was_stable(case) else case.life.failures
    life = case.enter(
        State.STOPPING, outcome.describe(), then=AfterStop.JUDGE, outcome=outcome, failures=failures
    )
    return life, (Effect.TERMINATE, Arm(case.spec.stop_timeout))


def _note_outcome(case: _Case) -> Result:
    """Remember how it ended; a trouble that was noted before explains more than the exit."""
    assert isinstance(case.event, Exited)
    outcome = case.event.outcome
    if case.life.outcome is not None:
        outcome = replace(outcome, trouble=case.life.outcome.trouble)
    return replace(case.life, outcome=outcome), ()


def _want_up(case: _Case) -> Result:
    why = case.event.why if isinstance(case.event, Restart) else ""
    return replace(case.life, then=AfterStop.START_AGAIN, because=why), ()


def _want_down(case: _Case) -> Result:
    assert isinstance(case.event, Stop)
    return replace(case.life, then=AfterStop.STAY_DOWN, because=case.event.why), ()


def _kill(case: _Case) -> Result:
    return case.life, (Effect.KILL, Arm(case.spec.stop_timeout))


def _conclude(case: _Case) -> Result:
    if case.life.then is AfterStop.START_AGAIN:
        return _begin(case, case.life.because)
    if case.life.then is AfterStop.JUDGE:
        return _judge(case)
    return case.enter(State.STOPPED, case.life.because), (Disarm(),)


def _rest(case: _Case) -> Result:
    assert isinstance(case.event, Stop)
    return case.enter(State.STOPPED, case.event.why), (Disarm(),)


def _cannot_spawn(case: _Case) -> Result:
    assert isinstance(case.event, SpawnFailed)
    outcome = Outcome(trouble=case.event.reason)
    return case.enter(State.FAILED, case.event.reason, outcome=outcome), (Disarm(),)


def _judge(case: _Case) -> Result:
    """Apply the restart policy to a run that ended by itself."""
    spec, life = case.spec, case.life
    outcome = life.outcome or Outcome(trouble="ended for an unknown reason")
    said = outcome.describe()
    if outcome.permanent:
        return case.enter(State.FAILED, said), (Disarm(),)
    success = outcome.succeeded(spec.success_exit)
    if spec.restart == "never" or (spec.restart == "on-failure" and success):
        return case.enter(State.EXITED if success else State.FAILED, said), (Disarm(),)
    failures = life.failures + 1
    delay = restart_delay(failures, spec.restart_delay, spec.restart_max_delay, case.chance)
    if len(_recent(life.starts, case.now + delay, spec)) >= spec.start_limit:
        reason = f"{said}; given up after {spec.start_limit} starts in {spec.start_window:g} s"
        return case.enter(State.FAILED, reason, failures=failures), (Disarm(),)
    again = case.enter(State.BACKOFF, said, failures=failures)
    if delay <= 0:
        return _begin_again(replace(case, life=again))
    return again, (Arm(delay),)


def _recent(starts: tuple[float, ...], now: float, spec: ServiceSpec) -> tuple[float, ...]:
    return tuple(start for start in starts if now - start < spec.start_window)


def _was_stable(case: _Case) -> bool:
    """Tell whether it served for so long that this failure is a new one."""
    lived = case.now - case.life.since
    return case.life.state is State.RUNNING and lived >= case.spec.restart_max_delay


# --- the table ----------------------------------------------------------------------------------

TABLE: Mapping[State, Mapping[type[Event], Callable[[_Case], Result]]] = {
    State.STOPPED: {
        Start: _begin,
        Stop: _ignore,
        Restart: _begin,
        Ready: _ignore,
        Exited: _ignore,
        SessionEmpty: _ignore,
        Timeout: _ignore,
        SpawnFailed: _ignore,
        Unhealthy: _ignore,
        Replaced: _ignore,
    },
    State.STARTING: {
        Start: _ignore,
        Stop: _go_down,
        Restart: _go_down,
        Ready: _serve,
        Exited: _clear_up,
        SessionEmpty: _ignore,
        Timeout: _too_slow,
        SpawnFailed: _cannot_spawn,
        Unhealthy: _ignore,
        Replaced: _ignore,
    },
    State.RUNNING: {
        Start: _ignore,
        Stop: _go_down,
        Restart: _go_down,
        Ready: _ignore,
        Exited: _clear_up,
        SessionEmpty: _ignore,
        Timeout: _ignore,
        SpawnFailed: _ignore,
        Unhealthy: _put_down,
        Replaced: _change_over,
    },
    State.STOPPING: {
        Start: _want_up,
        Stop: _want_down,
        Restart: _want_up,
        Ready: _ignore,
        Exited: _note_outcome,
        SessionEmpty: _conclude,
        Timeout: _kill,
        SpawnFailed: _ignore,
        Unhealthy: _ignore,
        Replaced: _ignore,
    },
    State.BACKOFF: {
        Start: _begin,
        Stop: _rest,
        Restart: _begin,
        Ready: _ignore,
        Exited: _ignore,
        SessionEmpty: _ignore,
        Timeout: _begin_again,
        SpawnFailed: _ignore,
        Unhealthy: _ignore,
        Replaced: _ignore,
    },
    State.EXITED: {
        Start: _begin,
        Stop: _rest,
        Restart: _begin,
        Ready: _ignore,
        Exited: _ignore,
        SessionEmpty: _ignore,
        Timeout: _ignore,
        SpawnFailed: _ignore,
        Unhealthy: _ignore,
        Replaced: _ignore,
    },
    State.FAILED: {
        Start: _begin,
        Stop: _rest,
        Restart: _begin,
        Ready: _ignore,
        Exited: _ignore,
        SessionEmpty: _ignore,
        Timeout: _ignore,
        SpawnFailed: _ignore,
        Unhealthy: _ignore,
        Replaced: _ignore,
    },
}
