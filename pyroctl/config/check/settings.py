"""A deployment as settings: every key with its value in effect, as it would stand in TOML."""

from __future__ import annotations

from dataclasses import is_dataclass
from typing import TYPE_CHECKING, Any

from pyroctl.core.instances import collapse
from pyroctl.core.keys import keys_of
from pyroctl.core.spec import NotifyReady, WatchdogSpec

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pyroctl.config.source.diagnostics import Path
    from pyroctl.core.keys import Key
    from pyroctl.core.spec import Deployment


def settings(deployment: Deployment) -> Iterator[tuple[Path, Any]]:
    """Return path and value of every key that has one, in the order of the configuration.

    Written as `key = value` lines, they make the same deployment again.
    """
    yield from _leaves(_table(deployment), ("manager",))
    for name, (spec, instances) in collapse(deployment.services).items():
        count = {} if instances is None else {"instances": instances}
        table = {"kind": spec.kind, **_table(spec.options), **count, **_table(spec)}
        yield from _leaves(table, ("services", name))


def _table(core: Any) -> dict[str, Any]:
    table = {key.name: _written(key, getattr(core, key.name)) for key in keys_of(type(core))}
    if isinstance(core, WatchdogSpec) and core.port is None:
        del table["host"]
    return table


def _written(key: Key, value: Any) -> Any:
    match value:
        case None if key.type == "Watchdog":
            return False
        case NotifyReady():
            return "notify"
        case int() if key.type == "Umask":
            return f"{value:04o}"
        case tuple():
            return list(value)
    return _table(value) if is_dataclass(value) else value


def _leaves(table: Mapping[str, Any], path: Path) -> Iterator[tuple[Path, Any]]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _leaves(value, (*path, key))
        elif value is not None:
            yield (*path, key), value
