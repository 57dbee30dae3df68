"""All services of a deployment, and how they depend on each other."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import sys
from functools import partial
from typing import TYPE_CHECKING

from pyroctl.core import plan
from pyroctl.core.dependents import Dependent, follow
from pyroctl.core.names import name_here
from pyroctl.core.record import stamp, to_json
from pyroctl.core.spec import EventServiceOptions, NameServerOptions
from pyroctl.core.state import SETTLED, USABLE, State, Stop
from pyroctl.errors import (
    EXIT_FAILED,
    NotEnded,
    PyroctlError,
    Reported,
    UnknownService,
    UsageError,
)
from pyroctl.kinds import LaunchContext
from pyroctl.manager.cleanup.cleanup_client import CleanupClient
from pyroctl.manager.cleanup.detached import DetachedProcesses
from pyroctl.manager.deployment import reattach
from pyroctl.manager.deployment.name_registry import NameRegistry
from pyroctl.manager.deployment.scheduler import Scheduler
from pyroctl.manager.deployment.state_events import StateEvents
from pyroctl.manager.deployment.stopping import take_down
from pyroctl.manager.deployment.unit import Unit
from pyroctl.manager.deployment.unit_parts import UnitParts
from pyroctl.manager.process.listening import lent_sockets
from pyroctl.manager.reexec import ReexecState

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Sequence

    from pyroctl.core.spec import Deployment, ServiceSpec
    from pyroctl.core.state import Restart
    from pyroctl.manager.fdstore.client import FdStoreClient
    from pyroctl.manager.fdstore.startup import StartupState
    from pyroctl.paths import Paths

log = logging.getLogger(__name__)


class Supervisor:
    """Owns the units of a deployment. Lives in the event loop's thread."""

    def __init__(
        self,
        deployment: Deployment,
        paths: Paths,
        echo: Callable[[str, bytes], None] | None = None,
        fdstore: FdStoreClient | None = None,
        certs: str = "",
    ) -> None:
        self.deployment = deployment
        self._names_key = secrets.token_hex(32)
        self.observers: list[Callable[[Unit, State], None]] = []
        """Called after each change with the unit and its old state; they must not block."""
        self.closing = False
        """Whether nothing may start any more."""
        self._echo = echo
        self._fdstore = fdstore
        self._paths = paths
        self._certs = certs
        self._cleanup = CleanupClient(paths.cleanup_lock, helpers_only=fdstore is not None)
        self._tasks: set[asyncio.Task[None]] = set()
        self._serving: set[asyncio.Task[None]] = set()
        """What clients of name servers cause: they may never stop, so no command waits for it."""
        self._lent = lent_sockets(os.environ, os.getpid())
        detached = DetachedProcesses(paths.run, self._started)
        self.names = NameRegistry(
            lambda: self.units, self._name_server_unit, self._run, self._serve
        )
        self._parts = UnitParts(
            *(paths, self._launch_context, self._missing_need, self._changed),
            *(self._cleanup, detached, self.names, fdstore),
        )
        self.units = {name: self._unit(spec) for name, spec in deployment.services.items()}
        self.scheduler = Scheduler(lambda: self.units)
        self._state_events = StateEvents(deployment.name, lambda: self.units)

    def start(self, startup: StartupState) -> None:
        """Prepare to run services, and reattach those of the previous manager."""
        if startup.reexec is None:
            self._cleanup.start()
        else:
            self._cleanup.restore(startup.reexec.guard)
            for name, unfinished in startup.reexec.unfinished.items():
                self.units[name].log.restore(unfinished)
        if self._fdstore is not None:
            self._fdstore.attach(self._store_all)
            for name in startup.stored.records.keys() - self.units:
                self._fdstore.remove(name)
        reattach.reattach(self.units, startup.records, startup.stored)
        self.names.resume()
        self._store_all()

    async def prepare_reexec(self, lock: int, control: int, nonce: str) -> ReexecState:
        """Return what the next program in this process needs; only `reexec.execute` may follow."""
        units = self.units.values()
        for unit in units:
            unit.stop_watching()
        self._store_all()
        if self._fdstore is not None:
            await self._fdstore.flush()
        state = ReexecState(lock, control, self._cleanup.snapshot(), nonce)
        state.lent.extend(self._lent.values())
        for unit in units if self._fdstore is None else ():
            state.records[unit.name] = to_json(unit.snapshot())
            state.fds.update(reattach.descriptors(unit))
            state.unfinished[unit.name] = unit.log.unfinished()
        return state

    def _store_all(self) -> None:
        """Send the descriptor store everything that the next manager needs."""
        for unit in self.units.values():
            self._store(unit)

    def _store(self, unit: Unit) -> None:
        if self._fdstore is not None:
            reattach.store(self._fdstore, unit)

    def restore_notify_sockets(self) -> bool:
        """Make the notification sockets again that were removed; return whether any were.

        Raises OSError.
        """
        found = False
        for unit in self.units.values():
            for process in unit.processes.all:
                if process.restore_notify_socket():
                    self._store(unit)
                    found = True
        return found

    async def stop(self) -> None:
        """Stop everything, dependents first; what can't be ended delays nothing else."""
        self.closing = True
        self.scheduler.forget(self.scheduler.pending())
        for wave in plan.stop_waves(self.units, self.needs()):
            await self._state_events.flush(wave)
            found = await asyncio.gather(*map(take_down, self.choose(wave)), return_exceptions=True)
            for failure in found:
                if failure is not None and not isinstance(failure, NotEnded):
                    log.error("internal error in stopping", exc_info=failure)
        await self.settle()

    def close(self) -> None:
        """Release everything; the cleanup process ends what is left of services.

        Raises Reported if there is any, with an entry for each service.
        """
        units = self.units.values()
        left = [NotEnded(u.name, u.processes.pids()) for u in units if u.state not in SETTLED]
        self._state_events.close()
        if left:
            self._cleanup.abandon()
        else:
            self._cleanup.stop()
        for unit in units:
            unit.close()
        if self._fdstore is not None:
            self._fdstore.stop()
        if left:
            raise Reported([entry for each in left for entry in each.entries()], EXIT_FAILED)

    def apply(self, deployment: Deployment) -> None:
        """Apply another configuration; services that are not in it have to be down."""
        self.deployment = deployment
        removed = [unit for name, unit in self.units.items() if name not in deployment.services]
        for name, spec in deployment.services.items():
            if name in self.units:
                self.units[name].reconfigure(spec)
        self.units = {
            name: self.units.get(name) or self._unit(spec)
            for name, spec in deployment.services.items()
        }
        for unit in removed:
            unit.close()
            if self._fdstore is not None:
                self._fdstore.remove(unit.name)
        for unit in self.units.values():
            unit.needs_changed()
        self.scheduler.refresh()

    def announce(self, what: str, state: str, about: dict[str, object]) -> None:
        """Publish the state of something that is not a service, see `StateEvents.announce`."""
        self._state_events.announce(what, state, about)

    def announcements(self) -> dict[str, int]:
        """Return how many announcements wait for an event service, and how many were dropped."""
        waiting, dropped = self._state_events.counted()
        return {"announcements_waiting": waiting, "announcements_dropped": dropped}

    def stamps(self) -> dict[str, int]:
        """Return the stamp of each service's process, or of its specification without one."""
        return {
            name: unit.process.record.stamp if unit.process is not None else stamp(unit.spec)
            for name, unit in self.units.items()
        }

    def needs(self) -> dict[str, tuple[str, ...]]:
        """Return the needs of each service, in the order of the configuration."""
        return {name: unit.spec.needs for name, unit in self.units.items()}

    def choose(self, names: Iterable[str]) -> list[Unit]:
        """Return the named units; raise UnknownService."""
        chosen = []
        for name in names:
            if name not in self.units:
                raise UnknownService(name, self.units)
            chosen.append(self.units[name])
        return chosen

    def event_service(self, names: Sequence[str]) -> Unit:
        """Return the event service of that name, or the only one; raise if it is not running."""
        found = [u for u in self.units.values() if isinstance(u.spec.options, EventServiceOptions)]
        if names:
            found = [unit for unit in self.choose(names) if unit in found]
        if not found:
            raise PyroctlError(
                f"{names[0]} is not an event service"
                if names
                else "no event service is configured",
                hint="pyroctl config show lists the services and their kinds",
            )
        if len(found) > 1:
            known = ", ".join(unit.name for unit in found)
            raise UsageError(
                "there are several event services", hint=f"choose one with --service: {known}"
            )
        (unit,) = found
        if unit.state is not State.RUNNING:
            raise PyroctlError(
                f"{unit.name} is {unit.state}",
                hint=f"pyroctl start {unit.name}",
                service=unit.name,
            )
        return unit

    def enabled(self) -> list[str]:
        """Return the names of the services that start by default."""
        return [name for name, unit in self.units.items() if unit.spec.enabled]

    async def settle(self) -> None:
        """Wait for tasks that earlier changes of state have caused."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def kill_all(self) -> None:
        """Kill all services."""
        for unit in self.units.values():
            unit.send(Stop())
            unit.processes.kill()

    def reopen_logs(self) -> None:
        """Open all logs again, after the files were moved away."""
        for unit in self.units.values():
            unit.log.reopen()

    def _unit(self, spec: ServiceSpec) -> Unit:
        unit = Unit(spec, self._parts, self._lent.get(spec.name))
        if self._echo is not None:
            unit.log.echo = partial(self._echo, spec.name)
        return unit

    def _started(self) -> set[int]:
        """Return the sessions of services' processes and of programs that help them."""
        services = {process.pid for unit in self.units.values() for process in unit.processes.all}
        return services | self._cleanup.helpers()

    # --- dependencies ---------------------------------------------------------------------------

    def _launch_context(self, spec: ServiceSpec) -> LaunchContext:
        return LaunchContext(
            deployment=self.deployment.name,
            directory=self.deployment.directory,
            python=sys.executable,
            environ=os.environ,
            ns=self._name_server_for(spec),
            run=self._paths.run,
            certs=self._certs,
            ns_tls=self._name_server_with_tls(spec),
            orphans=self.deployment.orphans,
            mark=self._cleanup.mark,
            reserved=self._reserved(),
            names_key=self._names_key,
            file=self.deployment.file,
            state=self._paths.state,
            logs=self._paths.logs,
        )

    def _reserved(self) -> tuple[str, ...]:
        """Return the names that services of our own kinds have in the name server."""
        names = (name_here(spec.options) for spec in self.deployment.services.values())
        return tuple(name for name in names if name is not None)

    def _name_server_for(self, spec: ServiceSpec) -> str | None:
        """Return HOST:PORT of the name server for the service."""
        unit = self._name_server_unit(spec)
        if unit is None:
            return None
        options = unit.spec.options
        assert isinstance(options, NameServerOptions)
        if unit.uri is not None:
            return unit.uri.rpartition("@")[2]
        return f"{options.host}:{options.port}" if options.port else None

    def _name_server_with_tls(self, spec: ServiceSpec) -> NameServerOptions | None:
        """Return the options of the name server for the service, if it accepts only TLS."""
        unit = self._name_server_unit(spec)
        options = unit.spec.options if unit is not None else None
        if isinstance(options, NameServerOptions) and options.tls == "required":
            return options
        return None

    def _name_server_unit(self, spec: ServiceSpec) -> Unit | None:
        """Return the name server that the service needs, or else the first one."""
        needed = plan.closure(spec.needs, self.needs())
        servers = [u for u in self.units.values() if isinstance(u.spec.options, NameServerOptions)]
        chosen = [unit for unit in servers if unit.name in needed] or servers[:1]
        return chosen[0] if chosen and not isinstance(spec.options, NameServerOptions) else None

    def _missing_need(self, spec: ServiceSpec) -> str | None:
        """Return a need of the service that is not ready."""
        return next((n for n in spec.needs if self.units[n].state not in USABLE), None)

    def _changed(self, unit: Unit, old: State) -> None:
        following = self._following(unit)
        for other in self.units.values():
            if unit.name in other.spec.needs:
                other.needs_changed()
        self._store(unit)
        for observe in self.observers:
            observe(unit, old)
        self._state_events.publish(unit)
        self._run(self.names.changed(unit))
        for name, event in following.items():
            self.units[name].send(event)

    def _following(self, unit: Unit) -> dict[str, Stop | Restart]:
        """Return the events for the services that need this one, now that it has changed."""
        if self.closing:
            return {}
        dependents = [each for each in self.units.values() if unit.name in each.spec.needs]
        return follow(
            unit.name,
            unit.service_state,
            [Dependent(d.name, d.spec.on_needs, d.state, d.pid is not None) for d in dependents],
        )

    def _run(self, work: Coroutine[None, None, None]) -> None:
        _keep(work, self._tasks)

    def _serve(self, work: Coroutine[None, None, None]) -> None:
        _keep(work, self._serving)


def _keep(work: Coroutine[None, None, None], tasks: set[asyncio.Task[None]]) -> None:
    """Carry out work in the background, in a set of tasks until it is done."""
    task = asyncio.get_running_loop().create_task(work)
    tasks.add(task)
    task.add_done_callback(tasks.discard)
