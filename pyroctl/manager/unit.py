"""One service under the manager: carries out what its life-cycle asks for."""

from __future__ import annotations

import asyncio
import logging
import os
import pwd
import random
import signal
import time
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pyroctl.core import lifecycle
from pyroctl.core.lifecycle import Action, Arm, Disarm, Effect, Event, Life, State
from pyroctl.kinds.launch import Launch, Surroundings, launch
from pyroctl.manager import logs
from pyroctl.manager.child import Child
from pyroctl.manager.notify import NotifySocket
from pyroctl.manager.readiness import ReadinessWatch

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from pyroctl.control.paths import Paths
    from pyroctl.core.outcome import Outcome
    from pyroctl.core.spec import ServiceSpec
    from pyroctl.manager.guardian import Guardian

PORT_PATIENCE = 3
"""After so many failures in a row a service that may choose its port gets another one."""

log = logging.getLogger(__name__)


class Unit:
    """A service: its specification, its life, and, while it runs, its process.

    `send` is the only way to change the life. All of it runs in the event loop's thread.
    `surroundings` is asked at each start; `missing_need` gives the name of a need that isn't ready,
    since only without one the process is created; `on_change(unit, old_state)` is called after
    each change of state.
    """

    def __init__(
        self,
        spec: ServiceSpec,
        paths: Paths,
        surroundings: Callable[[ServiceSpec], Surroundings],
        missing_need: Callable[[ServiceSpec], str | None],
        guardian: Guardian,
        on_change: Callable[[Unit, State], None],
        *,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.spec = spec
        self.life = Life(since=clock())
        self.child: Child | None = None
        self.uri: str | None = None
        self._last_port: int | None = None
        self.status_text = ""
        """What the service says about itself (STATUS=)."""
        self.last_end: tuple[Outcome, datetime] | None = None
        self.log = logs.ServiceLog(
            paths.service_log(spec.name),
            paths.service_errors(spec.name),
            spec.log,
            tell=log.warning,
        )
        self._paths = paths
        self.waiting_for: str | None = None
        """The need that keeps it from being started, while it is starting."""
        self._surroundings = surroundings
        self._missing_need = missing_need
        self._guardian = guardian
        self._on_change = on_change
        self._clock = clock
        self._chance = chance
        self._events: deque[Event] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._notify: NotifySocket | None = None
        self._readiness: ReadinessWatch | None = None
        self._waiters: list[tuple[Callable[[Life], bool], asyncio.Future[Life]]] = []

    @property
    def name(self) -> str:
        """The service's name."""
        return self.spec.name

    @property
    def state(self) -> State:
        """Where it is in its life."""
        return self.life.state

    @property
    def pid(self) -> int | None:
        """The process id, while there is a process."""
        return self.child.pid if self.child is not None else None

    def uptime(self) -> float | None:
        """Seconds since it became ready; None when it isn't running."""
        return self._clock() - self.life.since if self.state is State.RUNNING else None

    def send(self, event: Event) -> None:
        """Let an event happen; what follows from it is done before this returns."""
        self._events.append(event)
        if len(self._events) > 1:
            return  # an effect caused it: its turn comes when that effect is done
        while self._events:
            self._apply(self._events[0])
            self._events.popleft()

    async def wait_until(self, condition: Callable[[Life], bool]) -> Life:
        """Wait until the life fulfils the condition, and give it as it was then."""
        waiter: asyncio.Future[Life] = asyncio.get_running_loop().create_future()
        if condition(self.life):
            return self.life
        entry = (condition, waiter)
        self._waiters.append(entry)
        try:
            return await waiter
        finally:
            self._waiters.remove(entry)

    async def ask(self, question: str, patience: float, **parameters: object) -> Any:
        """Ask the running service about itself; raises OSError when it can't answer."""
        if self.child is None:
            raise OSError("it doesn't run")
        return await self.child.ask(question, patience, **parameters)

    def needs_changed(self) -> None:
        """Go on with a start that waits for its needs, if they are ready now."""
        if self.waiting_for is not None:
            self._spawn()

    def close(self) -> None:
        """Let go of the log file; the service is down."""
        self.log.close()

    # --- the life-cycle -------------------------------------------------------------------------

    def _apply(self, event: Event) -> None:
        old = self.life
        if isinstance(event, lifecycle.Start) and old.state in lifecycle.SETTLED:
            self._last_port = None  # somebody else may have taken it meanwhile
        self.life, actions = lifecycle.step(self.spec, old, event, self._clock(), self._chance())
        for action in actions:
            self._perform(action)
        if self.life.state is not old.state:
            self._tell(old)
        for condition, waiter in self._waiters:
            if not waiter.done() and condition(self.life):
                waiter.set_result(self.life)

    def _tell(self, old: Life) -> None:
        reason = f": {self.life.reason}" if self.life.reason else ""
        level = logging.WARNING if self.state in {State.FAILED, State.BACKOFF} else logging.INFO
        log.log(level, "%s is %s%s", self.name, self.state, reason)
        self.log.note(f"{self.state}{reason}")
        self._on_change(self, old.state)

    def _perform(self, action: Action) -> None:
        match action:
            case Arm(seconds):
                self._disarm()
                loop = asyncio.get_running_loop()
                self._timer = loop.call_later(seconds, self.send, lifecycle.Timeout())
            case Disarm():
                self._disarm()
            case Effect.SPAWN:
                self._spawn()
            case Effect.TERMINATE:
                self._terminate()
            case Effect.KILL:
                if self.child is not None:
                    self.log.note(f"still there after {self.spec.stop_timeout:g} s: killed")
                    self.child.kill()

    def _terminate(self) -> None:
        if self.child is not None:
            self.child.terminate(signal.Signals[f"SIG{self.spec.stop_signal}"])
        elif self.waiting_for is not None:
            self.waiting_for = None
            self.send(lifecycle.Gone())  # it was still waiting: there is no process

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # --- the process ----------------------------------------------------------------------------

    def _spawn(self) -> None:
        self.waiting_for = self._missing_need(self.spec)
        if self.waiting_for is not None:
            self.log.note(f"waiting for {self.waiting_for}")
            return
        self.uri, self.status_text = None, ""
        self.log.forget()
        try:
            port = self._last_port if self.life.failures < PORT_PATIENCE else None
            surroundings = replace(self._surroundings(self.spec), last_port=port)
            self._launch(launch(self.spec, surroundings), surroundings)
        except (OSError, ValueError) as error:
            self._run_over()
            self.send(lifecycle.Unspawnable(f"cannot start: {error}"))

    def _launch(self, what: Launch, surroundings: Surroundings) -> None:
        env = dict(what.env)
        self._notify = NotifySocket(
            os.path.join(self._paths.notify, self.name),
            _uids(self.spec),
            self._said,
            private=self.spec.user is None,
        )
        env["NOTIFY_SOCKET"] = self._notify.address
        self._readiness = ReadinessWatch(what.readiness, self._became_ready, surroundings)
        apart = self.spec.log.stderr == "apart"
        self.child = Child(
            self.spec,
            what,
            env,
            lambda data: self._wrote(self.log.take_output(data)),
            self._ended,
            self._gone,
            on_errors=(lambda data: self._wrote(self.log.take_errors(data))) if apart else None,
        )
        self._guardian.protect(self.child.pid, self.spec.stop_timeout)

    def _became_ready(self) -> None:
        port = (self.uri or "").rpartition(":")[2]
        self._last_port = int(port) if port.isdigit() else None
        self.send(lifecycle.Ready())

    def _said(self, fields: dict[str, str]) -> None:
        self.uri = fields.get("X_PYRO_URI", self.uri)
        self.status_text = fields.get("STATUS", self.status_text)
        if self._readiness is not None:
            self._readiness.on_notify(fields)

    def _wrote(self, lines: bytes) -> None:
        if lines and self._readiness is not None:
            self._readiness.on_lines(lines)

    def _ended(self, outcome: Outcome) -> None:
        self.log.finish()
        self.last_end = (outcome, logs.now())
        self._run_over()
        self.send(lifecycle.Exited(outcome))

    def _run_over(self) -> None:
        if self._readiness is not None:
            self._readiness.cancel()
            self._readiness = None
        if self._notify is not None:
            self._notify.close()
            self._notify = None

    def _gone(self) -> None:
        assert self.child is not None
        self._guardian.release(self.child.pid)
        self.child = None
        self.log.finish()
        self.send(lifecycle.Gone())


def _uids(spec: ServiceSpec) -> frozenset[int]:
    """Whose messages count: the service's user's, ours and root's."""
    users = {0, os.geteuid()}
    if spec.user is not None:
        users.add(pwd.getpwnam(spec.user).pw_uid)
    return frozenset(users)
