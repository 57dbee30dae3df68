"""`pyroctl config get`, `set` and `unset`: print or change one setting."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any

import click

from pyroctl.cli import command as cli
from pyroctl.cli.arguments import ConfigKey
from pyroctl.cli.output import Result
from pyroctl.errors import ConfigError, PyroctlError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyroctl.cli.app import App
    from pyroctl.config.edit.change import Changed
    from pyroctl.config.source.diagnostics import Path


@cli.command("get")
@click.argument("key", type=ConfigKey())
@click.option("--reveal", is_flag=True, help="Show values of env, which may be secret.")
def get(app: App, key: str, *, reveal: bool) -> Result:
    """Print the effective value of a setting.

    KEY is dotted, such as services.es.port. A string is printed without quotes, a table as all the
    settings in it. If the setting has no value, the exit status is 1.
    """
    from pyroctl.config.edit.keys import parse_key, value_of
    from pyroctl.config.edit.show import masked
    from pyroctl.config.source.diagnostics import dotted

    path = parse_key(key)
    loaded = app.load()
    value = value_of(loaded, path)
    if value is None:
        raise PyroctlError(f"{dotted(path)} has no value")
    value = value if reveal else masked(path, value)
    for line in _bare(value):
        app.output.verbatim(line)
    origin = None if isinstance(value, dict) else loaded.origin(path).entry()
    return Result({"key": dotted(path), "value": value, "origin": origin})


@cli.command("set")
@click.argument("key", type=ConfigKey())
@click.argument("value")
def set_(app: App, key: str, value: str) -> Result:
    """Change a setting, if the resulting configuration is valid.

    VALUE is parsed as TOML; if that fails or does not fit the key, it is taken as a string. The
    setting is written to the drop-in 90-pyroctl.toml and to no other file. A running manager
    applies it on pyroctl reload.
    """
    from pyroctl.config.edit.change import is_in_effect, set_value
    from pyroctl.config.edit.keys import parse_value
    from pyroctl.config.edit.show import format_value, masked

    path, file = _target(app, key)
    new = parse_value(value)
    try:
        changed = set_value(file, path, new, os.environ)
    except ConfigError as error:
        try:  # as a string, for keys that take only strings: `1` in `env`
            new, changed = value, set_value(file, path, value, os.environ)
        except ConfigError:
            _require_service(app, path, error)
            raise error from None
    shown = masked(path, new)
    _report(app, changed, path, f"{key} = {format_value(shown)}")
    effective = is_in_effect(changed.loaded, path, new, changed.file)
    if not effective:
        app.output.progress(f"no effect: {changed.loaded.origin(path)} takes precedence")
    return Result({"key": key, "value": shown, "file": changed.file, "in_effect": effective})


@cli.command("unset")
@click.argument("key", type=ConfigKey())
def unset(app: App, key: str) -> Result:
    """Remove a setting made by config set.

    A setting made in another file is reported and not removed; the exit status is then 1.
    """
    from pyroctl.config.edit.change import unset_value
    from pyroctl.config.edit.keys import require_known

    path, file = _target(app, key)
    changed = unset_value(file, path, os.environ)
    left = changed.loaded.origin(path)
    if changed.wrote:
        _report(app, changed, path, f"{key} was removed; its value now comes from: {left}")
    else:
        require_known(changed.loaded, path)
        if left.file or left.variable:
            raise PyroctlError(
                f"{key} is set by {left}",
                hint=f"change it there; unset only removes settings in {changed.file}",
            )
        app.output.progress(f"{key} is not set")
    return Result({"key": key, "file": changed.file, "removed": changed.wrote})


def _target(app: App, key: str) -> tuple[Path, str]:
    """Return the path of the key, and the configuration file."""
    from pyroctl.config.edit.keys import KEY_HINT, parse_key

    path = parse_key(key)
    if len(path) == 1:
        raise UsageError(f"{key} is not a single setting", hint=KEY_HINT)
    return path, app.require_config()


def _require_service(app: App, path: Path, error: ConfigError) -> None:
    """Raise UnknownService if the change failed only because there is no such service."""
    from pyroctl.config.edit.keys import require_known
    from pyroctl.config.source.diagnostics import dotted

    kind = dotted((*path[:2], "kind"))
    if path[0] == "services" and any(fault.key == kind for fault in error.diagnostics):
        with contextlib.suppress(ConfigError, UsageError):
            require_known(app.load(), path)


def _report(app: App, changed: Changed, path: Path, text: str) -> None:
    app.output.progress(f"{text} ({changed.file})")
    app.suggest_reload(restart=path[0] == "manager")


def _bare(value: Any) -> Iterator[str]:
    """Return a string without quotes, and a table as lines of TOML."""
    from pyroctl.config.edit.show import format_value, leaves

    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, leaf in leaves(value):
            yield f"{key} = {format_value(leaf)}"
    else:
        yield format_value(value)
