"""Commands and groups of commands, which all have the global options."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from pyroctl.cli.app import App
from pyroctl.cli.options import global_options

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyroctl.cli.output import Result


class Command(click.Command):
    """A command with the global options; its function takes the App and returns a Result."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params += global_options()
        self.context_settings.setdefault("help_option_names", ["-h", "--help"])

    def invoke(self, ctx: click.Context) -> Result:
        """Run the command, and store its name for the envelope."""
        app = ctx.find_root().ensure_object(App)
        app.output.command = ctx.command_path.split()[1:]
        result: Result = super().invoke(ctx)
        return result


pass_app = click.make_pass_decorator(App, ensure=True)


def command(name: str, **more: Any) -> Callable[[Callable[..., Result]], click.Command]:
    """Make a function a command; its docstring is the help."""

    def make(function: Callable[..., Result]) -> click.Command:
        return click.command(name, cls=Command, **more)(pass_app(function))

    return make


def group(name: str, purpose: str) -> click.Group:
    """Return a group of commands that does nothing by itself."""
    return click.Group(
        name,
        help=purpose,
        params=list(global_options()),
        context_settings={"help_option_names": ["-h", "--help"]},
    )
