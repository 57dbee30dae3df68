"""What must hold between services: references, cycles, ports, names. Pure."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Any, NamedTuple

from pyroctl.config.check.placeholders import check_placeholders
from pyroctl.config.source.diagnostics import Problem
from pyroctl.core.instances import common_name, expand
from pyroctl.core.options.page import WebOptions
from pyroctl.core.plan import find_cycle
from pyroctl.core.spec import (
    CommandOptions,
    EventServiceOptions,
    NameServerOptions,
    ObjectOptions,
    PortReady,
)
from pyroctl.core.watchdog import check_of
from pyroctl.suggestions import nearest_name

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from pyroctl.config.source.diagnostics import Path
    from pyroctl.core.spec import ServiceSpec

_EVERY_INTERFACE = frozenset({"0.0.0.0", "::", "[::]"})  # noqa: S104 - compared, not bound
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1", "[::1]"})


def check(
    tables: Mapping[str, Any], services: Mapping[str, ServiceSpec], counts: Mapping[str, int]
) -> list[Problem]:
    """Return what is wrong between services.

    `tables` is everything below `services` as it was read, so that a reference to a service with
    problems of its own is not another problem; `services` are those that are valid by themselves,
    `counts` the numbers of instances of those that have several.
    """
    needs = {name: _needs(table) for name, table in tables.items()}
    return [
        *_references(needs),
        *_cycles(needs),
        *_ports(services),
        *_ports_of_instances(services, counts),
        *_pyro_names(services, counts),
        *_watchdogs(services),
        *check_placeholders(tables, services, counts),
    ]


def _needs(table: Any) -> list[str]:
    listed = table.get("needs") if isinstance(table, dict) else None
    if not isinstance(listed, list):
        return []
    return [name if isinstance(name, str) else "" for name in listed]


def _watchdogs(services: Mapping[str, ServiceSpec]) -> Iterator[Problem]:
    """Find the commands that the watchdog has no way to check."""
    for name, spec in services.items():
        if spec.watchdog is not None and check_of(spec) is None:
            message = "there is no way to check whether this command is alive"
            hint: str | None = "add a port or a command to the watchdog"
            if spec.watchdog.call is not None:
                message = f"there is no object whose {spec.watchdog.call} could be called"
                hint = "for kind object, or a command that is ready by pyro_name, log or notify"
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


def check_names(path: Path, names: Iterable[str], known: Collection[str]) -> Iterator[Problem]:
    """Find names that are not those of services."""
    for index, name in enumerate(names):
        if common_name(name) not in known:
            nearest = nearest_name(name, known)
            hint = f'did you mean "{nearest}"?' if nearest else f"services here: {', '.join(known)}"
            yield Problem((*path, index), f'there is no service "{name}"', hint)


def _cycles(needs: Mapping[str, list[str]]) -> Iterator[Problem]:
    """Find every cycle; each is cut open at its first step to find the next."""
    edges = {
        name: [other for other in dict.fromkeys(needed) if other in needs and other != name]
        for name, needed in needs.items()
    }
    while cycle := find_cycle(edges):
        message = f"services need each other in a cycle: {' → '.join(cycle)}"
        yield Problem(("services", cycle[0], "needs"), message)
        edges[cycle[0]].remove(cycle[1])


class _Claim(NamedTuple):
    """A service's claim to a port; the path is that of the key that makes it."""

    service: str
    host: str
    port: int
    path: Path


def _ports(services: Mapping[str, ServiceSpec]) -> Iterator[Problem]:
    claims = [claim for spec in services.values() for claim in _claims(spec)]
    for first, second in combinations(claims, 2):
        if first.port == second.port and _overlap(first.host, second.host):
            message = f"port {second.port} is taken by service {first.service}"
            yield Problem(second.path, message, "give each service a port of its own")


def _claims(spec: ServiceSpec) -> Iterator[_Claim]:
    path = ("services", spec.name)
    match spec.options:
        case (
            NameServerOptions(host=host, port=port)
            | EventServiceOptions(host=host, port=port)
            | ObjectOptions(host=host, port=port)
            | WebOptions(host=host, port=int(port), socket=None)
        ) if port:
            yield _Claim(spec.name, host, port, (*path, "port"))
        case CommandOptions(ready=PortReady(port, host)):
            yield _Claim(spec.name, host, port, (*path, "ready", "port"))


def _ports_of_instances(
    services: Mapping[str, ServiceSpec], counts: Mapping[str, int]
) -> Iterator[Problem]:
    for name, count in counts.items():
        options = services[name].options
        if count > 1 and isinstance(options, ObjectOptions) and options.port:
            message = f"{count} instances can't listen on one port"
            yield Problem(("services", name, "instances"), message, "leave port out")


def _pyro_names(
    services: Mapping[str, ServiceSpec], counts: Mapping[str, int]
) -> Iterator[Problem]:
    """Find objects that would compete for a name; instances have numbers in theirs."""
    holders: dict[tuple[str, str | None], str] = {}
    for name, spec in expand(services, counts).items():
        match spec.options:
            case ObjectOptions(ns=ns, pyro_name=own, objects=objects) as options:
                for known in options.all_names:
                    holder = holders.setdefault((known, ns), name)
                    if holder != name:
                        key = "pyro_name" if known == own else "names"
                        key = "objects" if known in objects else key
                        message = f'"{known}" is the name of service {holder}'
                        hint = "give each service a name of its own"
                        yield Problem(("services", common_name(name), key), message, hint)


def _overlap(one: str, other: str) -> bool:
    if one in _EVERY_INTERFACE or other in _EVERY_INTERFACE:
        return True
    return one == other or {one, other} <= _LOOPBACK
