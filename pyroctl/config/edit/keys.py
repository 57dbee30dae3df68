"""The keys of settings, as users write them on a command line: `services.es.port`."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any

from pyroctl.config.check.schema_info import key_paths
from pyroctl.config.check.settings import leaves, settings
from pyroctl.config.source.defaults import DEFAULTS
from pyroctl.config.source.diagnostics import OPEN, dotted
from pyroctl.errors import UnknownService, UsageError
from pyroctl.suggestions import nearest_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyroctl.config.load import Loaded
    from pyroctl.config.source.diagnostics import Path

KEY_HINT = 'such as services.es.port, or services."my.es".port'
SERVICE_DEPTH = len(("services", "NAME"))


def parse_key(text: str) -> Path:
    """Read a dotted key as TOML does; raises UsageError."""
    try:
        data: Any = tomllib.loads(f"{text} = 0")
    except (ValueError, RecursionError):
        raise UsageError(f"{text!r} is not a valid key", hint=KEY_HINT) from None
    path = []
    while isinstance(data, dict) and len(data) == 1:
        ((key, data),) = data.items()
        path.append(key)
    if data != 0 or isinstance(data, dict) or "\n" in text:
        raise UsageError(f"{text!r} is not a valid key", hint=KEY_HINT)
    return tuple(path)


def parse_value(text: str) -> Any:
    """Read a TOML value; anything else is text."""
    try:
        data = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text
    return data["value"] if data.keys() == {"value"} else text


def known_keys(data: Mapping[str, Any]) -> list[str]:
    """Return the dotted keys that could be set in a configuration, except for the user's own."""
    return [dotted(path) for path in key_paths(data) if path[-1] != OPEN]


def value_of(loaded: Loaded, path: Path) -> Any:
    """Return the value in effect, a dict for a table, or None if the key is known but not set.

    Raises UnknownService or UsageError for an unknown key.
    """
    table: dict[Path, Any] = {}
    known = (*leaves(loaded.defaults, (DEFAULTS,)), *settings(loaded.deployment))
    for where, value in known:
        if where == path:
            return value
        if where[: len(path)] == path:
            table[where[len(path) :]] = value
    if not table:
        require_known(loaded, path)
    return _nested(table) if table else None


def require_known(loaded: Loaded, path: Path) -> None:
    """Raise UnknownService or UsageError for an unknown key."""
    data = tables(loaded)
    services = data["services"]
    if path[0] == "services" and len(path) >= SERVICE_DEPTH and path[1] not in services:
        raise UnknownService(str(path[1]), services)
    for known in key_paths(data):
        fits = known[:-1] == path[:-1] if known[-1] == OPEN else False
        if known[: len(path)] == path or fits:
            return
    nearest = nearest_name(dotted(path), known_keys(data))
    hint = f"did you mean {nearest}?" if nearest else "pyroctl config show lists the keys"
    raise UsageError(f"there is no setting {dotted(path)}", hint=hint)


def tables(loaded: Loaded) -> dict[str, Any]:
    """Return the services of a deployment, each with its kind alone."""
    kinds = {
        path[1]: {"kind": value}
        for path, value in settings(loaded.deployment)
        if path[0] == "services" and path[2:] == ("kind",)
    }
    return {"services": kinds}


def _nested(leaves: Mapping[Path, Any]) -> dict[str, Any]:
    whole: dict[str, Any] = {}
    for path, value in leaves.items():
        table = whole
        for key in path[:-1]:
            table = table.setdefault(str(key), {})
        table[str(path[-1])] = value
    return whole
