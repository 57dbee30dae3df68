"""What must hold between services: references, circles, ports, names. Pure."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Any, NamedTuple

from pyroctl.config.check.models import Command, EventService, NameServer, PyroObject
from pyroctl.config.source.diagnostics import Problem
from pyroctl.core.plan import find_circle
from pyroctl.suggestions import nearest_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pyroctl.config.check.models import Service
    from pyroctl.config.source.diagnostics import Path

_EVERY_INTERFACE = frozenset({"0.0.0.0", "::", "[::]"})  # noqa: S104 - recognised, not bound
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1", "[::1]"})


def check(tables: Mapping[str, Any], services: Mapping[str, Service]) -> list[Problem]:
    """Find what is wrong between services.

    `tables` is everything below `services` as it was read, so that a reference to a service with
    mistakes of its own is no second mistake; `services` those that are valid by themselves.
    """
    needs = {name: _needs(table) for name, table in tables.items()}
    return [
        *_references(needs),
        *_circles(needs),
        *_ports(services),
        *_pyro_names(services),
        *_watchdogs(services),
    ]


def _needs(table: Any) -> list[str]:
    listed = table.get("needs") if isinstance(table, dict) else None
    if not isinstance(listed, list):
        return []
    return [name if isinstance(name, str) else "" for name in listed]


def _watchdogs(services: Mapping[str, Service]) -> Iterator[Problem]:
    """Name the commands of which nobody could tell whether they are alive."""
    for name, service in services.items():
        watchdog = service.watchdog
        if not isinstance(service, Command) or watchdog is None:
            continue
        ready = service.ready
        known = ready is None or ready.port or ready.pyro_name or ready.command
        if not known and watchdog.port is None and watchdog.command is None:
            message = "how to ask this command whether it is alive?"
            hint = "add a port or a command to the watchdog"
            yield Problem(("services", name, "watchdog"), message, hint)


def _references(needs: Mapping[str, list[str]]) -> Iterator[Problem]:
    for name, needed in needs.items():
        for index, other in enumerate(needed):
            path = ("services", name, "needs", index)
            if other == name:
                yield Problem(path, "a service can't need itself")
            elif other and other not in needs:
                nearest = nearest_name(other, needs)
                names = ", ".join(needs)
                hint = f'did you mean "{nearest}"?' if nearest else f"services here: {names}"
                yield Problem(path, f'there is no service "{other}"', hint)


def _circles(needs: Mapping[str, list[str]]) -> Iterator[Problem]:
    """Name every circle; each is cut open at its first step to find the next."""
    edges = {
        name: [other for other in dict.fromkeys(needed) if other in needs and other != name]
        for name, needed in needs.items()
    }
    while circle := find_circle(edges):
        message = f"services need each other in a circle: {' → '.join(circle)}"
        yield Problem(("services", circle[0], "needs"), message)
        edges[circle[0]].remove(circle[1])


class _Claim(NamedTuple):
    """A service's claim to a port; the path is that of the key that makes it."""

    service: str
    host: str
    port: int
    path: Path


def _ports(services: Mapping[str, Service]) -> Iterator[Problem]:
    claims = [claim for name, service in services.items() for claim in _claims(name, service)]
    for first, second in combinations(claims, 2):
        if first.port == second.port and _overlap(first.host, second.host):
            message = f"port {second.port} is taken by service {first.service}"
            yield Problem(second.path, message, "give each service a port of its own")


def _claims(name: str, service: Service) -> Iterator[_Claim]:
    path = ("services", name)
    match service:
        case (
            NameServer(host=host, port=port)
            | EventService(host=host, port=port)
            | PyroObject(host=host, port=port)
        ) if port:
            yield _Claim(name, host, port, (*path, "port"))
        case Command(ready=ready) if ready and ready.port:
            yield _Claim(name, ready.host, ready.port, (*path, "ready", "port"))


def _pyro_names(services: Mapping[str, Service]) -> Iterator[Problem]:
    """Find objects that would fight for a name; their instances have numbers in theirs."""
    holders: dict[tuple[str, str | None], str] = {}
    for name, service in services.items():
        if isinstance(service, PyroObject) and service.pyro_name is not None:
            holder = holders.setdefault((service.pyro_name, service.ns), name)
            if holder != name:
                path = ("services", name, "pyro_name")
                message = f'"{service.pyro_name}" is the name of service {holder}'
                yield Problem(path, message, "give each service a name of its own")


def _overlap(one: str, other: str) -> bool:
    if one in _EVERY_INTERFACE or other in _EVERY_INTERFACE:
        return True
    return one == other or {one, other} <= _LOOPBACK
