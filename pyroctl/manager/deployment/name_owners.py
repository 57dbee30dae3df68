"""Finds the service's process that listens at a registered URI."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING

from pyroctl.core.key_types import UNIX
from pyroctl.core.names import location
from pyroctl.manager.process import listeners

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pyroctl.manager.deployment.unit import Unit

RESOLVE_TIMEOUT = 1.0
"""Seconds for the system to find the addresses of a host name."""
LOOPBACK = frozenset({"127.0.0.1", "::1"})

Hosts = dict[str, frozenset[str]]


class NameOwners:
    """Answers for the services in `units`; a process is given by its pid."""

    def __init__(self, units: Callable[[], Mapping[str, Unit]]) -> None:
        self._units = units
        self._resolved: Hosts = {"localhost": LOOPBACK}
        """The hosts at which services have been found."""

    def alive(self) -> set[int]:
        """Return the processes of all services, without those whose session is empty."""
        return {
            pid
            for unit in self._units().values()
            for pid in (unit.pid, *(process.pid for process in unit.processes.all))
            if pid is not None
        }

    async def find(self, uris: Iterable[str]) -> dict[str, int | None]:
        """Return the process of each URI; None without such a service."""
        wanted = {uri: location(uri) for uri in uris}
        reported = self._reported()
        others = set(wanted.values()) - reported.keys()
        names = [_host_port(each)[0] for each in others if not each.startswith(UNIX)]
        addresses = await asyncio.gather(*map(self._addresses, names))
        hosts = dict(zip(names, addresses, strict=True))
        sessions = {
            pid: members
            for unit in self._units().values()
            for pid, members in unit.processes.sessions().items()
        }
        places = listeners.places_of(sessions) if others else {}
        found = {**reported, **{each: self._listening(each, places, hosts) for each in others}}
        return {uri: found[where] for uri, where in wanted.items()}

    def _reported(self) -> dict[str, int]:
        """Return the locations that processes have reported, which may be those of a router."""
        found: dict[str, int] = {}
        for unit in self._units().values():
            for process in (unit.process, *unit.processes.all):
                if process is not None and process.record.uri and not process.ended:
                    found.setdefault(location(process.record.uri), process.pid)
        return found

    def _listening(
        self, where: str, places: Mapping[listeners.Place, int], hosts: Hosts
    ) -> int | None:
        if where.startswith(UNIX):
            return places.get(where.removeprefix(UNIX).replace("\0", "@"))
        host, port = _host_port(where)
        for place, pid in places.items():
            if listeners.is_at(place, hosts[host], port):
                self._resolved[host] = hosts[host]
                return pid
        return None

    async def _addresses(self, host: str) -> frozenset[str]:
        if host in self._resolved:
            return self._resolved[host]
        with contextlib.suppress(ValueError):  # a name, not an address
            return frozenset({listeners.plain(host)})
        try:
            async with asyncio.timeout(RESOLVE_TIMEOUT):
                found = await asyncio.get_running_loop().getaddrinfo(
                    host, None, type=socket.SOCK_STREAM
                )
        except (OSError, UnicodeError):
            return frozenset()
        return frozenset(listeners.plain(str(address[0])) for *_, address in found)


def _host_port(where: str) -> tuple[str, int]:
    host, _, port = where.rpartition(":")
    return host.strip("[]"), int(port) if port.isdecimal() else 0
