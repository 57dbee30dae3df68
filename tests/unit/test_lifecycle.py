"""The lifecycle table, row by row."""

from __future__ import annotations

import typing
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyroctl.core.lifecycle import CRASH_GRACE, RESTARTS_AT_ONCE, SPACING, TABLE, step
from pyroctl.core.outcome import Outcome
from pyroctl.core.spec import CommandOptions, ServiceSpec
from pyroctl.core.state import (
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
    Timeout,
    Unhealthy,
)

SPEC = ServiceSpec(
    "feed", CommandOptions(("feed",)), restart_delay=1.0, start_timeout=7.0, stop_timeout=3.0
)
OK, BAD, PERMANENT = Outcome(code=0), Outcome(code=1), Outcome(code=125)


def run(spec: ServiceSpec, *events: Event, now: float = 0.0) -> ServiceState:
    """Apply events one after the other, all at the same time."""
    state = ServiceState()
    for event in events:
        state, _ = step(spec, state, event, now)
    return state


def test_the_table_answers_every_event_in_every_state() -> None:
    """No pair of state and event is missing."""
    events = set(typing.get_args(Event))
    assert set(TABLE) == set(State)
    for state in State:
        assert set(TABLE[state]) == events, state


def test_a_start_spawns_and_waits_for_ready() -> None:
    """A service is running once it has reported that it is ready; until then a timer runs."""
    state, actions = step(SPEC, ServiceState(), Start(), 5.0)
    assert (state.state, state.since) == (State.STARTING, 5.0)
    assert actions == (Effect.SPAWN, Arm(7.0))
    state, actions = step(SPEC, state, Ready(), 6.0)
    assert (state.state, actions) == (State.RUNNING, (Disarm(),))


def test_stopping_terminates_then_kills_until_nothing_is_left() -> None:
    """TERM comes first, then KILL after stop_timeout, repeated until the session is empty."""
    spec = replace(SPEC, kill_mode="session")
    state, actions = step(spec, run(spec, Start(), Ready()), Stop(), 0.0)
    assert actions == (Effect.TERMINATE, Arm(3.0))
    for _ in range(2):
        state, actions = step(SPEC, state, Timeout(), 3.0)
        assert (state.state, actions) == (State.STOPPING, (Effect.KILL, Arm(3.0)))
    state, _ = step(SPEC, state, Exited(Outcome(signal=9)), 3.0)
    assert state.state is State.STOPPING
    state, actions = step(SPEC, state, SessionEmpty(), 3.0)
    assert (state.state, actions) == (State.STOPPED, (Disarm(),))


def test_the_main_process_is_stopped_first() -> None:
    """What it leaves gets the signal after its end, or a quarter of stop_timeout; then KILL."""
    asked, actions = step(SPEC, run(SPEC, Start(), Ready()), Stop(), 10.0)
    assert actions == (Effect.TERMINATE_MAIN, Arm(0.75))
    state, actions = step(SPEC, asked, Exited(OK), 11.0)
    assert (state.state, actions) == (State.STOPPING, (Effect.TERMINATE, Arm(2.0)))
    state, actions = step(SPEC, asked, Timeout(), 10.75)
    assert (state.state, actions) == (State.STOPPING, (Effect.TERMINATE, Arm(2.25)))
    assert step(SPEC, state, Exited(OK), 12.0)[1] == ()
    assert step(SPEC, state, Timeout(), 13.0)[1] == (Effect.KILL, Arm(3.0))


def test_a_stop_command_comes_before_the_stop_signal() -> None:
    """The signal follows at once if it fails, or after half of stop_timeout; all fits in that."""
    spec = replace(SPEC, stop_command=("bye",), stop_timeout=8.0)
    asked, actions = step(spec, run(spec, Start(), Ready()), Stop(), 0.0)
    assert actions == (Effect.STOP_COMMAND, Arm(4.0))
    assert step(spec, asked, Exited(OK), 1.0)[1] == (Effect.TERMINATE, Arm(7.0))
    state, actions = step(spec, asked, StopCommandFailed(), 2.0)
    assert actions == (Effect.TERMINATE_MAIN, Arm(1.5))
    assert step(spec, state, StopCommandFailed(), 2.0) == (state, ())
    for now, expected in [
        (4.0, (Effect.TERMINATE_MAIN, Arm(1.0))),
        (5.0, (Effect.TERMINATE, Arm(3.0))),
        (8.0, (Effect.KILL, Arm(8.0))),
    ]:
        asked, actions = step(spec, asked, Timeout(), now)
        assert actions == expected
    at_once = replace(spec, kill_mode="session")
    asked = run(at_once, Start(), Ready(), Stop())
    assert step(at_once, asked, StopCommandFailed(), 0.0)[1] == (Effect.TERMINATE, Arm(8.0))


def test_a_stop_command_is_for_services_that_run() -> None:
    """It isn't run for one that is starting, or hangs; but for one that exceeds its limits."""
    spec = replace(SPEC, stop_command=("bye",))
    assert step(spec, run(spec, Start()), Stop(), 0.0)[1][0] is Effect.TERMINATE_MAIN
    running = run(spec, Start(), Ready())
    assert step(spec, running, Unhealthy("hangs"), 0.0)[1][0] is Effect.KILL
    assert step(spec, running, Unhealthy("big", answers=True), 0.0)[1][0] is Effect.STOP_COMMAND


def test_a_crash_clears_the_session_before_anything_else() -> None:
    """What a dead process leaves in its session is ended before the next one starts."""
    state, actions = step(SPEC, run(SPEC, Start(), Ready()), Exited(BAD), 0.0)
    assert (state.state, state.then) == (State.STOPPING, AfterStop.JUDGE)
    assert actions == (Effect.TERMINATE, Arm(CRASH_GRACE))
    state, actions = step(SPEC, state, SessionEmpty("its child 7 took 1 s to end"), 0.0)
    assert (state.state, actions) == (State.BACKOFF, (Arm(1.0),))
    assert state.reason == "exit code 1; its child 7 took 1 s to end"
    state, actions = step(SPEC, state, Timeout(), 1.0)
    assert (state.state, state.restarts) == (State.STARTING, 1)
    assert actions[0] is Effect.SPAWN


def test_what_a_process_leaves_that_ended_well_has_the_whole_time() -> None:
    """stop_timeout is the grace after a success, and the longest one after a crash."""
    running = run(SPEC, Start(), Ready())
    assert step(SPEC, running, Exited(OK), 0.0)[1] == (Effect.TERMINATE, Arm(3.0))
    short = replace(SPEC, stop_timeout=0.2)
    assert step(short, running, Exited(BAD), 0.0)[1] == (Effect.TERMINATE, Arm(0.2))


def test_what_hangs_is_killed_at_once_and_judged_as_a_crash() -> None:
    """A service that doesn't answer gets no TERM; the reason is kept after the restart."""
    state, actions = step(
        SPEC, run(SPEC, Start(), Ready()), Unhealthy("did not answer 3 pings"), 0.0
    )
    assert (state.state, state.then) == (State.STOPPING, AfterStop.JUDGE)
    assert actions == (Effect.KILL, Arm(3.0))
    state, _ = step(SPEC, state, Exited(Outcome(signal=9)), 0.0)
    state, actions = step(SPEC, state, SessionEmpty(), 0.0)
    assert (state.state, state.reason) == (
        State.BACKOFF,
        "did not answer 3 pings (killed by SIGKILL)",
    )
    never = replace(SPEC, restart="on-failure")
    state = run(never, Start(), Ready(), Unhealthy("x"), Exited(OK), SessionEmpty())
    assert state.state is State.BACKOFF, "an exit code of 0 doesn't make a hang a success"


def test_a_successor_continues_the_run_of_the_service() -> None:
    """A ready one is running since then, with nothing else changed; another isn't running yet."""
    before, _ = step(SPEC, run(SPEC, Start(), Ready()), Ready(), 0.0)
    state, actions = step(SPEC, before, Replaced(ready=True), 50.0)
    assert (state, actions) == (replace(before, since=50.0), ())
    state, actions = step(SPEC, before, Replaced(ready=False), 50.0)
    assert (state.state, state.restarts, state.starts) == (State.STARTING, 0, before.starts)
    assert actions == (Arm(7.0),)
    state, actions = step(SPEC, state, Ready(), 51.0)
    assert (state.state, actions) == (State.RUNNING, (Disarm(),))


@pytest.mark.parametrize(
    ("policy", "outcome", "state"),
    [
        ("always", OK, State.BACKOFF),
        ("always", BAD, State.BACKOFF),
        ("always", PERMANENT, State.FAILED),
        ("on-failure", OK, State.EXITED),
        ("on-failure", BAD, State.BACKOFF),
        ("on-failure", PERMANENT, State.FAILED),
        ("on-failure", Outcome(signal=11), State.BACKOFF),
        ("never", OK, State.EXITED),
        ("never", BAD, State.FAILED),
        ("never", Outcome(signal=15), State.FAILED),
    ],
)
def test_the_restart_policy_decides_by_how_it_ended(
    policy: typing.Any, outcome: Outcome, state: State
) -> None:
    """always, on-failure and never, each with success, failure, signal and exit code 125."""
    spec = replace(SPEC, restart=policy)
    assert run(spec, Start(), Ready(), Exited(outcome), SessionEmpty()).state is state


def test_exit_codes_can_be_declared_a_success() -> None:
    """`success_exit` declares other codes a success; zero counts only if it is listed."""
    spec = replace(SPEC, restart="on-failure", success_exit=(3,))
    assert (
        run(spec, Start(), Ready(), Exited(Outcome(code=3)), SessionEmpty()).state is State.EXITED
    )
    assert run(spec, Start(), Ready(), Exited(OK), SessionEmpty()).state is State.BACKOFF


def test_the_start_limit_allows_exactly_that_many_starts_in_the_window() -> None:
    """start_limit = 5, start_window = 60: five starts happen, the sixth is refused."""
    spec = replace(SPEC, restart_delay=0.0, start_limit=5, start_window=60.0)
    state, now, starts = ServiceState(), 0.0, 0
    state, actions = step(spec, state, Start(), now)
    while state.state is not State.FAILED:
        starts += Effect.SPAWN in actions
        now += 1.0
        state, _ = step(spec, state, Exited(BAD), now)
        state, actions = step(spec, state, SessionEmpty(), now)
    assert starts == 5
    assert "5 starts in 60 s" in state.reason


def test_starts_outside_the_window_do_not_count() -> None:
    """A service that dies every 20 s is not given up with a limit of 5 in 60 s."""
    spec = replace(SPEC, restart_delay=0.0, start_limit=5, start_window=60.0)
    state, _ = step(spec, ServiceState(), Start(), 0.0)
    for n in range(1, 50):
        state, _ = step(spec, state, Exited(BAD), 20.0 * n)
        state, actions = step(spec, state, SessionEmpty(), 20.0 * n)
        if n > RESTARTS_AT_ONCE:
            assert (state.state, actions) == (State.BACKOFF, (Arm(0.0),))
            state, _ = step(spec, state, Timeout(), 20.0 * n)
        assert state.state is State.STARTING
    assert len(state.starts) <= 5


def test_without_a_start_limit_it_is_never_given_up() -> None:
    """start_limit = 0: the pauses grow up to restart_max_delay, and the list of starts does not."""
    spec = replace(SPEC, restart_delay=0.1, restart_max_delay=30.0, start_limit=0)
    life, now, pauses = ServiceState(), 0.0, []
    life, actions = step(spec, life, Start(), now)
    for _ in range(200):
        life, _ = step(spec, life, Exited(BAD), now)
        life, (arm,) = step(spec, life, SessionEmpty(), now)
        assert life.state is State.BACKOFF
        assert isinstance(arm, Arm)
        pauses.append(arm.seconds)
        now += arm.seconds
        life, actions = step(spec, life, Timeout(), now)
        assert Effect.SPAWN in actions
    assert (pauses[0] <= 0.1, 10.0 < pauses[-1] <= 30.0) == (True, True)
    assert len(life.starts) == 1


def test_without_a_delay_and_a_limit_it_uses_no_whole_processor() -> None:
    """restart_delay = 0 with start_limit = 0: soon one start a second, and `backoff` in between."""
    spec = replace(SPEC, restart_delay=0.0, start_limit=0)
    state, now = run(spec, Start()), 0.0
    for n in range(1, 20):
        state, _ = step(spec, state, Exited(BAD), now)
        state, actions = step(spec, state, SessionEmpty(), now)
        if n > RESTARTS_AT_ONCE:
            assert (state.state, actions) == (State.BACKOFF, (Arm(SPACING),))
            now += SPACING
            state, actions = step(spec, state, Timeout(), now)
        assert Effect.SPAWN in actions


def test_a_start_by_hand_forgets_earlier_starts() -> None:
    """After the start limit a start by hand is carried out, and no longer counts the old starts."""
    spec = replace(SPEC, start_limit=1)
    state = run(spec, Start(), Exited(BAD), SessionEmpty())
    assert state.state is State.FAILED
    state, actions = step(spec, state, Start(), 0.0)
    assert (state.state, state.failures, actions[0]) == (State.STARTING, 0, Effect.SPAWN)


def test_a_long_run_forgets_earlier_failures() -> None:
    """The delay is short again after a run as long as the longest delay."""
    state = run(SPEC, Start(), Exited(BAD), SessionEmpty(), Timeout(), Exited(BAD), SessionEmpty())
    assert state.failures == 2
    state, _ = step(SPEC, state, Timeout(), 2.0)
    state, _ = step(SPEC, state, Ready(), 3.0)
    state, _ = step(SPEC, state, Exited(BAD), 3.0 + SPEC.restart_max_delay)
    state, actions = step(SPEC, state, SessionEmpty(), 3.0 + SPEC.restart_max_delay)
    assert (state.failures, actions) == (1, (Arm(1.0),))


def test_a_start_that_takes_too_long_is_a_failure_with_a_reason() -> None:
    """A service that isn't ready in time is stopped, and the policy decides as after a crash."""
    state, actions = step(SPEC, run(SPEC, Start()), Timeout(), 7.0)
    assert actions == (Effect.TERMINATE_MAIN, Arm(0.75))
    state, _ = step(SPEC, state, Exited(OK), 7.0)
    state, _ = step(SPEC, state, SessionEmpty(), 7.0)
    assert state.state is State.BACKOFF
    assert state.reason == "not ready within 7 s (exit code 0)"


def test_a_start_during_a_stop_starts_again_when_it_is_gone() -> None:
    """The last command decides: stop, start, stop leaves it down; stop, start brings it up."""
    stopping = run(SPEC, Start(), Ready(), Stop(), Start())
    assert step(SPEC, stopping, SessionEmpty(), 0.0)[0].state is State.STARTING
    again = step(SPEC, stopping, Stop(), 0.0)[0]
    assert step(SPEC, again, SessionEmpty(), 0.0)[0].state is State.STOPPED


def test_a_stop_during_a_backoff_is_at_once() -> None:
    """The stop has nothing to wait for."""
    state = run(SPEC, Start(), Exited(BAD), SessionEmpty(), Stop())
    assert state.state is State.STOPPED


def test_what_cannot_be_spawned_has_failed_with_the_reason() -> None:
    """A program that can't be started is not tried again."""
    state = run(SPEC, Start(), SpawnFailed("no such directory"))
    assert (state.state, state.reason) == (State.FAILED, "no such directory")


EVENTS: list[Event] = [
    *(Start(), Stop(), Restart(), Ready(), SessionEmpty(), Timeout(), SpawnFailed("no")),
    StopCommandFailed(),
    *(Exited(OK), Exited(BAD), Exited(PERMANENT)),
]


@given(
    st.lists(st.sampled_from(EVENTS), max_size=40),
    st.sampled_from(["always", "on-failure", "never"]),
)
def test_no_series_of_events_breaks_it(events: list[Event], policy: typing.Any) -> None:
    """Even events that make no sense lead to a state, and an ignored one changes nothing at all."""
    spec = replace(SPEC, restart=policy)
    state = ServiceState()
    for event in events:
        handler = TABLE[state.state][type(event)]
        new, actions = step(spec, state, event, 1.0)
        if handler is TABLE[State.STOPPED][Stop]:
            assert (new, actions) == (state, ())
        state = new
