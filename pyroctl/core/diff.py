"""What is different between two deployments, and which of it needs a fresh process. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import TYPE_CHECKING, Any

from pyroctl.core import plan
from pyroctl.core.spec import EventServiceOptions, NameServerOptions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyroctl.core.spec import Deployment, ServiceSpec

LIVE_KEYS = frozenset(
    {
        "enabled",
        "needs",
        "on_needs",
        "on_failure",
        "restart",
        "restart_delay",
        "restart_max_delay",
        "start_limit",
        "start_window",
        "start_timeout",
        "stop_signal",
        "stop_timeout",
        "success_exit",
        "watchdog",
        "max_rss",
        "max_cpu",
        "window",
        "on_restart",
        "log.max_bytes",
        "log.keep",
        "log.max_age",
        "log.total_bytes",
        "log.gzip",
    }
)
"""The keys that a running service takes on without a fresh process: those that only the manager
acts on. A table is meant with all that is in it."""

_IDENTITY = frozenset({"name", "options", "instance"})
"""Fields of a ServiceSpec that are no keys."""
_PLACE = frozenset({"services", "directory", "file"})
"""Fields of a Deployment that are no keys of `[manager]`."""


@dataclass(frozen=True, slots=True)
class KeyChange:
    """One key with its old and its new value; None where it has none."""

    key: str
    """Below the service, as in the configuration: `port`, `log.keep`, `env.LEVEL`."""
    old: Any
    new: Any

    @property
    def live(self) -> bool:
        """Whether it takes effect without a fresh process."""
        return self.key in LIVE_KEYS or self.key.partition(".")[0] in LIVE_KEYS

    @property
    def secret(self) -> bool:
        """Whether the values are nobody's business: passwords are passed in the environment."""
        return self.key.startswith("env.")


def service_changes(old: ServiceSpec, new: ServiceSpec) -> tuple[KeyChange, ...]:
    """Give the keys that differ between two specifications of a service."""
    if type(old.options) is not type(new.options):
        return (KeyChange("kind", old.kind, new.kind), *_common_changes(old, new))
    return (*_changes(_values(old.options), _values(new.options)), *_common_changes(old, new))


def manager_changes(old: Deployment, new: Deployment) -> tuple[KeyChange, ...]:
    """Give the keys of `[manager]` that differ; none of them takes effect in a running manager."""
    return tuple(_changes(_values(old, _PLACE), _values(new, _PLACE)))


def moved_name_server(name: str, old: Deployment, new: Deployment) -> KeyChange | None:
    """Give the change of address of the name server that a service was told at its start.

    An event service doesn't count: it is told when the name server is there again.
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
    """Give HOST:PORT of the name server that a service needs, or of the only one there is."""
    needs = {spec.name: spec.needs for spec in deployment.services.values()}
    needed = plan.closure(needs.get(name, ()), needs)
    servers = {
        spec.name: f"{spec.options.host}:{spec.options.port}"
        for spec in deployment.services.values()
        if isinstance(spec.options, NameServerOptions)
    }
    chosen = [address for server, address in servers.items() if server in needed]
    return next(iter([*chosen, *servers.values()]), None)


def _common_changes(old: ServiceSpec, new: ServiceSpec) -> Iterator[KeyChange]:
    return _changes(_values(old, _IDENTITY), _values(new, _IDENTITY))


def _values(table: Any, without: frozenset[str] = frozenset()) -> dict[str, Any]:
    return {f.name: getattr(table, f.name) for f in fields(table) if f.name not in without}


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
            yield from _changes(_values(before), _values(after), f"{prefix}{key}.")
        else:
            yield KeyChange(prefix + key, before, after)
