"""Registers our services again in our own name servers, when one of those comes back empty."""

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

log = logging.getLogger(__name__)


class NameRegistry:
    """Restores the names of services in a name server that has restarted.

    Our own kinds register again on request. A command can't be asked, so the registration that
    makes it ready is recorded, and sent to the name server again. `name_server_for` returns the
    unit that has the name of a service.
    """

    def __init__(
        self,
        units: Callable[[], Mapping[str, Unit]],
        name_server_for: Callable[[ServiceSpec], Unit | None],
    ) -> None:
        self._units = units
        self._name_server_for = name_server_for
        self._recorded: dict[str, dict[str, Any]] = {}
        """By service: its registrations as returned by the name server, by name."""

    def our_uris(self) -> set[str | None]:
        """Return the addresses whose names are restored automatically."""
        uris = {unit.uri for unit in self._units().values()}
        recorded = (entry for found in self._recorded.values() for entry in found.values())
        return uris | {str(uri) for uri, _ in recorded}

    async def changed(self, unit: Unit) -> None:
        """React to a change of a unit's state."""
        if unit.state is not State.RUNNING:
            self._recorded.pop(unit.name, None)
        elif isinstance(unit.spec.options, NameServerOptions):
            running = [each for each in self._units().values() if each.state is State.RUNNING]
            ours = [each for each in running if self._name_server_for(each.spec) is unit]
            await asyncio.gather(*(self._restore(each, unit) for each in ours))
        else:
            match unit.spec.options:
                case CommandOptions(ready=NameReady(name)):
                    await self._record(unit, name)

    async def _restore(self, unit: Unit, name_server: Unit) -> None:
        ns = (name_server.uri or "").rpartition("@")[2]
        try:
            if registers_here(unit.spec.options):
                await unit.ask("register", ns=ns)
            elif unit.name in self._recorded:
                await name_server.ask("restore", names=self._recorded[unit.name])
            else:
                return
            log.info("%s is registered again in the name server at %s", unit.name, ns)
        except OSError as error:
            log.warning("%s could not be registered again in the name server: %s", unit.name, error)

    async def _record(self, unit: Unit, name: str) -> None:
        name_server = self._name_server_for(unit.spec)
        if name_server is None:
            return
        try:
            found = await name_server.ask("registrations", names=[name])
        except OSError as error:
            log.warning("cannot read the registration of %s: %s", name, error)
        else:
            self._recorded[unit.name] = found
