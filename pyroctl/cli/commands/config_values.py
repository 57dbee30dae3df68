"""`pyroctl config get`, `set` and `unset`: one setting."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from pyroctl.cli import command as cli
from pyroctl.cli.output import Result
from pyroctl.errors import ConfigError, PyroctlError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyroctl.cli.app import App
    from pyroctl.config.edit.change import Changed
    from pyroctl.config.source.diagnostics import Path


class ConfigKey(click.ParamType[str]):
    """A key of the configuration; completes without starting anything."""

    name = "key"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[Any]:
        """Offer the keys of the services that there are."""
        from click.shell_completion import CompletionItem

        from pyroctl.cli.app import App
        from pyroctl.config.edit.keys import known_keys
        from pyroctl.config.source.sources import written_tables

        app = ctx.find_root().ensure_object(App)
        try:
            keys = known_keys(written_tables(app.config, os.environ))
        except PyroctlError:
            return []
        return [CompletionItem(key) for key in keys if key.startswith(incomplete)]


@cli.command("get")
@click.argument("key", type=ConfigKey())
def get(app: App, key: str) -> Result:
    """Print the value of a setting, as it is in effect.

    KEY is dotted, such as services.es.port. Text comes without quotes; of a table every setting
    in it. Exit status 1 if the setting has no value.
    """
    from pyroctl.config.edit.keys import parse_key, value_of
    from pyroctl.config.source.diagnostics import dotted

    path = parse_key(key)
    loaded = app.load()
    value = value_of(loaded, path)
    if value is None:
        raise PyroctlError(f"{dotted(path)} has no value")
    for line in _bare(value):
        app.output.print(line)
    origin = None if isinstance(value, dict) else loaded.origin(path).entry()
    return Result({"key": dotted(path), "value": value, "origin": origin})


@cli.command("set")
@click.argument("key", type=ConfigKey())
@click.argument("value")
def set_(app: App, key: str, value: str) -> Result:
    """Set a setting, if the configuration is valid with it.

    VALUE is TOML; what is none, or isn't wanted there, is text. It is written to the drop-in
    90-pyroctl.toml, and no other file is touched. A running manager goes on as before until
    pyroctl reload.
    """
    from pyroctl.config.edit.change import is_in_effect, set_value
    from pyroctl.config.edit.keys import parse_value
    from pyroctl.config.edit.show import format_value

    path, file = _target(app, key)
    new = parse_value(value)
    try:
        changed = set_value(file, path, new, os.environ)
    except ConfigError:
        as_text = _set_as_text(file, path, value)
        if as_text is None:
            raise
        new, changed = value, as_text
    _say(app, changed, f"{key} = {format_value(new)}")
    effective = is_in_effect(changed.loaded, path, new, changed.file)
    if not effective:
        app.output.progress(f"without effect: {changed.loaded.origin(path)} has the last word")
    return Result({"key": key, "value": new, "file": changed.file, "in_effect": effective})


@cli.command("unset")
@click.argument("key", type=ConfigKey())
def unset(app: App, key: str) -> Result:
    """Take back what config set has set.

    What stands in a file of yours is for you to change: that is said, with exit status 1.
    """
    from pyroctl.config.edit.change import unset_value
    from pyroctl.config.edit.keys import require_known

    path, file = _target(app, key)
    changed = unset_value(file, path, os.environ)
    left = changed.loaded.origin(path)
    if changed.wrote:
        _say(app, changed, f"{key} is taken back, and comes from: {left}")
    else:
        require_known(changed.loaded, path)
        if left.file or left.variable:
            raise PyroctlError(
                f"{key} is set by {left}",
                hint=f"change it there: unset only takes back what stands in {changed.file}",
            )
        app.output.progress(f"{key} isn't set")
    return Result({"key": key, "file": changed.file, "removed": changed.wrote})


def _set_as_text(file: str, path: Path, value: str) -> Changed | None:
    """Try text where a number or another value is wrong: `1` in `env`."""
    from pyroctl.config.edit.change import set_value

    try:
        return set_value(file, path, value, os.environ)
    except ConfigError:
        return None


def _target(app: App, key: str) -> tuple[Path, str]:
    """Give the key's path, and the configuration file that it is about."""
    from pyroctl.config.edit.keys import KEY_HINT, parse_key

    path = parse_key(key)
    if len(path) == 1:
        raise UsageError(f"{key} is no single setting", hint=KEY_HINT)
    if app.config is None:
        raise PyroctlError(
            "there is no configuration file: the built-in deployment is in effect",
            hint="pyroctl init writes a file to begin with",
        )
    return path, app.config


def _say(app: App, changed: Changed, what: str) -> None:
    app.output.progress(f"{what} ({changed.file})")
    if app.manager_runs():
        app.output.progress(app.output.suggest("to apply it: pyroctl reload"))


def _bare(value: Any) -> Iterator[str]:
    """Write a value without quotes, and a table as lines of TOML."""
    from pyroctl.config.edit.show import format_value, leaves

    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, leaf in leaves(value):
            yield f"{key} = {format_value(leaf)}"
    else:
        yield format_value(value)
