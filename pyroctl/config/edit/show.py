"""The configuration in effect, for users and as TOML."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from pyroctl.config.check.settings import settings
from pyroctl.config.source.diagnostics import dotted, quoted, written_key

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pyroctl.config.load import Loaded
    from pyroctl.config.source.diagnostics import Origin


class Setting(NamedTuple):
    """One key with its value in effect."""

    key: str
    value: Any
    origin: Origin


def show(loaded: Loaded) -> list[Setting]:
    """Return every key that has a value, defaults included, in the order of the configuration.

    Lines of `key = format_value(value)` are TOML for the same deployment. Variables from env files
    are below `env`, and paths are absolute.
    """
    origins = loaded.origins
    rows = [(dotted(path), value) for path, value in settings(loaded.deployment)]
    return [Setting(key, value, origins[key]) for key, value in rows]


def leaves(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Return the dotted key and the value of everything in a table."""
    for key, value in table.items():
        dotted_key = prefix + written_key(key)
        if isinstance(value, dict):
            yield from leaves(value, f"{dotted_key}.")
        else:
            yield dotted_key, value


def format_value(value: Any) -> str:
    """Write a value as TOML on one line."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return quoted(value)
        case list() | tuple():
            return "[" + ", ".join(format_value(item) for item in value) + "]"
        case dict():
            pairs = (f"{written_key(key)} = {format_value(item)}" for key, item in value.items())
            return "{ " + ", ".join(pairs) + " }" if value else "{}"
    return repr(value)
