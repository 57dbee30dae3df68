"""Every key that the configuration knows, with type and default: what the manual must say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, get_args, get_origin

from pyroctl.config.models import KINDS, Manager, Table
from pyroctl.config.types import Words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic.fields import FieldInfo


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
    """Give all keys: those of the manager, then the services', in the order of the models."""
    services: dict[str, KeyInfo] = {}
    for kind, model in KINDS.items():
        for info in _table_keys(model, ""):
            same = f"{info.key} {info.type} {info.default!r}"
            before = services.get(same, info)
            services[same] = before._replace(kinds=(*before.kinds, kind))
    return [*_table_keys(Manager, "manager."), *services.values()]


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
    metadata = list(field.metadata)
    for part in get_args(field.annotation):
        if get_origin(part) is Annotated:
            metadata += part.__metadata__
    return next((item.text for item in metadata if isinstance(item, Words)), "")


def _table(field: FieldInfo) -> type[Table] | None:
    parts = (field.annotation, *get_args(field.annotation))
    return next((p for p in parts if isinstance(p, type) and issubclass(p, Table)), None)
