"""The top of the command line: finds the command and runs it."""

from __future__ import annotations

import importlib

import click

import pyroctl
from pyroctl.cli.app import App
from pyroctl.cli.command import show_help
from pyroctl.cli.commands import COMMANDS, FOLDERS
from pyroctl.cli.options import global_options
from pyroctl.cli.output import OutputLost, Result
from pyroctl.errors import UsageError

ALIASES = {"up": "start", "down": "shutdown", "ps": "status"}
"""Words of other tools that mean exactly the same."""
HINTS = {
    "list": "pyroctl status lists the services, pyroctl ls the deployments that run",
    "stat": "did you mean 'status'?",
    "show": "pyroctl status shows the services, pyroctl config show the settings",
    "reboot": "pyroctl restart restarts services",
    "kill": "pyroctl stop stops services, pyroctl shutdown everything",
    "log": "did you mean 'logs'?",
    "tail": "pyroctl logs -f follows the output",
    "check": "did you mean 'config check'?",
    "publish": "did you mean 'es publish'?",
    "listen": "did you mean 'es listen'?",
}
EXAMPLES = """\b
Examples:
  pyroctl start             start the services of pyroctl.toml, or a name server and event service
  pyroctl status            show what is running
  pyroctl logs -f es        follow the output of the event service
  pyroctl shutdown          stop everything
"""


class LazyGroup(click.Group):
    """A group that imports the module of a command only to run it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names without importing anything."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        if cmd_name not in COMMANDS:
            return None
        place = f"{FOLDERS[cmd_name]}." if cmd_name in FOLDERS else ""
        module = importlib.import_module(f"pyroctl.cli.commands.{place}{cmd_name}")
        found: click.Command = module.command
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Understand the usual words for commands, and suggest one for others that don't exist."""
        name = ALIASES.get(args[0], args[0])
        if name == "help" and len(args) > 1:
            return self.resolve_command(ctx, [*args[1:], "--help"])
        if name in {"help", "version"}:
            version = f"pyroctl, version {pyroctl.__version__}"
            click.echo(ctx.get_help() if name == "help" else version)
            ctx.exit()
        if name not in COMMANDS and not name.startswith("-"):
            raise UsageError(f"there is no command {name!r}", hint=_hint(name))
        return super().resolve_command(ctx, [name, *args[1:]])


def _hint(name: str) -> str:
    from pyroctl.suggestions import nearest_name

    if name in HINTS:
        return HINTS[name]
    nearest = nearest_name(name, COMMANDS)
    return f"did you mean {nearest!r}?" if nearest else "pyroctl --help lists them"


def make_group() -> click.Group:
    """Return the top of the command line."""
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
    """Run one command line and return the exit code."""
    app = App()
    app.output.json = "--json" in args  # a usage error comes before the options are known
    return app.output.report(lambda: _invoke(app, args))


def _invoke(app: App, args: list[str]) -> Result:
    try:
        outcome = make_group().main(args, prog_name="pyroctl", standalone_mode=False, obj=app)
    except click.ClickException as error:
        raise _usage_error(error) from None
    except click.Abort:
        raise KeyboardInterrupt from None
    except OSError as error:
        if app.output.command:
            raise
        raise OutputLost(error) from None  # click was printing help
    except SystemExit:  # and for click, a reader who has left is an error
        raise OutputLost(BrokenPipeError()) from None
    if isinstance(outcome, Result):
        return outcome
    app.output.streamed = True  # --help or --version
    return Result(exit_code=outcome or 0)


def _usage_error(error: click.ClickException) -> UsageError:
    ctx = getattr(error, "ctx", None)
    path = ctx.command_path if ctx is not None else "pyroctl"
    return UsageError(error.format_message(), hint=f"{path} --help")
