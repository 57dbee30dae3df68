"""What is different between two deployments, and which of it needs a new process. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, is_dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from pyroctl.core import plan
from pyroctl.core.alerts.spec import AlertsSpec
from pyroctl.core.expansion.texts import used
from pyroctl.core.keys import keys_of, written
from pyroctl.core.spec import (
    KIND_NAMES,
    Deployment,
    EventServiceOptions,
    LogSpec,
    NameServerOptions,
    ServiceSpec,
)

if TYPE_CHECKING:
    from collections.abc import Iterator


@cache
def live_keys() -> frozenset[str]:
    """Return the keys that take effect without a new process; a table means all that is in it."""
    declared = [("", table) for table in (ServiceSpec, *KIND_NAMES)] + [("log.", LogSpec)]
    return frozenset(
        prefix + key.name for prefix, table in declared for key in keys_of(table) if key.live
    )


@dataclass(frozen=True, slots=True)
class KeyChange:
    """One key with its old and its new value, as in TOML; None where it has none."""

    key: str
    """Below the service, as in the configuration: `port`, `log.keep`, `env.LEVEL`."""
    old: Any
    new: Any

    @property
    def live(self) -> bool:
        """Whether it takes effect without a new process."""
        return self.key in live_keys() or self.key.partition(".")[0] in live_keys()

    @property
    def secret(self) -> bool:
        """Whether the values must not be shown: passwords are passed in the environment."""
        return self.key.startswith("env.")


def service_changes(old: ServiceSpec, new: ServiceSpec) -> tuple[KeyChange, ...]:
    """Return the keys that differ between two specifications of a service."""
    if type(old.options) is not type(new.options):
        return (KeyChange("kind", old.kind, new.kind), *_changes(old, new))
    return (*_changes(old.options, new.options), *_changes(old, new))


def manager_changes(old: Deployment, new: Deployment) -> tuple[KeyChange, ...]:
    """Return the keys of `[manager]` that differ; some wait for the next manager, see `waits`."""
    alerts = _changes(old.alerts or AlertsSpec(), new.alerts or AlertsSpec(), "alerts.")
    return (*_changes(old, new), *alerts)


def waits(change: KeyChange) -> bool:
    """Return whether a change of a key of `[manager]` takes effect when the manager restarts."""
    name = change.key.partition(".")[0]
    return name != "alerts" and not any(
        key.live and key.name == name for key in keys_of(Deployment)
    )


def moved_name_server(name: str, old: Deployment, new: Deployment) -> KeyChange | None:
    """Return the change of the name server's address that a service received at its start.

    None for an event service: the manager sends it the new address when the name server is ready.
    """
    options = new.services[name].options
    if isinstance(options, EventServiceOptions | NameServerOptions):
        return None
    if getattr(options, "ns", None) is not None:
        return None
    before, after = name_server_of(name, old), name_server_of(name, new)
    if before is None or after is None or before == after:
        return None
    return KeyChange("name server", before, after)


def moved_needs(name: str, old: Deployment, new: Deployment) -> Iterator[KeyChange]:
    """Return the addresses that a service received at its start and that have changed."""
    words = used(new.services[name])
    for need in dict.fromkeys(word.rpartition(".")[0] for word in words):
        if need in old.services and need in new.services:
            before, after = _address(old.services[need]), _address(new.services[need])
            if before != after:
                yield KeyChange(f"address of {need}", before, after)


def _address(spec: ServiceSpec) -> str:
    table = getattr(spec.options, "ready", spec.options)
    return f"{getattr(table, 'host', '')}:{getattr(table, 'port', '')}"


def name_server_of(name: str, deployment: Deployment) -> str | None:
    """Return HOST:PORT of the name server that a service needs, or else of the first one."""
    needs = {spec.name: spec.needs for spec in deployment.services.values()}
    needed = plan.closure(needs.get(name, ()), needs)
    servers = {
        spec.name: f"{spec.options.host}:{spec.options.port}"
        for spec in deployment.services.values()
        if isinstance(spec.options, NameServerOptions)
    }
    chosen = [address for server, address in servers.items() if server in needed]
    return next(iter([*chosen, *servers.values()]), None)


def _changes(old: Any, new: Any, prefix: str = "") -> Iterator[KeyChange]:
    """Compare two tables of the same type; tables in them give a change for each key."""
    for key in keys_of(type(old)):
        before, after = getattr(old, key.name), getattr(new, key.name)
        name = prefix + key.name
        if before == after:
            continue
        if isinstance(before, Mapping):
            for own in dict.fromkeys((*before, *after)):
                if before.get(own) != after.get(own):
                    yield KeyChange(f"{name}.{own}", before.get(own), after.get(own))
        elif is_dataclass(before) and type(before) is type(after):
            yield from _changes(before, after, f"{name}.")
        else:
            yield KeyChange(name, written(key, before), written(key, after))
