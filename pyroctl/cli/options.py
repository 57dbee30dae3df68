"""The options that every command takes."""

from __future__ import annotations

from typing import Any

import click

from pyroctl.cli.app import App


def global_options() -> list[click.Option]:
    """Return new global options."""
    dir_help = "Keep configuration, socket, state and logs below DIR."
    when = click.Choice(["auto", "always", "never"])
    return [
        _option(
            "config_option", "-c", "--config", metavar="FILE", help="Use this configuration file."
        ),
        _option("root", "--root", metavar="DIR", help=dir_help),
        _option(
            "as_owner",
            "--as-owner",
            is_flag=True,
            help="As root, do it as the configuration file's owner.",
        ),
        _option("json", "--json", is_flag=True, help="Print one JSON object instead of text."),
        _option("color", "--color", type=when, help="When to use colours."),
        _option("verbose", "-v", "--verbose", count=True, help="Print more details."),
    ]


def _option(name: str, *flags: str, **more: Any) -> click.Option:
    """Return an option that may appear before and after the command; it sets an attribute."""

    def store(ctx: click.Context, _: click.Parameter, value: Any) -> None:
        if value:
            app = ctx.find_root().ensure_object(App)
            setattr(app if hasattr(app, name) else app.output, name, value)

    return click.Option(flags, callback=store, expose_value=False, is_eager=True, **more)
