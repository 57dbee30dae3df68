"""From valid tables to core values."""

from __future__ import annotations

from dataclasses import replace
from os.path import join, normpath
from typing import TYPE_CHECKING, Any, TypeVar

from pyroctl.config.check.models.service import READY_FORMS
from pyroctl.core.key_types import UNIX
from pyroctl.core.keys import keys_of
from pyroctl.core.options.page import MetricsLabelsSpec, ProxySpec, WebTlsSpec
from pyroctl.core.spec import (
    KIND_NAMES,
    AllowSpec,
    EventServiceOptions,
    LogSpec,
    NotifyReady,
    RemoteSpec,
    RuleSpec,
    ServiceSpec,
    WatchdogSpec,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pyroctl.config.check.models.base import Table
    from pyroctl.config.check.models.service import ReadyTable, ServiceTable
    from pyroctl.core.spec import Readiness

T = TypeVar("T")
_OPTIONS: dict[str, Any] = {name: options for options, name in KIND_NAMES.items()}


def to_spec(name: str, table: ServiceTable, directory: str) -> ServiceSpec:
    """Return the specification of a service; its relative paths start at `directory`."""
    options = to_core(_OPTIONS[table.kind], table, directory)
    spec = to_core(ServiceSpec, table, directory, name=name, options=options)
    if isinstance(options, EventServiceOptions) and "watchdog" not in table.model_fields_set:
        return replace(spec, watchdog=WatchdogSpec())
    return spec


def to_core(core: type[T], table: Table, directory: str, /, **more: Any) -> T:
    """Return the core value of a table; `more` are the fields that are not keys."""
    values = {key.name: (key.type, getattr(table, key.name)) for key in keys_of(core)}
    return core(**{name: _value(*value, directory) for name, value in values.items()}, **more)


def _value(type_name: str, value: Any, directory: str) -> Any:
    if type_name == "Ready":
        return _readiness(value, directory)
    if value is None:
        return None
    if type_name in _CONVERTERS:
        return _CONVERTERS[type_name](value, directory)
    return tuple(value) if isinstance(value, list) else value


def _readiness(ready: ReadyTable | None, directory: str) -> Readiness:
    if ready is None:
        return NotifyReady()
    form: Readiness = to_core(READY_FORMS[ready.form], ready, directory)
    return form


def _with_path(value: str, prefix: str, directory: str) -> str:
    """Make the path after a prefix absolute."""
    if not value.startswith(prefix):
        return value
    return prefix + absolute(value.removeprefix(prefix), directory)


def absolute(path: str, directory: str) -> str:
    """Return an absolute path; a relative one starts at `directory`."""
    return normpath(join(directory, path))


_CONVERTERS: Mapping[str, Callable[[Any, str], Any]] = {
    "File": absolute,
    "Files": lambda paths, directory: tuple(absolute(path, directory) for path in paths),
    "HostOrPath": lambda host, directory: _with_path(host, UNIX, directory),
    "Storage": lambda storage, directory: _with_path(storage, "sql:", directory),
    "Rules": lambda tables, directory: tuple(
        to_core(RuleSpec, table, directory) for table in tables
    ),
    "Umask": lambda digits, _: int(digits, 8),
    "Allow": lambda tables, directory: tuple(
        to_core(AllowSpec, table, directory) for table in tables
    ),
    "Remote": lambda table, directory: to_core(RemoteSpec, table, directory),
    "MetricsLabels": lambda table, directory: to_core(MetricsLabelsSpec, table, directory),
    "Proxy": lambda table, directory: to_core(ProxySpec, table, directory),
    "WebTls": lambda table, directory: to_core(WebTlsSpec, table, directory),
    "Log": lambda table, directory: to_core(LogSpec, table, directory),
    "Watchdog": lambda table, directory: to_core(WatchdogSpec, table, directory),
}
"""What differs between a value in a file and in the core, by the name of its type."""
