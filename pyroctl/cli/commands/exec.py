"""`pyroctl exec`: run a program that finds this deployment's name server."""

from __future__ import annotations

import os
import shlex
import signal
import sys
from typing import TYPE_CHECKING

import click

from pyroctl.cli import command as cli
from pyroctl.cli.arguments import ServiceName
from pyroctl.cli.commands.env import environment
from pyroctl.errors import PyroctlError, UsageError

if TYPE_CHECKING:
    from pyroctl.cli.app import App
    from pyroctl.cli.output import Result

COMMAND = "pyroctl.exec"


class _WithCommand(cli.Command):
    """A command after whose `--` another command line follows, with options of its own."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Keep what follows the first `--`."""
        end = args.index("--") if "--" in args else len(args)
        ctx.meta[COMMAND] = args[end + 1 :]
        if not ctx.meta[COMMAND] and not {"-h", "--help"} & {*args} and not ctx.resilient_parsing:
            words = [word for word in args if word != "--"]
            raise UsageError(
                "the program to run must follow --",
                hint=f"pyroctl exec -- {shlex.join(words) or 'python PROGRAM.py'}",
            )
        return super().parse_args(ctx, args[:end])


@cli.command("exec", cls=_WithCommand, options_metavar="[OPTIONS]")
@click.argument("service", required=False, type=ServiceName(), metavar="[SERVICE] -- PROGRAM...")
@click.pass_context
def command(ctx: click.Context, app: App, service: str | None) -> Result:
    """Run a program in the environment that pyroctl env prints.

    Its exit status becomes that of the command.
    """
    words: list[str] = ctx.meta[COMMAND]
    env = os.environ | environment(app, service)
    sys.stdout.flush()
    before = signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python ignores it, others must not
    try:
        os.execvpe(words[0], words, env)  # noqa: S606 - it takes the terminal and the exit status
    except OSError as error:
        signal.signal(signal.SIGPIPE, before)
        raise PyroctlError(f"cannot run {words[0]}: {error.strerror}") from None
