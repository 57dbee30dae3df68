"""Several instances of one service: `worker` with `instances = 3` is worker@1, worker@2, worker@3.

The configuration, the command line and other services' needs also use the common name; for
everything else they are services like any others.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pyroctl.core.expansion.texts import named, own_values

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pyroctl.core.spec import ServiceSpec

MARK = "@"
"""Between name and number; names in a configuration can't contain it."""


def common_name(name: str) -> str:
    """Return the name without the number of an instance."""
    return name.partition(MARK)[0]


def members(name: str, known: Iterable[str]) -> list[str]:
    """Return the services that a name means: itself, or all its instances; [] if there is none."""
    names = list(known)
    return [name] if name in names else [n for n in names if MARK in n and common_name(n) == name]


def meant(names: Iterable[str], known: Iterable[str]) -> list[str]:
    """Replace each name by what it means; unknown names stay, and are reported elsewhere."""
    known = list(known)
    return list(dict.fromkeys(found for name in names for found in members(name, known) or [name]))


def numbered(name: str, count: int) -> list[str]:
    """Return the names of `count` instances."""
    return [f"{name}{MARK}{number}" for number in range(1, count + 1)]


def expand(
    services: Mapping[str, ServiceSpec], counts: Mapping[str, int]
) -> dict[str, ServiceSpec]:
    """Create the instances of each service in `counts`; needs mean all of them.

    Each service gets its own names in the name server.
    """
    expanded = {
        spec.name: spec
        for name, service in services.items()
        for spec in (_instances(service, counts[name]) if name in counts else [_named(service)])
    }
    return {
        name: replace(spec, needs=tuple(meant(spec.needs, expanded)))
        for name, spec in expanded.items()
    }


def collapse(services: Mapping[str, ServiceSpec]) -> dict[str, tuple[ServiceSpec, int | None]]:
    """Undo `expand`: return each service as configured, and its number of instances, if any."""
    found: dict[str, tuple[ServiceSpec, int | None]] = {}
    for spec in services.values():
        name = common_name(spec.name)
        if name in found:
            found[name] = found[name][0], spec.instance
        else:
            needs = tuple(dict.fromkeys(common_name(need) for need in spec.needs))
            options = spec.written or spec.options
            common = replace(spec, name=name, options=options, needs=needs)
            found[name] = replace(common, instance=None, written=None), spec.instance
    return found


def _instances(spec: ServiceSpec, count: int) -> list[ServiceSpec]:
    return [
        _named(replace(spec, name=name, instance=number))
        for number, name in enumerate(numbered(spec.name, count), 1)
    ]


def _named(spec: ServiceSpec) -> ServiceSpec:
    """Return the service with its own names in the name server: `NAME.2` for the second instance.

    Pyro5 takes what follows an @ for the address of a name server.
    """
    values = own_values(common_name(spec.name), spec.instance)
    number = "" if spec.instance is None else f".{spec.instance}"
    options = named(spec.options, values, number)
    return spec if options == spec.options else replace(spec, options=options, written=spec.options)
