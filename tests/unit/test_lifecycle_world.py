"""A state machine that plays a whole world of crashes against the lifecycle table."""

from __future__ import annotations

import typing
from dataclasses import replace

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from pyroctl.core.lifecycle import step
from pyroctl.core.outcome import Outcome
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
    Start,
    State,
    Stop,
    StopCommandFailed,
    Timeout,
    Unhealthy,
)
from tests.unit.test_lifecycle import BAD, OK, PERMANENT, SPEC


class World(RuleBasedStateMachine):
    """A simulated system around one service: it has processes and a timer, and things go wrong."""

    def __init__(self) -> None:
        super().__init__()
        more: dict[str, typing.Any] = {"stop_command": ("bye",), "start_window": 50.0}
        self.spec = replace(SPEC, restart_delay=0.5, start_limit=3, **more)
        self.state = ServiceState()
        self.now = 0.0
        self.leader = False
        self.rest = 0
        self.timer: float | None = None
        self.spawns: list[float] = []

    def send(self, event: Event) -> None:
        by_hand = isinstance(event, Start | Restart)
        self.state, actions = step(self.spec, self.state, event, self.now)
        for action in actions:
            if action is Effect.SPAWN:
                assert not self.leader, "two processes of one service"
                assert not self.rest, "started while something of the last run is left"
                self.leader = True
                if by_hand or (
                    isinstance(event, SessionEmpty) and self.state.then is AfterStop.START_AGAIN
                ):
                    self.spawns.clear()
                self.spawns.append(self.now)
            elif isinstance(action, Arm):
                self.timer = self.now + action.seconds
            elif isinstance(action, Disarm):
                self.timer = None

    @rule()
    def start(self) -> None:
        self.send(Start())

    @rule()
    def stop(self) -> None:
        self.send(Stop())

    @rule()
    def restart(self) -> None:
        self.send(Restart())

    @precondition(lambda self: self.leader)
    @rule()
    def become_ready(self) -> None:
        self.send(Ready())

    @precondition(lambda self: self.leader)
    @rule(outcome=st.sampled_from([OK, BAD, PERMANENT, Outcome(signal=9)]), left=st.integers(0, 2))
    def die(self, outcome: Outcome, left: int) -> None:
        self.leader, self.rest = False, left
        self.send(Exited(outcome))
        if not left:
            self.send(SessionEmpty())

    @precondition(lambda self: self.leader)
    @rule()
    def hang(self) -> None:
        self.send(Unhealthy("did not answer"))

    @precondition(lambda self: self.leader and self.state.state is State.RUNNING)
    @rule(ready=st.booleans())
    def hand_over(self, ready: bool) -> None:
        self.send(Replaced(ready))

    @rule()
    def stop_command_fails(self) -> None:
        self.send(StopCommandFailed())

    @precondition(lambda self: self.rest)
    @rule()
    def last_of_the_session_ends(self) -> None:
        self.rest = 0
        self.send(SessionEmpty())

    @precondition(lambda self: self.timer is not None)
    @rule()
    def timer_runs_out(self) -> None:
        assert self.timer is not None
        self.now, self.timer = max(self.now, self.timer), None
        self.send(Timeout())

    @rule(seconds=st.floats(0, 100))
    def time_passes(self, seconds: float) -> None:
        if self.timer is not None:
            seconds = min(seconds, max(0.0, self.timer - self.now))
        self.now += seconds

    @invariant()
    def a_process_exists_exactly_when_the_state_has_one(self) -> None:
        alive = self.leader or self.rest > 0
        assert alive == (self.state.state in {State.STARTING, State.RUNNING, State.STOPPING})
        if self.state.state in {State.STARTING, State.RUNNING}:
            assert self.leader

    @invariant()
    def what_is_in_between_always_has_a_timer(self) -> None:
        between = {State.STARTING, State.STOPPING, State.BACKOFF}
        assert (self.timer is not None) == (self.state.state in between)

    @invariant()
    def starts_by_itself_stay_within_the_limit(self) -> None:
        recent = [when for when in self.spawns if self.now - when < self.spec.start_window]
        assert len(recent) <= self.spec.start_limit


TestWorld = World.TestCase
