"""The options that every command takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from pyroctl.cli.app import App

if TYPE_CHECKING:
    from collections.abc import Callable


def _store(name: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    """Return an option's callback; the option may appear before and after the command."""

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
    """Return the options that every command takes."""
    shared: dict[str, Any] = {"expose_value": False, "is_eager": True}
    return [
        click.Option(
            ["-c", "--config"],
            metavar="FILE",
            callback=_store("config_option"),
            help="Use this configuration file.",
            **shared,
        ),
        click.Option(
            ["--root"],
            metavar="DIR",
            callback=_store("root"),
            help="Keep configuration, socket, state and logs below DIR.",
            **shared,
        ),
        click.Option(
            ["--json"],
            is_flag=True,
            callback=_store("json"),
            help="Print one JSON object instead of text.",
            **shared,
        ),
        click.Option(
            ["--color"],
            type=click.Choice(["auto", "always", "never"]),
            callback=_store("color"),
            help="When to use colours.",
            **shared,
        ),
        click.Option(
            ["-v", "--verbose"],
            count=True,
            callback=_store("verbose"),
            help="Print more details.",
            **shared,
        ),
    ]
