"""`pyroctl secret`: make the identification that the clients of an event service share."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from pyroctl.cli import command as cli
from pyroctl.cli.output import Result
from pyroctl.errors import PyroctlError
from pyroctl.private_file import write_private

if TYPE_CHECKING:
    from pyroctl.cli.app import App

SIZE = 32
"""Random bytes in a secret."""

command = cli.group("secret", "Make the secret by which an event service knows its clients.")


@cli.command("new")
@click.argument("file", required=False, type=click.Path(dir_okay=False))
@click.option("--force", is_flag=True, help="Replace FILE if it exists.")
def new(app: App, file: str | None, *, force: bool) -> Result:
    """Write a new secret to FILE, which only you can read.

    The default FILE is es.secret beside the configuration file, or in the --root or the current
    directory. The command prints the path and how to use the file; the secret itself is not shown.
    """
    import secrets

    beside = os.path.dirname(app.config) if app.config else app.root or ""
    path = os.path.abspath(file or os.path.join(beside, "es.secret"))
    try:
        content = f"{secrets.token_urlsafe(SIZE)}\n"
        write_private(path, content.encode(), replace=force)
    except FileExistsError:
        raise PyroctlError(
            f"{path} already exists", hint="--force replaces it; clients then need the new one"
        ) from None
    except OSError as error:
        raise PyroctlError(f"cannot write {path}: {error.strerror}") from None
    app.output.verbatim(path)
    app.output.progress("in the table of an event service, such as [services.es]:")
    app.output.progress(f'    ident_file = "{_written(path, beside)}"')
    app.output.progress("each client needs a copy of its own, with mode 0600")
    return Result({"file": path})


def _written(path: str, directory: str) -> str:
    """Return the path as it is written in a configuration in that directory."""
    inside = os.path.dirname(path) == os.path.abspath(directory)
    return os.path.basename(path) if inside else path


command.add_command(new)
