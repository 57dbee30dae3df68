"""`pyroctl reload`: read the configuration again and apply the differences."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from pyroctl.cli import command as cli
from pyroctl.cli.output import Result, table
from pyroctl.cli.warn import warn, warning_options
from pyroctl.view.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pyroctl.cli.app import App

    Entry = Mapping[str, Any]

HEAD = ("SERVICE", "ACTION", "WHY")


@cli.command("reload")
@click.option("--dry-run", is_flag=True, help="Print the plan and change nothing.")
@warning_options
def command(app: App, *, dry_run: bool, yes: bool, safe: bool) -> Result:
    """Read the configuration again and apply the differences.

    Services whose changes require it are restarted, new ones started and removed ones stopped, in
    dependency order. An invalid configuration changes nothing. If a service that is new or was up
    does not become ready with its new settings, the whole reload is rolled back. Like restart, the
    command warns before clients lose something.
    """
    config = {"config": app.config} if app.config is not None else {}
    found = app.call("reload", dry_run="yes", **config)["data"]
    for line in _describe(found):
        app.output.print(line)
    expected = found.pop("fingerprint")
    if dry_run:
        if found["plan"] or any(change["live"] for change in found["manager"]):
            app.output.progress(
                app.output.suggest("nothing was changed; to apply it: pyroctl reload")
            )
        return Result(found)
    live = [change for change in found["manager"] if change["live"]]
    if not found["plan"] and not live:
        reply = app.call("reload", expect=expected, **config)  # they read certificates and secrets
        data = {**found, "restarts": [], "services": []}
        return Result(data, reply["errors"], reply["exit_code"], partial=True)
    warn(app, "reload", (), yes=yes, safe=safe)
    reply = app.call("reload", expect=expected, **config)
    if not reply["errors"]:
        app.output.progress(f"done: {counted(len(found['plan']) + len(live), 'change')} in effect")
    undone = reply["data"].get("undone")
    if reply["errors"] and not undone:
        app.output.progress("the new configuration is in effect, but not all services are up")
    return Result(reply["data"], reply["errors"], reply["exit_code"], partial=not undone)


def _describe(found: Mapping[str, Any]) -> Iterator[str]:
    """Return the plan as text."""
    if found["plan"]:
        yield from table(HEAD, [_row(step) for step in found["plan"]])
    elif not found["manager"]:
        yield "nothing to do: the configuration is already in effect"
    for change in found["manager"]:
        when = ": needs a manager restart: pyroctl shutdown, then start"
        yield f"manager.{_change(change)}{'' if change['live'] else when}"


def _row(step: Entry) -> Sequence[str]:
    why = [step["why"]] if step["why"] else []
    why += [_change(change) for change in step["changes"]]
    return step["service"], step["action"], ", ".join(why)


def _change(change: Entry) -> str:
    """Return the old and new value of a key; values of `env` are secret."""
    key: str = change["key"]
    if key.startswith("env."):
        return key
    return f"{key}: {_value(change['old'])} → {_value(change['new'])}"


def _value(value: Any) -> str:
    """Return a value as TOML, which has no null: keys without a value are left out."""
    from pyroctl.config.edit.show import format_value

    return "(not set)" if value is None else format_value(_without_none(value))


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    return [_without_none(item) for item in value] if isinstance(value, list) else value
