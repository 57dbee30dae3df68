"""What clients would lose if a service were stopped or restarted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyroctl.core.spec import EventServiceOptions, NameServerOptions
from pyroctl.core.state import State

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyroctl.manager.deployment.name_registry import NameRegistry
    from pyroctl.manager.deployment.unit import Unit


@dataclass(frozen=True, slots=True)
class Subscribers:
    """The subscribers of an event service: plain ones by name, aware ones as a number."""

    plain: list[dict[str, Any]]
    aware: int


async def assess_impact(units: Iterable[Unit], registry: NameRegistry) -> list[dict[str, Any]]:
    """Return what would be lost, for each of these services that has something to lose.

    Names of the deployment's services don't count: they are registered again automatically.
    """
    found = []
    for unit in units:
        if unit.state is not State.RUNNING:
            continue
        options = unit.spec.options
        if isinstance(options, EventServiceOptions):
            subscribers = await subscribers_of(unit)
            if subscribers.plain or subscribers.aware:
                lost = {"lost": subscribers.plain, "aware": subscribers.aware}
                found.append({"service": unit.name, "kind": unit.spec.kind, **lost})
        elif isinstance(options, NameServerOptions) and options.storage == "memory":
            names = await registry.foreign(unit)
            if names:
                found.append({"service": unit.name, "kind": unit.spec.kind, "names": names})
    return found


async def disconnected(units: Iterable[Unit]) -> list[dict[str, Any]]:
    """Return who is disconnected by a handover of these event services: stock clients with TLS.

    A connection with TLS can't be passed on, and only helpers come back by themselves.
    """
    found = []
    for unit in units:
        options = unit.spec.options
        if isinstance(options, EventServiceOptions) and options.tls != "off":
            clients = await unit.ask_or([], "stock_tls_clients")
            if clients:
                entry = {"service": unit.name, "kind": unit.spec.kind, "disconnected": clients}
                found.append(entry)
    return found


async def subscribers_of(unit: Unit) -> Subscribers:
    """Ask an event service for its subscribers; return none if it doesn't answer."""
    rows = await unit.ask_or([], "subscriptions")
    keys = ("subscriber", "subjects", "patterns")
    plain = [{key: row[key] for key in keys} for row in rows if not row["aware"]]
    return Subscribers(plain, len(rows) - len(plain))
