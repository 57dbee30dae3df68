"""Every key that the configuration accepts, with type and default: what the manual documents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, get_args, get_origin

from pydantic.fields import FieldInfo

from pyroctl.config.check.models.base import Table
from pyroctl.config.check.models.kinds import KINDS, default_keys
from pyroctl.config.check.models.manager import AlertsTable, ManagerTable, TopTable
from pyroctl.config.check.models.service import ServiceTable
from pyroctl.config.source.defaults import DEFAULTS
from pyroctl.config.source.diagnostics import OPEN

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pyroctl.config.source.diagnostics import Path


class KeyInfo(NamedTuple):
    """One key, or several kinds' key of the same name, type and default."""

    key: str
    """Below the service's table, or from the top for keys of no service: `manager.name`."""
    kinds: tuple[str, ...]
    """The kinds of service that have it; () when it belongs to no service."""
    type: str
    default: Any
    """None: it has no default."""
    required: bool


def keys() -> list[KeyInfo]:
    """Return all keys: those of the manager, then the services', in the order of the models."""
    services: dict[str, KeyInfo] = {}
    for kind, model in KINDS.items():
        for info in _table_keys(model, ""):
            same = f"{info.key} {info.type} {info.default!r}"
            before = services.get(same, info)
            services[same] = before._replace(kinds=(*before.kinds, kind))
    top = ((TopTable, ""), (ManagerTable, "manager."), (AlertsTable, "alerts."))
    first = [info for model, prefix in top for info in _table_keys(model, prefix)]
    return [*first, *services.values()]


def key_paths(data: Mapping[str, Any]) -> Iterator[Path]:
    """Return the paths of all keys that could stand in this configuration.

    Tables come before what is in them; a table with keys of the user's own (`env`) has another
    path that ends with `OPEN`.
    """
    yield from _model_paths(ManagerTable, ("manager",))
    yield from _model_paths(AlertsTable, ("alerts",))
    for table, model in default_tables():
        yield from _model_paths(model, table, default_keys(model))
    services = data.get("services", {})
    for name, table in services.items() if isinstance(services, dict) else ():
        if isinstance(table, dict):
            kind = table.get("kind")
            models = [KINDS[kind]] if isinstance(kind, str) and kind in KINDS else KINDS.values()
            paths = (path for model in models for path in _model_paths(model, ("services", name)))
            yield from dict.fromkeys(paths)


def default_tables() -> Iterator[tuple[Path, type[ServiceTable]]]:
    """Return the tables of defaults, with the models whose keys they may have."""
    yield (DEFAULTS,), ServiceTable
    for kind, model in KINDS.items():
        yield (DEFAULTS, kind), model


def _model_paths(
    model: type[Table], prefix: Path, names: Sequence[str] | None = None
) -> Iterator[Path]:
    for name, field in model.model_fields.items():
        if names is not None and name not in names:
            continue
        path = (*prefix, name)
        yield path
        inner = _table(field)
        if get_origin(field.annotation) is list:
            continue  # a list is one value
        if inner:
            yield from _model_paths(inner, path)
        elif get_origin(field.annotation) is dict:
            yield (*path, OPEN)


def _table_keys(model: type[Table], prefix: str) -> Iterator[KeyInfo]:
    for name, field in model.model_fields.items():
        key = prefix + name
        default = None if field.is_required() else _plain(field.default)
        inner = _table(field)
        words = _words(field)
        if words:
            yield KeyInfo(key, (), words, default, field.is_required())
        if inner:
            yield from _table_keys(inner, f"{key}.")


def _plain(default: Any) -> Any:
    """Write a default as it would stand in TOML."""
    if isinstance(default, Table):
        return default.model_dump(exclude_unset=True)
    return default


def _words(field: FieldInfo) -> str:
    parts = [part for side in get_args(field.annotation) for part in get_args(side)]
    inner = [part.description for part in parts if isinstance(part, FieldInfo)]
    return next((text for text in (field.description, *inner) if text), "")


def _table(field: FieldInfo) -> type[Table] | None:
    parts = (field.annotation, *get_args(field.annotation))
    return next((p for p in parts if isinstance(p, type) and issubclass(p, Table)), None)
