"""One service of the manager: carries out what its lifecycle requires."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import signal
import time
from collections import deque
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pyroctl.core import lifecycle
from pyroctl.core.counters import ServiceCounters
from pyroctl.core.dependents import is_usable
from pyroctl.core.history import conclude
from pyroctl.core.outcome import Outcome
from pyroctl.core.record import UnitRecord
from pyroctl.core.state import (
    SETTLED,
    Action,
    Arm,
    Disarm,
    Effect,
    Event,
    Exited,
    Ready,
    Replaced,
    ServiceState,
    SessionEmpty,
    SpawnFailed,
    State,
    StopCommandFailed,
    StopStage,
    Timeout,
    Unhealthy,
)
from pyroctl.errors import describe
from pyroctl.kinds import check_resolved, launch, resolved, words
from pyroctl.manager.deployment import run_history
from pyroctl.manager.deployment.processes import UnitProcesses
from pyroctl.manager.deployment.resources import ServiceResources
from pyroctl.manager.deployment.unit_parts import OneTimer, StateWaiters
from pyroctl.manager.fdstore.remote_log import open_log
from pyroctl.manager.health.health import Health
from pyroctl.manager.process.control_link import ANSWER_TIMEOUT
from pyroctl.manager.process.listening import AddressRefused
from pyroctl.manager.process.service_process import StartPlan

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

    from pyroctl.core.history import History
    from pyroctl.core.spec import ServiceSpec
    from pyroctl.kinds import ListenAddress
    from pyroctl.manager.deployment.unit_parts import UnitParts
    from pyroctl.manager.process.service_process import ServiceProcess

log = logging.getLogger(__name__)


class Unit:
    """A service: its specification, its state, its resources and its processes.

    Only `send` and `restore` change the state. Lives in the event loop's thread.
    """

    def __init__(self, spec: ServiceSpec, parts: UnitParts, lent: int | None = None) -> None:
        self.name = spec.name
        self.spec = spec
        self._parts = parts
        self.service_state = ServiceState(since=time.monotonic())
        """The state, with its reason and its past."""
        self.last_end: tuple[Outcome, datetime] | None = None
        self.history: History = ()
        """How its last runs ended."""
        self.log = open_log(parts.paths, spec, log.warning, parts.fdstore)
        self.counters = ServiceCounters()
        self.waiting_for: str | None = None
        """The need that delays its start, while it is starting."""
        self.resources = ServiceResources(parts.paths.service_state(spec.name), lent)
        self.processes = UnitProcesses(
            *(self.name, self.log, parts.cleanup, parts.detached, parts.names),
            on_ready=self._became_ready,
            on_exit=self._exited,
            on_empty=self._session_empty,
        )
        self._left = run_history.Leftovers()
        self._notify_path = os.path.join(parts.paths.notify, self.name)
        self._events: deque[Event] = deque()
        self._sending = False
        self._timer = OneTimer(self._timed_out)
        self._health: Health | None = None
        self._waiters = StateWaiters()

    @property
    def state(self) -> State:
        """The state."""
        return self.service_state.state

    @property
    def usable(self) -> bool:
        """Whether services that need it can start."""
        return is_usable(self.spec, self.service_state, self.last_end and self.last_end[0])

    @property
    def process(self) -> ServiceProcess | None:
        """The process that is the service, if there is one."""
        return self.processes.current

    @property
    def pid(self) -> int | None:
        """The process id, if there is a process."""
        return self.process.pid if self.process is not None else None

    @property
    def uri(self) -> str | None:
        """The address that the process has reported."""
        return self.process.record.uri if self.process is not None else None

    @property
    def fault(self) -> str | None:
        """What is wrong with it although it is running."""
        return self._health.fault if self._health is not None else None

    def uptime(self) -> float | None:
        """Return the seconds since it became ready; None if it is not running."""
        return time.monotonic() - self.service_state.since if self.state is State.RUNNING else None

    async def wait_until(self, states: Container[State]) -> ServiceState:
        """Wait until it enters one of these states, and return the state as it was then."""
        return self.service_state if self.state in states else await self._waiters.wait(states)

    async def ask(
        self, question: str, max_wait: float = ANSWER_TIMEOUT, **parameters: object
    ) -> Any:
        """Ask the process over its control socket; raise OSError without an answer in time."""
        if self.process is None:
            raise OSError("it isn't running")
        return await self.process.ask(question, max_wait, **parameters)

    async def ask_or(
        self, default: Any, question: str, max_wait: float = ANSWER_TIMEOUT, **parameters: object
    ) -> Any:
        """Ask as `ask` does, but return `default` without an answer."""
        try:
            return await self.ask(question, max_wait, **parameters)
        except OSError:
            return default

    def needs_changed(self) -> None:
        """Continue a start that waits for needs, if they are ready now."""
        if self.waiting_for is not None:
            self._spawn()

    def reconfigure(self, spec: ServiceSpec) -> None:
        """Change the specification of the service.

        What only the manager acts on takes effect at once, everything else at the next start.
        """
        old, self.spec = self.spec, spec
        self.log.use(spec.log)
        if spec != old:
            self._watch()
        for process in self.processes.all:
            self._parts.cleanup.protect(process.pid, spec.stop_timeout)

    def address(self) -> ListenAddress | None:
        """Return where the manager listens for a process started now; None if it doesn't."""
        return launch(self.spec, self._parts.launch_context(self.spec)).listens

    def close(self) -> None:
        """Close the log and release the resources; the service is down."""
        self.log.close()
        self.resources.close()

    # --- for another manager ----------------------------------------------------------------------

    def snapshot(self) -> UnitRecord:
        """Return what another manager has to know to continue with the service."""
        successor = self.processes.successor
        return UnitRecord(
            state=self.service_state,
            due=self._timer.due,
            last_end=self.last_end,
            history=self.history,
            listens=self.resources.listens,
            directory=self.resources.directory,
            runs=tuple(process.record for process in self.processes.all),
            run=self.pid,
            successor=successor.pid if successor is not None else None,
        )

    def restore(
        self, record: UnitRecord, held: Mapping[str, int], fds: Mapping[int, dict[str, int]]
    ) -> None:
        """Take the state from the snapshot of another manager; `resume` has to follow.

        `held` are its resources' descriptors, `fds` those of each process, by pid.
        """
        self.service_state = record.state
        self.last_end, self.history = record.last_end, record.history
        self.resources.restore(self.address(), held, record.directory)
        self.processes.restore(record, fds, self._plan)

    def resume(self, due: float | None) -> None:
        """Continue in the restored state, with a timer that expires at `due`."""
        if due is not None:
            self._timer.set(max(due, asyncio.get_running_loop().time()))
        if self.state is State.STOPPING:
            self._continue_to_stop()
        self._watch()

    def stop_watching(self) -> None:
        """Stop watching the processes, because another program continues with them."""
        if self._health is not None:
            self._health.cancel()
        self.processes.stop_watching()

    # --- the lifecycle -------------------------------------------------------------------------

    def send(self, event: Event) -> None:
        """Apply an event; its actions are done when this returns."""
        self._events.append(event)
        if self._sending:
            return  # an action caused it: it follows when that action is done
        self._sending = True
        try:
            while self._events:
                self._step(self._events.popleft())
        finally:
            self._sending = False

    def _step(self, event: Event) -> None:
        old, at = self.service_state, time.monotonic()
        self.history = run_history.note_event(self.history, event, old, self.process, at)
        chance = random.random()  # noqa: S311 - spreads restarts
        self.service_state, actions = lifecycle.step(self.spec, old, event, at, chance)
        self.counters.note(self.spec, event, old, self.service_state, at)
        for action in actions:
            self._perform(action)
        if self.state is not old.state:
            self._entered(old.state)
        self._waiters.wake(self.service_state)

    def _entered(self, old: State) -> None:
        if self.state in SETTLED:
            self.resources.release(keep_ring=self.state is State.FAILED)
        if self.state is not State.STOPPING:
            self.history = conclude(self.history, self.state)
        self._watch()
        if self.state is not State.STOPPING or self.process is None or not self.process.ended:
            run_history.log_state(
                self.name, self.service_state, self.log
            )  # else the next state says it
        self._parts.on_change(self, old)

    def _perform(self, action: Action) -> None:
        match action:
            case Arm(seconds):
                self._timer.set(asyncio.get_running_loop().time() + seconds)
            case Disarm():
                self._timer.cancel()
            case Effect.SPAWN:
                self._spawn()
            case Effect.STOP_COMMAND:
                self._run_stop_command()
            case Effect.TERMINATE_MAIN | Effect.TERMINATE as effect:
                self._terminate(main_only=effect is Effect.TERMINATE_MAIN)
            case Effect.KILL:
                if self.processes.all:
                    why = run_history.why_killed(self.service_state, time.monotonic())
                    self.log.note(f"{why}: killed")
                self.processes.kill()

    def _timed_out(self) -> None:
        starting = self.state is State.STARTING
        self.send(Timeout(self.processes.found(self.waiting_for) if starting else ""))

    def _continue_to_stop(self) -> None:
        """Repeat the stop signal, in case the other manager has only just decided to send it."""
        if (stage := self.service_state.stage) is StopStage.COMMAND:
            self.send(StopCommandFailed())  # it ended with that manager
        else:
            self._terminate(main_only=stage is StopStage.MAIN)

    def _run_stop_command(self) -> None:
        context = self._parts.launch_context(self.spec)
        command = words(resolved(self.spec, context).stop_command or (), context)
        self.processes.run_stop_command(command, lambda: self.send(StopCommandFailed()))

    def _terminate(self, *, main_only: bool) -> None:
        number = signal.Signals[f"SIG{self.spec.stop_signal}"]
        self.processes.terminate(number, main_only=main_only)
        if self.waiting_for is not None:
            self.waiting_for = None
            self.send(SessionEmpty())  # it was still waiting: there is no process

    def _watch(self) -> None:
        """Check the health of the process while it is running, and only then."""
        if self._health is not None:
            self._health.cancel()
            self._health = None
        if self.state is State.RUNNING and self.process is not None:
            self._health = Health(
                resolved(self.spec, self._parts.launch_context(self.spec)),
                *(self.process, self.resources.bound(), self.counters),
                busy=self.processes.hands_over,
                on_unhealthy=self._unhealthy,
                on_change=lambda fault: self._parts.on_health(self, fault),
            )

    def _unhealthy(self, process: ServiceProcess, event: Unhealthy) -> None:
        if process is self.process:
            self.send(event)

    # --- the process ----------------------------------------------------------------------------

    def _spawn(self) -> None:
        self.waiting_for = self._parts.missing_need(self.spec)
        if self.waiting_for is not None:
            self.log.note(f"waiting for {self.waiting_for}")
            return
        try:
            self.processes.current = self._start({})
        except AddressRefused as refused:
            if refused.permanent:
                self.send(SpawnFailed(str(refused)))
            else:  # as if the process itself had failed to listen: the restart policy decides
                self.send(Exited(Outcome(trouble=str(refused))))
                self.send(SessionEmpty())
        except Exception as error:
            if not isinstance(error, (OSError, ValueError)):
                log.exception("internal error in starting %s", self.name)
            self.send(SpawnFailed(f"cannot start: {describe(error)}"))

    def spawn_successor(self, env: Mapping[str, str]) -> ServiceProcess:
        """Start a process that takes over from the current one; `env` tells it how.

        It becomes the service when it is ready, or when the current process ends. If it ends
        first, nothing has changed. Raise OSError or ValueError if it can't be started.
        """
        self.processes.successor = self._start(env)
        self.log.note(f"process {self.processes.successor.pid} takes over from {self.pid}")
        return self.processes.successor

    def _start(self, more_env: Mapping[str, str]) -> ServiceProcess:
        used = {process.record.notify_path for process in self.processes.all}
        plan = self._plan(self._notify_path + ("~" if self._notify_path in used else ""))
        check_resolved(self.spec, plan.context)
        env = {**plan.launch.env, **more_env}
        if plan.launch.controlled:
            env["PYROCTL_STATE_DIR"] = self.resources.state_directory(self.spec)
        self.log.begin_run()
        passed = self.resources.passed(plan.launch.listens, self.spec)
        return self.processes.start(plan._replace(launch=replace(plan.launch, env=env)), passed)

    def _plan(self, notify_path: str) -> StartPlan:
        context = self._parts.launch_context(self.spec)
        return StartPlan(self.spec, launch(self.spec, context), context, notify_path)

    def _became_ready(self, process: ServiceProcess) -> None:
        process.record = replace(process.record, ready_since=time.monotonic())
        if process is self.process:
            self.send(Ready())
        elif process is self.processes.successor and self.state is State.RUNNING:
            self._replace(ready=True)

    def _replace(self, *, ready: bool) -> None:
        self.processes.promote()
        self.send(Replaced(ready))
        self._watch()

    def _exited(self, process: ServiceProcess, outcome: Outcome) -> None:
        if process is self.process:
            self._left = run_history.Leftovers(self.processes.left(), time.monotonic())
            known = (self.spec, self.log.last_lines(), self._left, self.processes)
            outcome = run_history.as_known(outcome, self.service_state, *known)
            self.last_end = (outcome, datetime.now(UTC).astimezone())
            if self.processes.successor is not None and self.state is State.RUNNING:
                self._replace(ready=False)
        elif process is self.processes.successor:
            self.processes.successor = None
        if process is self.process:
            self.log.finish()
            self.send(Exited(outcome))
        else:
            ending = (process, outcome, time.monotonic())
            self.history = run_history.note_other(self.history, *ending, self.state, self.pid)
            process.handle.kill()  # the rest of its session belongs to no service any more

    def _session_empty(self) -> None:
        self.log.finish()
        late, self._left = self._left.describe(time.monotonic()), run_history.Leftovers()
        if self.last_end:
            self.last_end = self.last_end[0].remarked(late), self.last_end[1]
        self.send(SessionEmpty(late))
