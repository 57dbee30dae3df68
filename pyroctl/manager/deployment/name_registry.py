"""Names of our services in our own name servers: one that comes back empty knows them again."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from pyroctl.core.spec import CommandOptions, NameReady, NameServerOptions, registers_here
from pyroctl.core.state import State

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pyroctl.core.spec import ServiceSpec
    from pyroctl.manager.deployment.unit import Unit

ANSWER_TIMEOUT = 2.0
"""Seconds that a service or a name server has to answer."""

log = logging.getLogger(__name__)


class NameRegistry:
    """Remembers what commands have registered, and sees to it that names are put back.

    Our own kinds register again when they are asked to; a command can't be asked, so the name that
    makes it ready is noted when it is, and given to the name server again. `name_server_for` gives
    the unit whose names a service's is among.
    """

    def __init__(
        self,
        units: Callable[[], Mapping[str, Unit]],
        name_server_for: Callable[[ServiceSpec], Unit | None],
    ) -> None:
        self._units = units
        self._name_server_for = name_server_for
        self._noted: dict[str, dict[str, Any]] = {}
        """By service: its registration as the name server gave it, by name."""

    def our_uris(self) -> set[str | None]:
        """Give the addresses whose names come back by themselves."""
        uris = {unit.uri for unit in self._units().values()}
        noted = (entry for found in self._noted.values() for entry in found.values())
        return uris | {str(uri) for uri, _ in noted}

    async def changed(self, unit: Unit) -> None:
        """Do what a change of a unit's state asks for."""
        if unit.state is not State.RUNNING:
            self._noted.pop(unit.name, None)
        elif isinstance(unit.spec.options, NameServerOptions):
            running = [each for each in self._units().values() if each.state is State.RUNNING]
            ours = [each for each in running if self._name_server_for(each.spec) is unit]
            await asyncio.gather(*(self._put_back(each, unit) for each in ours))
        elif (name := _name_of(unit.spec)) is not None:
            await self._note(unit, name)

    async def _put_back(self, unit: Unit, name_server: Unit) -> None:
        ns = (name_server.uri or "").rpartition("@")[2]
        try:
            if registers_here(unit.spec.options):
                await unit.ask("register", ANSWER_TIMEOUT, ns=ns)
            elif unit.name in self._noted:
                await name_server.ask("restore", ANSWER_TIMEOUT, names=self._noted[unit.name])
            else:
                return
            log.info("%s is registered again in the name server at %s", unit.name, ns)
        except OSError as error:
            log.warning("%s could not register again in the name server: %s", unit.name, error)

    async def _note(self, unit: Unit, name: str) -> None:
        name_server = self._name_server_for(unit.spec)
        if name_server is None:
            return
        try:
            found = await name_server.ask("registrations", ANSWER_TIMEOUT, names=[name])
        except OSError as error:
            log.warning("can't see how %s is registered: %s", name, error)
        else:
            self._noted[unit.name] = found


def _name_of(spec: ServiceSpec) -> str | None:
    """Give the name that a command registers itself."""
    match spec.options:
        case CommandOptions(ready=NameReady(name)):
            return name
    return None
