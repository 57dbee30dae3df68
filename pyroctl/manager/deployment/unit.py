"""One service under the manager: carries out what its life-cycle asks for."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import signal
import time
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pyroctl.core import lifecycle
from pyroctl.core.history import conclude
from pyroctl.core.outcome import Outcome
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
    Timeout,
    Unhealthy,
)
from pyroctl.kinds.launch import LaunchContext, launch
from pyroctl.manager.deployment.resources import ServiceResources
from pyroctl.manager.deployment.run_history import as_known, note_event, note_other
from pyroctl.manager.deployment.waiters import StateWaiters
from pyroctl.manager.health.health import Health
from pyroctl.manager.output import logs
from pyroctl.manager.process.listening import AddressRefused
from pyroctl.manager.process.pidfd import ProcessWatch
from pyroctl.manager.process.service_process import PriorProcess, ProcessCallbacks, ServiceProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from pyroctl.core.history import History
    from pyroctl.core.record import RunRecord
    from pyroctl.core.spec import ServiceSpec
    from pyroctl.kinds.address import ListenAddress
    from pyroctl.kinds.launch import Launch
    from pyroctl.manager.cleanup.cleanup_client import CleanupClient
    from pyroctl.manager.cleanup.detached import DetachedProcesses
    from pyroctl.manager.fdstore.client import FdStoreClient
    from pyroctl.manager.process.listening import LentSocket
    from pyroctl.paths import Paths

log = logging.getLogger(__name__)


class Unit:
    """A service: its specification, its life, and, while it runs, its process.

    `send` is the only way to change the life. All of it runs in the event loop's thread.
    `surroundings` is asked at each start; `missing_need` gives the name of a need that isn't ready,
    since only without one the process is created; `on_change(unit, old_state)` is called after
    each change of state. While one process hands over to another, there are two: `run`, which is
    the service, and its `successor`.
    """

    def __init__(
        self,
        spec: ServiceSpec,
        paths: Paths,
        surroundings: Callable[[ServiceSpec], LaunchContext],
        missing_need: Callable[[ServiceSpec], str | None],
        guardian: CleanupClient,
        on_change: Callable[[Unit, State], None],
        *,
        lent: LentSocket | None = None,
        keeping: FdStoreClient | None = None,
        strays: DetachedProcesses,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.spec = spec
        self.life = ServiceState(since=clock())
        self.run: ServiceProcess | None = None
        self.successor: ServiceProcess | None = None
        self.last_end: tuple[Outcome, datetime] | None = None
        self.history: History = ()
        """How its last runs ended."""
        self.log = logs.open_log(paths, spec, log.warning, keeping)
        self.waiting_for: str | None = None
        """The need that keeps it from being started, while it is starting."""
        self.holdings = ServiceResources(paths, lent)
        self._notify_path = os.path.join(paths.notify, spec.name)
        self.runs: list[ServiceProcess] = []
        """All that isn't gone yet, predecessors too."""
        self._surroundings = surroundings
        self._missing_need = missing_need
        self._guardian = guardian
        self._strays = strays
        self._on_change = on_change
        self._clock = clock
        self._chance = chance
        self._events: deque[Event] = deque()
        self._applying = False
        self.timer: asyncio.TimerHandle | None = None
        self._health: Health | None = None
        self._waiting = StateWaiters()

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
        return self.run.pid if self.run is not None else None

    @property
    def uri(self) -> str | None:
        """The address that its process has told us."""
        return self.run.uri if self.run is not None else None

    @property
    def status_text(self) -> str:
        """What the service says about itself (STATUS=)."""
        return self.run.status_text if self.run is not None else ""

    def uptime(self) -> float | None:
        """Seconds since it became ready; None when it isn't running."""
        return self._clock() - self.life.since if self.state is State.RUNNING else None

    def send(self, event: Event) -> None:
        """Let an event happen; what follows from it is done before this returns."""
        self._events.append(event)
        if self._applying:
            return  # an effect caused it: its turn comes when that effect is done
        self._applying = True
        try:
            while self._events:
                self._apply(self._events.popleft())
        finally:
            self._applying = False

    async def wait_until(self, condition: Callable[[ServiceState], bool]) -> ServiceState:
        """Wait until the life fulfils the condition, and give it as it was then."""
        return self.life if condition(self.life) else await self._waiting.until(condition)

    async def ask(self, question: str, patience: float, **parameters: object) -> Any:
        """Ask the running service about itself; raises OSError when it can't answer."""
        if self.run is None:
            raise OSError("it doesn't run")
        return await self.run.child.ask(question, patience, **parameters)

    def needs_changed(self) -> None:
        """Go on with a start that waits for its needs, if they are ready now."""
        if self.waiting_for is not None:
            self._spawn()

    def respecify(self, spec: ServiceSpec) -> None:
        """Take on another specification of the service.

        What only the manager acts on is in effect at once, everything else from the next start.
        """
        old, self.spec = self.spec, spec
        self.log.use(spec.log)
        if spec != old:
            self._watch()
        for run in self.runs:
            self._guardian.protect(run.pid, spec.stop_timeout)

    def address(self) -> ListenAddress | None:
        """Give where a process that is started now listens; None if it sees to that itself."""
        return launch(self.spec, self._surroundings(self.spec)).listens

    def keeps_address(self) -> bool:
        """Tell whether a process that is started now listens where this one does."""
        return self.holdings.holds(self.address())

    def kill(self) -> None:
        """End all its processes at once."""
        for run in self.runs:
            run.child.kill()
        self._strays.signal(self.name, signal.SIGKILL)

    def close(self) -> None:
        """Let go of the log file and of what was held for it; the service is down."""
        self.log.close()
        self.holdings.close()

    # --- the life-cycle -------------------------------------------------------------------------

    def _apply(self, event: Event) -> None:
        old = self.life
        now = self._clock()
        self.history = note_event(self.history, event, old, self.run, now)
        self.life, actions = lifecycle.step(self.spec, old, event, now, self._chance())
        for action in actions:
            self._perform(action)
        if self.life.state is not old.state:
            self._entered(old)
        self._waiting.tell(self.life)

    def _entered(self, old: ServiceState) -> None:
        if self.state in SETTLED:
            self.holdings.release_socket()
        if self.state is not State.STOPPING:
            self.history = conclude(self.history, self.state)
        self._watch()
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
                self.timer = loop.call_later(seconds, self.send, Timeout())
            case Disarm():
                self._disarm()
            case Effect.SPAWN:
                self._spawn()
            case Effect.TERMINATE:
                self._terminate()
            case Effect.KILL:
                if self.runs:
                    self.log.note(f"{self._why_killed()}: killed")
                self.kill()

    def _why_killed(self) -> str:
        trouble = self.life.outcome.trouble if self.life.outcome is not None else None
        return trouble or f"still there after {self.spec.stop_timeout:g} s"

    def _terminate(self) -> None:
        number = signal.Signals[f"SIG{self.spec.stop_signal}"]
        for run in self.runs:
            run.child.terminate(number)
        self._strays.signal(self.name, number)
        if self.waiting_for is not None:
            self.waiting_for = None
            self.send(SessionEmpty())  # it was still waiting: there is no process

    def pids(self) -> list[int]:
        """Give the processes that it has, of whatever session."""
        found = {run.pid for run in self.runs if not run.ended}
        for run in self.runs:
            found.update(self._strays.census.members(run.pid))
        return sorted(found.union(self._strays.of(self.name)))

    def left_behind(self) -> list[str]:
        """Describe the processes that have left the service's session."""
        return self._strays.describe(self.name)

    def _disarm(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def _watch(self) -> None:
        """Look after the process while it serves, and only then."""
        if self._health is not None:
            self._health.cancel()
            self._health = None
        if self.state is State.RUNNING and self.run is not None:
            busy = lambda: self.successor is not None  # noqa: E731 - handing over takes its time
            self._health = Health(self.spec, self.run, self.holdings.bound(), busy, self._ill)

    def _ill(self, run: ServiceProcess, what: Unhealthy) -> None:
        """End the process about which that was found, if it still is the service."""
        if run is self.run:
            self.send(what)

    # --- the process ----------------------------------------------------------------------------

    def _spawn(self) -> None:
        self.waiting_for = self._missing_need(self.spec)
        if self.waiting_for is not None:
            self.log.note(f"waiting for {self.waiting_for}")
            return
        try:
            self.run = self._begin({})
        except AddressRefused as refused:
            if refused.permanent:
                self.send(SpawnFailed(str(refused)))
            else:  # as if the process had found out itself: the restart policy decides
                self.send(Exited(Outcome(trouble=str(refused))))
                self.send(SessionEmpty())
        except Exception as error:
            if not isinstance(error, (OSError, ValueError)):
                log.exception("a fault of our own in starting %s", self.name)
            self.send(SpawnFailed(f"cannot start: {error}"))

    def spawn_successor(self, env: Mapping[str, str]) -> ServiceProcess:
        """Start the process that is to take over from the one that runs; `env` says from where.

        When it says that it is ready, or the old one ends, it is the service. If it ends first,
        nothing has changed. Raises OSError or ValueError when it can't be started.
        """
        self.successor = self._begin(env)
        self.log.note(f"process {self.successor.pid} is to take over from {self.pid}")
        return self.successor

    def take_over(self, record: RunRecord, fds: dict[str, int]) -> ServiceProcess:
        """Go on with a process that another manager has started."""
        surroundings = self._surroundings(self.spec)
        what = launch(self.spec, surroundings)
        return self._add_run(
            what, surroundings, record.notify_path, before=PriorProcess(record, fds)
        )

    def let_go(self) -> None:
        """End what goes on beside the processes, because another program is to go on with them."""
        if self._health is not None:
            self._health.cancel()
        for run in self.runs:
            run.let_go()

    def put_back(self, life: ServiceState, due: float | None) -> None:
        """Go on with a life that another manager has begun, when its processes are here again."""
        self.life = life
        if due is not None:
            self.timer = asyncio.get_running_loop().call_at(due, self.send, Timeout())
        if self.state is State.STOPPING:
            self._terminate()
        self._watch()

    def _begin(self, more_env: Mapping[str, str]) -> ServiceProcess:
        surroundings = self._surroundings(self.spec)
        what = launch(self.spec, surroundings)
        env = {**what.env, **more_env}
        if what.controlled:
            env["PYROCTL_STATE_DIR"] = self.holdings.state_directory(self.spec)
        self.log.forget()
        path = self._notify_path
        if path in {run.notify_path for run in self.runs}:
            path += "~"
        what = replace(what, env=env)
        listen_fd = self.holdings.listen(what.listens, self.spec)
        run = self._add_run(what, surroundings, path, listen_fd)
        self._guardian.protect(run.pid, self.spec.stop_timeout)
        return run

    def _add_run(
        self,
        what: Launch,
        surroundings: LaunchContext,
        notify_path: str,
        listen_fd: int | None = None,
        before: PriorProcess | None = None,
    ) -> ServiceProcess:
        run = ServiceProcess(
            *(self.spec, what, surroundings, self.log, notify_path, self._guardian),
            census=self._strays.census,
            hooks=ProcessCallbacks(self._became_ready, self._ended, self._gone),
            listen_fd=listen_fd,
            before=before,
        )
        self.runs.append(run)
        return run

    def _became_ready(self, run: ServiceProcess) -> None:
        run.ready_since = self._clock()
        if run is self.run:
            self.send(Ready())
        elif run is self.successor and self.state is State.RUNNING:
            self._change_over(ready=True)

    def _change_over(self, *, ready: bool) -> None:
        self.run, self.successor = self.successor, None
        self.send(Replaced(ready))
        self._watch()

    def _ended(self, run: ServiceProcess, outcome: Outcome) -> None:
        if run is self.run:
            outcome = as_known(outcome, self.state, self.left_behind)
            self.last_end = (outcome, logs.now())
            if self.successor is not None and self.state is State.RUNNING:
                self._change_over(ready=False)
        elif run is self.successor:
            self.successor = None
        if run is self.run:
            self.log.finish()
            self.send(Exited(outcome))
        else:
            self.history = note_other(
                self.history, run, outcome, self.state, self.pid, self._clock()
            )
            run.child.kill()  # what is left of its session is nobody's any more

    def _gone(self, run: ServiceProcess) -> None:
        self._guardian.release(run.pid)
        self.runs.remove(run)
        if not self.runs:
            self._await_strays()

    def _await_strays(self) -> None:
        """Wait for those that have left the session, too: they may hold what the next one needs."""
        for pid in self._strays.of(self.name):
            try:
                ProcessWatch(pid, self._await_strays)
            except ProcessLookupError:
                continue
            return
        if not self.runs:
            self.run = self.successor = None
            self.log.finish()
            self.send(SessionEmpty())
