"""Commands and groups of commands, which all have the global options."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from pyroctl.cli.app import App
from pyroctl.cli.as_owner import become_owner
from pyroctl.cli.options import global_options
from pyroctl.cli.output import Result

if TYPE_CHECKING:
    from collections.abc import Callable


class Command(click.Command):
    """A command with the global options; its function takes the App and returns a Result."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params += global_options()
        self.context_settings.setdefault("help_option_names", ["-h", "--help"])

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments; every usage error belongs to this command and its help."""
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            error.ctx = error.ctx or ctx
            raise

    def invoke(self, ctx: click.Context) -> Result:
        """Run the command, and store its name for the envelope."""
        app = ctx.find_root().ensure_object(App)
        app.output.command = ctx.command_path.split()[1:]
        if app.as_owner:
            become_owner(app)
        result: Result = super().invoke(ctx)
        return result


def show_help(ctx: click.Context, **_: Any) -> Result:
    """Print the help of a group that was given no command."""
    if ctx.invoked_subcommand is None:
        app = ctx.find_root().ensure_object(App)
        for line in ctx.get_help().splitlines():
            app.output.print(line)
    return Result()


pass_app = click.make_pass_decorator(App, ensure=True)


def command(
    name: str, cls: type[Command] = Command, **more: Any
) -> Callable[[Callable[..., Result]], click.Command]:
    """Make a function a command; its docstring is the help."""

    def make(function: Callable[..., Result]) -> click.Command:
        return click.command(name, cls=cls, **more)(pass_app(function))

    return make


def group(name: str, purpose: str) -> click.Group:
    """Return a group of commands; by itself it prints its help."""
    return click.Group(
        name,
        callback=click.pass_context(show_help),
        invoke_without_command=True,
        no_args_is_help=False,
        help=purpose,
        params=list(global_options()),
        context_settings={"help_option_names": ["-h", "--help"]},
    )
