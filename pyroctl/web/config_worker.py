"""`python -m pyroctl.web.config_worker` reads and checks the configuration, and exits.

The modules that check it would take a quarter of the page's memory for good. A request comes as
JSON on standard input, `{"do": "show"|"check", "file", "directory", "masked", "instead": {PATH:
TEXT}}`, and the answer as JSON on standard output.
"""

from __future__ import annotations

import difflib
import json
import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pyroctl.config.load import Loaded
    from pyroctl.core.spec import Deployment

os.environ["PYDANTIC_DISABLE_PLUGINS"] = "__all__"


def show(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return the files, and the values in effect with their origins."""
    from pyroctl.config.load import load
    from pyroctl.errors import ConfigError

    file, environ = request["file"], dict(os.environ)
    found: dict[str, Any] = {"files": list(_files(file, environ, masked=request["masked"]))}
    try:
        found["values"] = list(_values(load(file, environ, request["directory"])))
        found["faults"] = []
    except ConfigError as error:
        found |= {"values": [], "faults": error.entries()}
    return found


def check(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return all faults of the configuration with other texts, and what would change."""
    from pyroctl.config.load import load
    from pyroctl.errors import ConfigError

    instead = request["instead"]
    arguments = request["file"], dict(os.environ), request["directory"]
    lines: list[str] = []
    for path, text in instead.items():
        before = _read(path)
        lines += difflib.unified_diff(
            before.splitlines(), text.splitlines(), path, path, lineterm="", n=2
        )
    found: dict[str, Any] = {"diff": "\n".join(lines), "faults": [], "warnings": [], "plan": []}
    try:
        new = load(*arguments, instead)
    except ConfigError as error:
        return {**found, "faults": error.entries()}
    found["warnings"] = [each for one in new.doubtful(None) for each in one.entries()]
    try:
        found["plan"] = list(_changes(load(*arguments).deployment, new.deployment))
    except ConfigError:
        found["plan"] = ["the files as they are have errors; this would repair them"]
    return found


def _values(loaded: Loaded) -> Iterator[dict[str, Any]]:
    from pyroctl.config.edit.show import format_value
    from pyroctl.config.edit.show import show as settings_of

    services = sorted(loaded.deployment.services, key=len, reverse=True)
    for key, value, origin in settings_of(loaded, reveal=False):
        service = next((s for s in services if key.startswith(f"services.{s}.")), None)
        own = key.removeprefix(f"services.{service}.") if service else key
        shown = format_value(value)
        yield {"service": service, "key": own, "value": shown, "origin": str(origin)}


def _changes(old: Deployment, new: Deployment) -> Iterator[str]:
    from pyroctl.core.diff import manager_changes, service_changes

    for change in manager_changes(old, new):
        yield f"manager.{change.key}: {change.old} → {change.new}"
    for name in old.services.keys() - new.services.keys():
        yield f"{name}: is stopped and removed"
    for name, spec in new.services.items():
        if name not in old.services:
            yield f"{name}: is added"
            continue
        for change in service_changes(old.services[name], spec):
            values = "" if change.secret else f": {change.old} → {change.new}"
            yield f"{name}: {change.key}{values}{'' if change.live else ' (new process)'}"


def _files(
    file: str | None, environ: Mapping[str, str], *, masked: bool
) -> Iterator[dict[str, Any]]:
    from pyroctl.config.source.sources import read_sources

    for path in read_sources(file, environ).files if file is not None else ():
        text = _read(path)
        shown = _masked(text) if masked else text
        yield {"path": path, "text": shown, "writable": os.access(path, os.W_OK)}


def _masked(text: str) -> str:
    """Return a text with the values of `env` hidden; a text that can't be read is left out."""
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    from pyroctl.config.source.diagnostics import MASK

    try:
        document = tomlkit.parse(text)
        services = document.get("services", {})
        tables = [table for table in services.values() if isinstance(table, dict)]
        for table in tables:
            for name in list(table.get("env", {})):
                table["env"][name] = MASK
        return tomlkit.dumps(document)
    except (TOMLKitError, AttributeError, TypeError):
        return "# this file can't be shown: it is not valid TOML, and its secrets can't be hidden\n"


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def main() -> None:
    """Answer the request on standard input."""
    request = json.load(sys.stdin)
    json.dump({"show": show, "check": check}[request["do"]](request), sys.stdout, default=str)


if __name__ == "__main__":
    main()
