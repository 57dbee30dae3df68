"""Warnings about what clients lose by a stop or restart, and the question whether to proceed."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING, Any

import click

from pyroctl.errors import Declined
from pyroctl.view.costs import describe_cost, losers, sum_up

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pyroctl.cli.app import App


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
        for line in describe_cost(entry):
            app.output.progress(line)
    if not any(map(losers, found)):
        return False
    asking = not (yes or safe) and sys.stdin.isatty() and sys.stderr.isatty()
    if asking:
        return _ask(command, offer_handover=can_hand_over)
    handover = f"a handover loses nothing: pyroctl {command} {shlex.join(services)} --handover"
    if safe:
        raise Declined(
            f"{command} would lose what is listed above" if not app.output.json else sum_up(found),
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
