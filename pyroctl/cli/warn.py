"""Warnings about what clients lose by a stop or restart, and the question whether to proceed."""

from __future__ import annotations

import shlex
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
) -> bool:
    """List what clients will lose; raises Declined, before anything changes.

    Asks on a terminal only. Return whether the user chose a handover instead, which loses nothing;
    it is offered where it is possible. `more` are the arguments of the command's own request.
    Raises like `App.call`.
    """
    reply = app.call("foresee", services, command=command, **more)["data"]
    found, can_hand_over = reply["consequences"], reply.get("handover", False)
    for entry in found:
        for line in _describe(entry):
            app.output.progress(line)
    if not any(map(_losers, found)):
        return False
    asking = not (yes or safe) and sys.stdin.isatty() and sys.stderr.isatty()
    if asking:
        return _ask(command, offer_handover=can_hand_over)
    handover = f"a handover loses nothing: pyroctl {command} {shlex.join(services)} --handover"
    if safe:
        raise Declined(
            f"{command} would lose what is listed above" if not app.output.json else _sum_up(found),
            hint=handover if can_hand_over else f"{command} without --safe proceeds",
        )
    if can_hand_over:
        app.output.progress(app.output.suggest(handover))
    return False


def _ask(command: str, *, offer_handover: bool) -> bool:
    """Ask whether to proceed; return whether with a handover. Raises Declined."""
    choices = {"y": "[y]es", "h": "[h]andover, which loses nothing", "n": "[N]o"}
    if not offer_handover:
        del choices["h"]
    answer = click.prompt(
        f"{command} anyway? {', '.join(choices.values())}",
        type=click.Choice([*choices, "yes", "no"], case_sensitive=False),
        default="n",
        show_choices=False,
        show_default=False,
        err=True,
    )
    if answer.startswith("n"):
        raise Declined("nothing was changed")
    return bool(answer == "h")


def _describe(entry: Mapping[str, Any]) -> list[str]:
    service = entry["service"]
    if "names" in entry:
        names = entry["names"]
        head = f"{service} keeps its names in memory; these will be lost:"
        return [head, *_shorten([f"    {name}" for name in names])]
    if "disconnected" in entry:
        head = f"these clients of {service} use TLS without a helper, and will be disconnected:"
        return [head, *_shorten([f"    {name}" for name in entry["disconnected"]])]
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
    parts = [f"{len(_losers(entry))} of {entry['service']}" for entry in found]
    return f"clients would lose subscriptions, names or connections: {', '.join(parts)}"


def _losers(entry: Mapping[str, Any]) -> Sequence[Any]:
    return entry.get("lost") or entry.get("names") or entry.get("disconnected") or ()
