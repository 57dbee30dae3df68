"""How commands are made: the global options, a command's class, arguments that complete."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from pyroctl.cli.app import App
from pyroctl.errors import PyroctlError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyroctl.cli.output import Result


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


class Command(click.Command):
    """A command with the global options; its function gets the App and gives a Result."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params += global_options()
        self.context_settings.setdefault("help_option_names", ["-h", "--help"])

    def invoke(self, ctx: click.Context) -> Result:
        """Run it, and remember its name for the envelope."""
        app = ctx.find_root().ensure_object(App)
        app.output.command = ctx.command_path.split()[1:]
        result: Result = super().invoke(ctx)
        return result


pass_app = click.make_pass_decorator(App, ensure=True)


def command(name: str) -> Callable[[Callable[..., Result]], click.Command]:
    """Make a function a command; its docstring is the help."""

    def make(function: Callable[..., Result]) -> click.Command:
        return click.command(name, cls=Command)(pass_app(function))

    return make


def group(name: str, purpose: str) -> click.Group:
    """Make a group of commands, which has nothing to do by itself."""
    return click.Group(
        name,
        help=purpose,
        params=list(global_options()),
        context_settings={"help_option_names": ["-h", "--help"]},
    )


MOST_OFFERED = 100
"""Instances of one service that are offered to complete a name."""


class ServiceName(click.ParamType[str]):
    """A service's name; completes without starting anything."""

    name = "service"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[Any]:
        """Offer the names in the configuration, however broken the rest of it is."""
        import os

        from click.shell_completion import CompletionItem

        from pyroctl.config.source.sources import written_tables
        from pyroctl.core.instances import numbered

        app = ctx.find_root().ensure_object(App)
        try:
            tables = written_tables(app.config, os.environ).get("services", {})
            names = list(tables)
            for name in tables:
                count = tables[name].get("instances", 0)
                names += numbered(name, min(count, MOST_OFFERED)) if count else ()
        except (AttributeError, TypeError, PyroctlError):
            return []
        return [CompletionItem(name) for name in names if name.startswith(incomplete)]


services_argument = click.argument("services", nargs=-1, type=ServiceName(), metavar="[SERVICE]...")
