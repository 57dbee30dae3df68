"""`pyroctl completion`: print the scripts by which shells complete command lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from pyroctl.cli import command as cli
from pyroctl.cli.output import Result

if TYPE_CHECKING:
    from pyroctl.cli.app import App


USAGE = """\b
bash: eval "$(pyroctl completion bash)"      (in ~/.bashrc)
zsh:  eval "$(pyroctl completion zsh)"       (in ~/.zshrc)
fish: pyroctl completion fish | source       (in ~/.config/fish/config.fish)
"""


@cli.command("completion", epilog=USAGE)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(app: App, shell: str) -> Result:
    """Print the completion script for a shell."""
    script = completion_script(shell)
    for line in script.rstrip().split("\n"):
        app.output.verbatim(line)
    return Result({"shell": shell, "script": script})


def completion_script(shell: str) -> str:
    """Return the script, which asks `pyroctl` for completions; that starts nothing."""
    from click.shell_completion import get_completion_class

    from pyroctl.cli.group import make_group

    kind = get_completion_class(shell)
    assert kind is not None
    completion = kind(make_group(), {}, "pyroctl", "_PYROCTL_COMPLETE")
    return completion.source_template % completion.source_vars()
