"""Warnings about what clients lose by a stop or restart, and the question whether to proceed."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from pyroctl.cli.output import subscriber_line
from pyroctl.errors import Declined

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pyroctl.cli.app import App

MOST_SHOWN = 20
"""Lines about one service; the others are only counted."""


def warning_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options `--yes` and `--safe` to a command."""
    yes = click.option("--yes", is_flag=True, help="Do not ask before clients lose something.")
    safe = click.option("--safe", is_flag=True, help="Refuse if clients would lose something.")
    return yes(safe(function))


def warn(
    app: App, command: str, services: Sequence[str], *, yes: bool, safe: bool, **more: str
) -> None:
    """List what clients will lose; raises Declined, before anything changes.

    Asks on a terminal only. `more` are the arguments of the command's own request. Raises like
    `App.call`.
    """
    found = app.call("foresee", services, command=command, **more)["data"]["consequences"]
    for entry in found:
        for line in _describe(entry):
            app.output.progress(line)
    if not any(entry.get("lost") or entry.get("names") for entry in found):
        return
    if safe:
        raise Declined(
            f"{command} would lose what is listed above" if not app.output.json else _sum_up(found),
            hint=f"{command} without --safe proceeds",
        )
    asking = not yes and sys.stdin.isatty() and sys.stderr.isatty()
    if asking and not click.confirm(f"{command} anyway?", err=True):
        raise Declined("nothing was changed")


def _describe(entry: Mapping[str, Any]) -> list[str]:
    service = entry["service"]
    if "names" in entry:
        names = entry["names"]
        head = f"{service} keeps its names in memory; these will be lost:"
        return [head, *_shorten([f"    {name}" for name in names])]
    lines = []
    if entry["lost"]:
        lines.append(f"these plain subscribers of {service} will lose their subscriptions:")
        lines += _shorten([subscriber_line(row) for row in entry["lost"]])
    if entry["aware"]:
        lines.append(f"aware subscribers of {service} that will be notified: {entry['aware']}")
    return lines


def _shorten(lines: list[str]) -> list[str]:
    if len(lines) <= MOST_SHOWN:
        return lines
    return [*lines[:MOST_SHOWN], f"    and {len(lines) - MOST_SHOWN} more"]


def _sum_up(found: Sequence[Mapping[str, Any]]) -> str:
    parts = [
        f"{len(entry.get('lost') or entry.get('names') or ())} of {entry['service']}"
        for entry in found
    ]
    return f"clients would lose subscriptions or names: {', '.join(parts)}"
