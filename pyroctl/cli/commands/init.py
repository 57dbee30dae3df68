"""`pyroctl init`: write a starting configuration."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from pyroctl.cli import command as cli
from pyroctl.cli.output import Result
from pyroctl.errors import PyroctlError

if TYPE_CHECKING:
    from pyroctl.cli.app import App


@cli.command("init")
@click.argument("file", required=False, type=click.Path(dir_okay=False))
def command(app: App, file: str | None) -> Result:
    """Write a commented starting configuration.

    The default FILE is pyroctl.toml in the current directory or in the --root directory. An
    existing file is not overwritten.
    """
    from pyroctl.config.edit.template import starting_deployment
    from pyroctl.config.source.builtin import has_page

    path = os.path.abspath(
        file or app.config_option or os.path.join(app.root or "", "pyroctl.toml")
    )
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "x", encoding="utf-8") as target:
            target.write(starting_deployment(page=has_page()))
    except FileExistsError:
        raise PyroctlError(
            f"{path} already exists", hint="name another file, or move this one away"
        ) from None
    except OSError as error:
        raise PyroctlError(f"cannot write {path}: {error.strerror}") from None
    app.output.verbatim(path)
    app.output.progress("next: edit the file, then run pyroctl config check and pyroctl start")
    return Result({"file": path})
