"""What is different between two deployments, and which of it needs a new process. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, is_dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from pyroctl.core import plan
from pyroctl.core.keys import keys_of, values_of
from pyroctl.core.spec import (
    KIND_NAMES,
    EventServiceOptions,
    LogSpec,
    NameServerOptions,
    ServiceSpec,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyroctl.core.spec import Deployment


@cache
def live_keys() -> frozenset[str]:
    """Return the keys that take effect without a new process; a table means all that is in it."""
    declared = [("", table) for table in (ServiceSpec, *KIND_NAMES)] + [("log.", LogSpec)]
    return frozenset(
        prefix + key.name for prefix, table in declared for key in keys_of(table) if key.live
    )


@dataclass(frozen=True, slots=True)
class KeyChange:
    """One key with its old and its new value; None where it has none."""

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
        return (KeyChange("kind", old.kind, new.kind), *_changes(values_of(old), values_of(new)))
    options = _changes(values_of(old.options), values_of(new.options))
    return (*options, *_changes(values_of(old), values_of(new)))


def manager_changes(old: Deployment, new: Deployment) -> tuple[KeyChange, ...]:
    """Return the keys of `[manager]` that differ; all of them wait for the next manager."""
    return tuple(_changes(values_of(old), values_of(new)))


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


def _changes(
    old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = ""
) -> Iterator[KeyChange]:
    for key in dict.fromkeys((*old, *new)):
        before, after = old.get(key), new.get(key)
        if before == after:
            continue
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            yield from _changes(before, after, f"{prefix}{key}.")
        elif is_dataclass(before) and type(before) is type(after):
            yield from _changes(values_of(before), values_of(after), f"{prefix}{key}.")
        else:
            yield KeyChange(prefix + key, before, after)
