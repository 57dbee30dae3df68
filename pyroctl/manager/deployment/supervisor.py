"""All services of a deployment, and what they need to know of each other."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from functools import partial
from typing import TYPE_CHECKING

from pyroctl.core import plan
from pyroctl.core.dependents import Dependent, follow
from pyroctl.core.spec import EventServiceOptions, NameServerOptions
from pyroctl.core.state import SETTLED, State, Stop, is_usable
from pyroctl.errors import (
    EXIT_FAILED,
    NotEnded,
    PyroctlError,
    Reported,
    UnknownService,
    UsageError,
)
from pyroctl.kinds.launch import LaunchContext
from pyroctl.manager.cleanup.cleanup_client import CleanupClient
from pyroctl.manager.cleanup.detached import DetachedProcesses
from pyroctl.manager.deployment.name_registry import NameRegistry
from pyroctl.manager.deployment.state_events import StateEvents
from pyroctl.manager.deployment.stopping import take_down
from pyroctl.manager.deployment.unit import Unit
from pyroctl.manager.fdstore import reattach
from pyroctl.manager.process.listening import lent_sockets
from pyroctl.manager.reexec import Handoff

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Sequence

    from pyroctl.core.spec import Deployment, ServiceSpec
    from pyroctl.core.state import Restart
    from pyroctl.manager.fdstore.client import FdStoreClient
    from pyroctl.manager.fdstore.startup import StartupState
    from pyroctl.paths import Paths

ANSWER_TIMEOUT = 2.0
"""Seconds that a service has to answer a question of ours."""

log = logging.getLogger(__name__)


class Supervisor:
    """Holds the units of a deployment. Lives in the event loop's thread."""

    def __init__(
        self,
        deployment: Deployment,
        paths: Paths,
        echo: Callable[[str, bytes], None] | None = None,
        keeping: FdStoreClient | None = None,
    ) -> None:
        self.deployment = deployment
        self.observers: list[Callable[[Unit, State], None]] = []
        """Called after each change with the unit and its old state; they must not wait."""
        self._echo = echo
        self.closing = False
        """Nothing is started any more."""
        self._keeping = keeping
        self._guardian = CleanupClient(paths.cleanup_lock, spare=keeping is not None)
        self._chores: set[asyncio.Task[None]] = set()
        self._paths = paths
        self._strays = DetachedProcesses(self._started)
        self._lent = lent_sockets(os.environ, os.getpid())
        self.units = {name: self._unit(spec) for name, spec in deployment.services.items()}
        self.naming = NameRegistry(lambda: self.units, self._name_server_unit)
        self._publishing = StateEvents(deployment.name, lambda: self.units)

    def start(self, beginning: StartupState) -> None:
        """Get ready to run services, and go on with those of the manager before us."""
        if beginning.handoff is None:
            self._guardian.start()
        else:
            self._guardian.resume(beginning.handoff.guard)
            for name, unfinished in beginning.handoff.unfinished.items():
                self.units[name].log.go_on(unfinished)
        if self._keeping is not None:
            self._keeping.attach(self._keep_all)
            for name in beginning.inheritance.records.keys() - self.units:
                self._keeping.forget(name)
        reattach.resume(self.units, beginning.known, beginning.inheritance)
        self._keep_all()

    async def hand_off(self, lock: int, control: int, nonce: str) -> Handoff:
        """Let go of the services for another program in this process; only that may follow."""
        units = self.units.values()
        for unit in units:
            unit.let_go()
        self._keep_all()
        if self._keeping is not None:
            await self._keeping.flush()
        handoff = Handoff(lock, control, self._guardian.hand_off(), nonce)
        handoff.lent.extend(lent.fileno() for lent in self._lent.values())
        for unit in units if self._keeping is None else ():
            handoff.records[unit.name] = reattach.record(unit)
            handoff.fds.update(reattach.belongings(unit))
            handoff.unfinished[unit.name] = unit.log.unfinished()
        return handoff

    def _keep_all(self) -> None:
        """Let the keeper have all that it takes to go on without us."""
        for unit in self.units.values():
            self._keep(unit)

    def _keep(self, unit: Unit) -> None:
        if self._keeping is not None:
            reattach.keep(self._keeping, unit)

    async def stop(self) -> None:
        """Stop everything, dependents first; what can't be ended keeps nothing else from it."""
        self.closing = True
        for wave in plan.stop_waves(self.units, self.needs()):
            await self._publishing.flush(wave)
            found = await asyncio.gather(*map(take_down, self.choose(wave)), return_exceptions=True)
            for failure in found:
                if failure is not None and not isinstance(failure, NotEnded):
                    log.error("a fault of our own in stopping", exc_info=failure)
        await self.settle()

    def close(self) -> None:
        """Let go of everything; the guard ends what is left of services.

        Raises Reported then, with an entry for each.
        """
        left = [NotEnded(u.name, u.pids()) for u in self.units.values() if u.state not in SETTLED]
        self._publishing.close()
        if left:
            self._guardian.abandon()
        else:
            self._guardian.stop()
        for unit in self.units.values():
            unit.close()
        if self._keeping is not None:
            self._keeping.stop()
        if left:
            raise Reported([entry for each in left for entry in each.entries()], EXIT_FAILED)

    def adopt(self, deployment: Deployment) -> None:
        """Take on another deployment; services that are none in it must be down."""
        self.deployment = deployment
        gone = [unit for name, unit in self.units.items() if name not in deployment.services]
        for name, spec in deployment.services.items():
            if name in self.units:
                self.units[name].respecify(spec)
        self.units = {
            name: self.units.get(name) or self._unit(spec)
            for name, spec in deployment.services.items()
        }
        for unit in gone:
            unit.close()
            if self._keeping is not None:
                self._keeping.forget(unit.name)
        for unit in self.units.values():
            unit.needs_changed()

    def needs(self) -> dict[str, tuple[str, ...]]:
        """Give who needs whom, in the configuration's order."""
        return {name: unit.spec.needs for name, unit in self.units.items()}

    def choose(self, names: Iterable[str]) -> list[Unit]:
        """Give the named units; raises UnknownService."""
        chosen = []
        for name in names:
            if name not in self.units:
                raise UnknownService(name, self.units)
            chosen.append(self.units[name])
        return chosen

    def event_service(self, names: Sequence[str]) -> Unit:
        """Give the event service of that name, or the only one; raises if it doesn't run."""
        found = [u for u in self.units.values() if isinstance(u.spec.options, EventServiceOptions)]
        if names:
            found = [unit for unit in self.choose(names) if unit in found]
        if not found:
            raise PyroctlError(
                f"{names[0]} is no event service" if names else "there is no event service here",
                hint="pyroctl config show lists the services and their kinds",
            )
        if len(found) > 1:
            known = ", ".join(unit.name for unit in found)
            raise UsageError("there are several event services", hint=f"--service, one of {known}")
        (unit,) = found
        if unit.state is not State.RUNNING:
            raise PyroctlError(
                f"{unit.name} is {unit.state}",
                hint=f"pyroctl start {unit.name}",
                service=unit.name,
            )
        return unit

    def enabled(self) -> list[str]:
        """Give the names of the services that start when nobody names any."""
        return [name for name, unit in self.units.items() if unit.spec.enabled]

    async def settle(self) -> None:
        """Wait for what is still to be done about earlier changes of state."""
        while self._chores:
            await asyncio.wait(self._chores)

    def kill_all(self) -> None:
        """End every service at once; somebody is in a hurry."""
        for unit in self.units.values():
            unit.send(Stop())
            unit.kill()

    def reopen_logs(self) -> None:
        """Let every service's log begin a new file, after somebody moved the old ones away."""
        for unit in self.units.values():
            unit.log.reopen()

    def _unit(self, spec: ServiceSpec) -> Unit:
        unit = Unit(
            spec,
            self._paths,
            self._surroundings,
            self._missing_need,
            self._guardian,
            self._changed,
            lent=self._lent.get(spec.name),
            keeping=self._keeping,
            strays=self._strays,
        )
        if self._echo is not None:
            unit.log.echo = partial(self._echo, spec.name)
        return unit

    def _started(self) -> set[int]:
        return {run.pid for unit in self.units.values() for run in unit.runs}

    # --- what services know of each other --------------------------------------------------------

    def _surroundings(self, spec: ServiceSpec) -> LaunchContext:
        return LaunchContext(
            deployment=self.deployment.name,
            directory=self.deployment.directory,
            python=sys.executable,
            environ=os.environ,
            ns=self._name_server_for(spec),
            run=self._paths.run,
            orphans=self.deployment.orphans,
            mark=self._guardian.mark,
        )

    def _name_server_for(self, spec: ServiceSpec) -> str | None:
        """Give HOST:PORT of the name server that the service is to use."""
        unit = self._name_server_unit(spec)
        if unit is None:
            return None
        options = unit.spec.options
        assert isinstance(options, NameServerOptions)
        if unit.uri is not None:
            return unit.uri.rpartition("@")[2]
        return f"{options.host}:{options.port}" if options.port else None

    def _name_server_unit(self, spec: ServiceSpec) -> Unit | None:
        """Give the name server that the service needs, or the only one there is."""
        needed = plan.closure(spec.needs, self.needs())
        servers = [u for u in self.units.values() if isinstance(u.spec.options, NameServerOptions)]
        chosen = [unit for unit in servers if unit.name in needed] or servers[:1]
        return chosen[0] if chosen and not isinstance(spec.options, NameServerOptions) else None

    def _missing_need(self, spec: ServiceSpec) -> str | None:
        """Give a need that isn't ready; an event service without its name server can't begin."""
        for name in spec.needs:
            if not is_usable(self.units[name].life):
                return name
        return None

    def _changed(self, unit: Unit, old: State) -> None:
        following = self._following(unit)
        for other in self.units.values():
            if unit.name in other.spec.needs:
                other.needs_changed()
        self._keep(unit)
        for observe in self.observers:
            observe(unit, old)
        self._publishing.changed(unit)
        self._do(self.naming.changed(unit))
        for name, event in following.items():
            self.units[name].send(event)

    def _following(self, unit: Unit) -> dict[str, Stop | Restart]:
        """Say what becomes of those that need this service, now that it has changed."""
        if self.closing:
            return {}
        dependents = [each for each in self.units.values() if unit.name in each.spec.needs]
        return follow(
            unit.name,
            unit.life,
            [Dependent(d.name, d.spec.on_needs, d.state, d.pid is not None) for d in dependents],
        )

    def _do(self, chore: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(chore)
        self._chores.add(task)
        task.add_done_callback(self._chores.discard)
