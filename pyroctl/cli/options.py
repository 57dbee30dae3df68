"""The options that every command takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from pyroctl.cli.app import App

if TYPE_CHECKING:
    from collections.abc import Callable


def _remember(name: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    """Make an option's callback; the same option may stand before and after the command."""

    def store(ctx: click.Context, _: click.Parameter, value: Any) -> None:
        app = ctx.find_root().ensure_object(App)
        if not value:
            return
        if name in {"config_option", "root"}:
            setattr(app, name, value)
        else:
            setattr(app.output, name, value)

    return store


def global_options() -> list[click.Option]:
    """Give the options that every command takes."""
    shared: dict[str, Any] = {"expose_value": False, "is_eager": True}
    return [
        click.Option(
            ["-c", "--config"],
            metavar="FILE",
            callback=_remember("config_option"),
            help="The deployment's configuration file.",
            **shared,
        ),
        click.Option(
            ["--root"],
            metavar="DIR",
            callback=_remember("root"),
            help="Keep configuration, state, socket and logs below DIR.",
            **shared,
        ),
        click.Option(
            ["--json"],
            is_flag=True,
            callback=_remember("json"),
            help="Print one JSON object.",
            **shared,
        ),
        click.Option(
            ["--color"],
            type=click.Choice(["auto", "always", "never"]),
            callback=_remember("color"),
            help="When to use colors.",
            **shared,
        ),
        click.Option(
            ["-v", "--verbose"],
            count=True,
            callback=_remember("verbose"),
            help="Say more.",
            **shared,
        ),
    ]
