"""The top of the command line: finds a command, runs it, makes an exit of the outcome."""

from __future__ import annotations

import importlib
from typing import Any

import click

import pyroctl
from pyroctl.cli.app import App
from pyroctl.cli.command import global_options
from pyroctl.cli.output import Result, failure
from pyroctl.errors import EXIT_INTERRUPTED, PyroctlError, UsageError, system_error

COMMANDS = {
    "run": "commands.run",
    "start": "commands.start",
    "stop": "commands.stop",
    "restart": "commands.restart",
    "reload": "commands.reload",
    "status": "status.command",
    "logs": "commands.logs",
    "reexec": "commands.reexec",
    "shutdown": "commands.shutdown",
    "init": "commands.init",
    "config": "commands.config",
    "es": "commands.es",
    "unit": "commands.unit",
    "completion": "commands.completion",
}
"""Commands in the order of the help, and the modules that they are in."""

EXAMPLES = """\b
Examples:
  pyroctl start             name server and event service, or what pyroctl.toml says
  pyroctl status            what runs
  pyroctl logs -f es        what the event service says
  pyroctl shutdown          stop everything
"""


class LazyGroup(click.Group):
    """Imports a command's module when that command is wanted."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Give the names without importing anything."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"pyroctl.cli.{COMMANDS[cmd_name]}")
        found: click.Command = module.command
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Suggest the nearest command for one that doesn't exist."""
        from pyroctl.errors import nearest_name

        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            nearest = nearest_name(name, COMMANDS)
            raise UsageError(
                f"there is no command {name!r}",
                hint=f"did you mean {nearest!r}?" if nearest else "pyroctl --help lists them",
            )
        return super().resolve_command(ctx, args)


def make_group() -> click.Group:
    """Make the top of the command line."""

    def show_help(ctx: click.Context, **_: Any) -> Result:
        if ctx.invoked_subcommand is None:
            click.echo(ctx.get_help())
        return Result()

    group = LazyGroup(
        "pyroctl",
        callback=click.pass_context(show_help),
        invoke_without_command=True,
        help="Start, stop, watch and configure a Pyro5 name server, an event service and your own"
        " services.",
        epilog=EXAMPLES,
        params=list(global_options()),
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    )
    version = click.version_option(pyroctl.__version__, prog_name="pyroctl")
    return version(group)


def run(args: list[str]) -> int:
    """Run one command line; gives the exit code."""
    app = App()
    app.output.json = "--json" in args  # a usage error comes before the options are known
    try:
        outcome = make_group().main(args, prog_name="pyroctl", standalone_mode=False, obj=app)
        result = outcome if isinstance(outcome, Result) else None
    except PyroctlError as error:
        result = failure(error)
    except BrokenPipeError:
        raise
    except OSError as error:
        result = failure(system_error(error))
    except click.ClickException as error:
        result = failure(_usage_error(error))
    except (KeyboardInterrupt, click.Abort):
        app.output.progress("")
        result = Result(exit_code=EXIT_INTERRUPTED)
    if result is None:  # --help or --version
        return int(outcome or 0)
    return app.output.finish(result)


def _usage_error(error: click.ClickException) -> UsageError:
    ctx = getattr(error, "ctx", None)
    path = ctx.command_path if ctx is not None else "pyroctl"
    return UsageError(error.format_message(), hint=f"{path} --help")
