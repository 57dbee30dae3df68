"""A deployment as settings: every key with its value in effect, as it would stand in TOML."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from pyroctl.core.instances import collapse
from pyroctl.core.spec import (
    CommandOptions,
    CommandReady,
    DelayReady,
    LogReady,
    NameReady,
    NotifyReady,
    PortReady,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pyroctl.config.source.diagnostics import Path
    from pyroctl.core.spec import Deployment, Options, Readiness, ServiceSpec, WatchdogSpec


def settings(deployment: Deployment) -> Iterator[tuple[Path, Any]]:
    """Give path and value of every key that has one, in the order of the configuration.

    Written down as `key = value` lines, they make the same deployment again.
    """
    yield ("manager", "name"), deployment.name
    yield ("manager", "orphans"), deployment.orphans
    for name, (spec, instances) in collapse(deployment.services).items():
        count = {} if instances is None else {"instances": instances}
        table = {"kind": spec.kind, **_options(spec.options), **count, **_common(spec)}
        for path, value in _leaves(table):
            yield ("services", name, *path), value


def _options(options: Options) -> dict[str, Any]:
    if isinstance(options, CommandOptions):
        return {"command": list(options.command), "ready": _ready(options.ready)}
    return {field.name: getattr(options, field.name) for field in fields(options)}


def _ready(ready: Readiness) -> Any:
    match ready:
        case NotifyReady():
            return "notify"
        case DelayReady(seconds):
            return {"delay": seconds}
        case PortReady(port, host):
            return {"port": port, "host": host}
        case LogReady(pattern):
            return {"log": pattern}
        case NameReady(pyro_name):
            return {"pyro_name": pyro_name}
        case CommandReady(command, every):
            return {"command": list(command), "every": every}


def _common(spec: ServiceSpec) -> dict[str, Any]:
    table = {field.name: getattr(spec, field.name) for field in fields(spec)}
    del table["name"], table["options"], table["instance"]
    table["log"] = {field.name: getattr(spec.log, field.name) for field in fields(spec.log)}
    table["watchdog"] = spec.watchdog is not None and _watchdog(spec.watchdog)
    if spec.umask is not None:
        table["umask"] = f"{spec.umask:04o}"
    return table


def _watchdog(spec: WatchdogSpec) -> dict[str, Any]:
    table = {field.name: getattr(spec, field.name) for field in fields(spec)}
    if spec.port is None:
        del table["host"]
    return table


def _leaves(table: Mapping[str, Any]) -> Iterator[tuple[Path, Any]]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from (((key, *path), leaf) for path, leaf in _leaves(value))
        elif isinstance(value, tuple):
            yield (key,), list(value)
        elif value is not None:
            yield (key,), value
