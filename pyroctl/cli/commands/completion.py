"""`pyroctl completion`: the shell's half of completion."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from pyroctl.cli import command as cli
from pyroctl.cli.output import Result

if TYPE_CHECKING:
    from pyroctl.cli.app import App


@cli.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(app: App, shell: str) -> Result:
    r"""Print the completion script for a shell.

    \b
    bash: eval "$(pyroctl completion bash)"      (in ~/.bashrc)
    zsh:  eval "$(pyroctl completion zsh)"       (in ~/.zshrc)
    fish: pyroctl completion fish | source       (in ~/.config/fish/config.fish)
    """
    script = completion_script(shell)
    app.output.print(script.rstrip())
    return Result({"shell": shell, "script": script})


def completion_script(shell: str) -> str:
    """Give the script; it asks `pyroctl` itself for what fits, which starts nothing."""
    from click.shell_completion import get_completion_class

    from pyroctl.cli.group import make_group

    kind = get_completion_class(shell)
    assert kind is not None
    completion = kind(make_group(), {}, "pyroctl", "_PYROCTL_COMPLETE")
    return completion.source_template % completion.source_vars()
