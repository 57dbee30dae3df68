"""Core values as JSON: what equals its default is left out. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Any

from pyroctl.config.source.env_files import Checked
from pyroctl.core import spec
from pyroctl.core.options import page

_CLASSES: Mapping[str, type] = {
    **{
        name: found
        for name, found in {**vars(spec), **vars(page)}.items()
        if isinstance(found, type) and is_dataclass(found)
    },
    Checked.__name__: Checked,
}
_CLASS, _FIELDS, _KEYS, _LIST = "class", "fields", "keys", "list"


def encode(value: Any) -> Any:
    """Return what JSON can carry."""
    if is_dataclass(value):
        found = {f.name: getattr(value, f.name) for f in fields(value)}
        defaults = {f.name: _default(f) for f in fields(value)}
        own = {name: encode(v) for name, v in found.items() if v != defaults[name]}
        return {_CLASS: type(value).__name__, _FIELDS: own}
    if isinstance(value, Mapping):
        return {_KEYS: {key: encode(v) for key, v in value.items()}}
    if isinstance(value, list):
        return {_LIST: [encode(each) for each in value]}
    return [encode(each) for each in value] if isinstance(value, tuple) else value


def decode(data: Any) -> Any:
    """Return the value; raise LookupError, TypeError, ValueError or AttributeError."""
    if isinstance(data, dict):
        if _CLASS in data:
            return _CLASSES[data[_CLASS]](**{k: decode(v) for k, v in data[_FIELDS].items()})
        if _LIST in data:
            return [decode(each) for each in data[_LIST]]
        return {key: decode(value) for key, value in data[_KEYS].items()}
    return tuple(decode(each) for each in data) if isinstance(data, list) else data


def _default(field: Any) -> Any:
    return field.default if field.default_factory is MISSING else field.default_factory()
