"""Keeps the name servers true: names of running services are there, and those of dead ones aren't.

Our own name servers report every change of their names, so the manager knows them when one is
killed. A name belongs to the service whose process listens at its address, whoever registered it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from pyroctl.core.names import GONE, NameTable, batches, names_here
from pyroctl.core.spec import NameServerOptions
from pyroctl.core.state import State
from pyroctl.manager.deployment.caller_check import CallerCheck
from pyroctl.manager.deployment.name_owners import NameOwners
from pyroctl.manager.process.control_link import ANSWER_TIMEOUT

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping, Sequence

    from pyroctl.core.spec import ServiceSpec
    from pyroctl.manager.deployment.unit import Unit

REST = 4
"""How much longer than the processor time of a search for owners the pause after it is: many
registrations share one."""
MOST_LISTED = 20
"""Lost names that the log lists; the others are only counted."""

log = logging.getLogger(__name__)


class NameRegistry:
    """Restores and removes the names of services in the deployment's name servers.

    Our own kinds register again on request; what else is lost is registered for its owner.
    `name_server_for` returns the unit that has the name of a service, `run` carries out work in
    the background that a command may wait for, and `serve` what clients cause. Lives in the event
    loop's thread.
    """

    def __init__(
        self,
        units: Callable[[], Mapping[str, Unit]],
        name_server_for: Callable[[ServiceSpec], Unit | None],
        run: Callable[[Coroutine[None, None, None]], None],
        serve: Callable[[Coroutine[None, None, None]], None],
    ) -> None:
        self._units = units
        self._name_server_for = name_server_for
        self._run = run
        self._serve = serve
        self._owners = NameOwners(units)
        self._callers = CallerCheck(units, serve)
        self._tables: WeakKeyDictionary[Unit, NameTable] = WeakKeyDictionary()
        self._new: dict[Unit, int] = {}
        """The last reports of name servers with names whose owner nobody has looked for yet."""
        self._looking = False

    def of(self, pid: int) -> list[str]:
        """Return the names that a process of a service has, in any name server."""
        return sorted(name for table in self._tables.values() for name in table.uris({pid}))

    async def foreign(self, name_server: Unit) -> list[str]:
        """Return the names in a name server that no service has, or had until it ended."""
        await self._look_up()
        table = self._tables.get(name_server)
        return [] if table is None else list(table.foreign())

    def resume(self) -> None:
        """Continue with the name servers of the manager before this one."""
        for unit in self._name_servers():
            self._run(self._watch(unit))

    async def changed(self, unit: Unit) -> None:
        """React to a change of a unit's state."""
        if unit.state is State.RUNNING:
            if isinstance(unit.spec.options, NameServerOptions):
                await self._refill(unit)
            else:
                await self._look_up()  # what it had registered before it listened there
        elif unit.state is State.STOPPING and unit.process is not None and unit.process.ended:
            await self._remove([unit.process.pid])  # although the rest of its session may live on

    def release(self, pids: Sequence[int], then: Callable[[], None]) -> None:
        """Remove the names of processes that have ended, and call `then`.

        A name server that doesn't answer delays that by a bounded time.
        """
        for unit, table in self._tables.items():
            if unit.process is not None and (control := unit.process.handle.control) is not None:
                control.drain()  # a last name may have been reported just now
            table.ended(pids)
        owners = [pid for pid in pids if self.of(pid)]
        if owners:
            self._run(self._release(owners, then))
        else:
            then()

    async def _release(self, pids: list[int], then: Callable[[], None]) -> None:
        try:
            await self._remove(pids)
        finally:
            then()

    def _name_servers(self) -> list[Unit]:
        return [
            unit
            for unit in self._units().values()
            if isinstance(unit.spec.options, NameServerOptions) and unit.state is State.RUNNING
        ]

    # --- a name server that has started ----------------------------------------------------------

    async def _refill(self, unit: Unit) -> None:
        """Restore what a name server has lost, and remove what has ended meanwhile."""
        self._listen(unit)  # first of all: services are about to register
        table = self._tables.setdefault(unit, NameTable())
        foreign = table.foreign()
        await self._find_owners(table, table.uris())
        alive = self._owners.alive()
        await self._ask_to_remove(unit, table.dead(alive))
        table.drop(table.dead(alive))
        try:
            for batch in batches(table.restorable(alive)):
                await unit.ask("restore", names=batch, strange=table.strange(batch))
        except OSError as error:
            log.warning("names could not be restored in %s: %s", unit.name, error)
        await self._watch(unit)
        if lost := [name for name in foreign if name not in table.uris()]:
            more = f" and {len(lost) - MOST_LISTED} more" if len(lost) > MOST_LISTED else ""
            names = ", ".join(lost[:MOST_LISTED]) + more
            log.warning("%s has lost names that belong to no service here: %s", unit.name, names)
        units = [each for each in self._units().values() if each.state is State.RUNNING]
        ours = [each for each in units if self._name_server_for(each.spec) is unit]
        await asyncio.gather(*(self._register(each, unit) for each in ours))

    async def _register(self, unit: Unit, name_server: Unit) -> None:
        """Ask a service of our own kinds to register by itself: the address may be a new one."""
        if not names_here(unit.spec.options):
            return
        ns = (name_server.uri or "").rpartition("@")[2]
        try:
            await unit.ask("register", ns=ns)
            log.info("%s is registered again in the name server at %s", unit.name, ns)
        except OSError as error:
            log.warning("%s could not be registered again in the name server: %s", unit.name, error)

    async def _watch(self, unit: Unit) -> None:
        """Ask the name server to report its names: all of them now, and then each change."""
        self._listen(unit)
        try:
            await unit.ask("watch")
        except OSError as error:
            log.warning("%s doesn't report its names: %s", unit.name, error)
        await self._look_up()

    def _listen(self, unit: Unit) -> None:
        """Take the reports of a name server, and its questions."""
        control = unit.process.handle.control if unit.process is not None else None
        if control is not None:
            control.on_report = partial(self._on_report, unit)

    def _on_report(self, unit: Unit, report: Mapping[str, Any]) -> None:
        if report["report"] == "caller":
            self._callers.identify(unit, report)
        else:
            self._reported(unit, report)

    def _reported(self, unit: Unit, report: Mapping[str, Any]) -> None:
        table = self._tables.setdefault(unit, NameTable())
        registrars = report.get("registrars", {})  # none from one that is older
        table.update(report["names"], complete=report["complete"], registrars=registrars)
        if any(report["names"].values()):  # else all were removed, and no client waits
            self._new[unit] = report["number"]
            if not self._looking:
                self._looking = True
                self._serve(self._look_up_new())

    # --- whose a name is -------------------------------------------------------------------------

    async def _look_up_new(self) -> None:
        """Find the owners of new names; the clients that have registered them wait for that."""
        try:
            while self._new:
                new, self._new = self._new, {}
                started = time.thread_time()
                for unit, number in new.items():
                    table = self._tables[unit]
                    table.acknowledge(self._callers.ours(table.registrars()))
                    await self._find_owners(table, table.new())
                    await self._protect(unit)
                    await unit.ask_or(None, "seen", number=number)
                await asyncio.sleep(REST * (time.thread_time() - started))
        finally:
            self._looking = False

    async def _look_up(self) -> None:
        """Look again for the owners of all names that have none."""
        for unit, table in list(self._tables.items()):
            await self._find_owners(table, table.foreign())
            await self._protect(unit)

    async def _protect(self, unit: Unit) -> None:
        """Send the name server the names to guard: those whose owners were found."""
        for batch in batches(self._tables[unit].unprotected()):
            await unit.ask_or(None, "protect", names=batch)

    async def _find_owners(self, table: NameTable, names: Mapping[str, str]) -> None:
        if names:
            table.settle(await self._owners.find(names.values()))

    # --- the names of processes that have ended --------------------------------------------------

    async def _remove(self, pids: list[int]) -> None:
        """Remove the names of these processes at whose addresses no service listens any more."""
        for unit, table in list(self._tables.items()):
            names = table.uris(pids)
            await self._find_owners(table, names)
            if unit.state is State.RUNNING:
                gone = table.uris({GONE})
                await self._ask_to_remove(unit, {n: uri for n, uri in gone.items() if n in names})

    async def _ask_to_remove(self, unit: Unit, names: Mapping[str, str]) -> None:
        try:
            for batch in batches(names):
                before = time.monotonic() + ANSWER_TIMEOUT
                if removed := await unit.ask("remove", names=batch, before=before):
                    log.info("removed names of ended processes: %s", ", ".join(removed))
        except OSError as error:
            log.warning("names of ended processes may remain in %s: %s", unit.name, error)
