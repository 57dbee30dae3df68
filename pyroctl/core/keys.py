"""Reads the declarations of the configuration's keys from the fields of `core.spec`. Pure."""

from __future__ import annotations

from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import cache
from types import NoneType
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from pyroctl.core.key_types import LIVE, Flag, TypeName
from pyroctl.core.spec import NotifyReady, WatchdogSpec


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a table of the configuration."""

    name: str
    value: Any
    """The Python type of its value, without None."""
    type: TypeName
    default: Any
    """None: it may be left out; MISSING: it may not."""
    optional: bool
    """Whether its value may be None, which a file can't say."""
    live: bool
    flag: str
    """Its option on the command line of the service; "": it has none."""


def keys_of(table: Any) -> tuple[Key, ...]:
    """Return the keys that a class of `core.spec` declares, in order."""
    return _read(table)


@cache
def _read(table: Any) -> tuple[Key, ...]:
    hints = get_type_hints(table, include_extras=True)
    found = []
    for field in fields(table):
        value, marks, optional = _unwrapped(hints[field.name])
        types = [mark for mark in marks if isinstance(mark, TypeName)]
        if types:
            default = field.default
            if field.default_factory is not MISSING:
                default = field.default_factory()
            flags = [mark for mark in marks if isinstance(mark, Flag)]
            flag = flags[0] if flags else "--" + field.name.replace("_", "-")
            key = Key(field.name, value, types[0], default, optional, LIVE in marks, flag)
            found.append(key)
    return tuple(found)


def written(key: Key, value: Any) -> Any:
    """Return a value as it would stand in TOML; None if the key would be left out."""
    match value:
        case None if key.type == "Watchdog":
            return False
        case NotifyReady():
            return "notify"
        case int() if key.type == "Umask":
            return f"{value:04o}"
        case tuple():
            return [written(key, each) if is_dataclass(each) else each for each in value]
    return set_keys(value) if is_dataclass(value) else value


def set_keys(core: Any) -> dict[str, Any]:
    """Return the keys of a table that have a value, as they would stand in TOML."""
    return {name: each for name, each in written_table(core).items() if each is not None}


def written_table(core: Any) -> dict[str, Any]:
    """Return the values of all keys of a table as they would stand in TOML."""
    table = {key.name: written(key, getattr(core, key.name)) for key in keys_of(type(core))}
    if isinstance(core, WatchdogSpec) and core.port is None:
        del table["host"]
    return table


def _unwrapped(hint: Any) -> tuple[Any, tuple[Any, ...], bool]:
    """Return a type without its marks and None, its marks, and whether it may be None."""
    if get_origin(hint) is Annotated:
        value, marks, optional = _unwrapped(hint.__origin__)
        return value, (*hint.__metadata__, *marks), optional
    parts = [part for part in get_args(hint) if part is not NoneType]
    if NoneType in get_args(hint) and len(parts) == 1:
        value, marks, _ = _unwrapped(parts[0])
        return value, marks, True
    return hint, (), False
