"""`pyroctl secret`: make the identification that the clients of an event service share."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from pyroctl.certs.names import checked_name
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
@click.option("--name", metavar="NAME", help="Name the client that gets the secret.")
@click.option(
    "--into", metavar="SERVICE_FILE", type=click.Path(dir_okay=False), help="Also append it there."
)
def new(app: App, file: str | None, *, force: bool, name: str | None, into: str | None) -> Result:
    """Write a new secret to FILE, which only you can read.

    With --name, the secret is that of one client, whose name the event service then knows; --into
    appends it to the file of the event service.

    The default FILE is es.secret beside the configuration file, or in the --root or the current
    directory. The command prints the path and how to use the file; the secret itself is not shown.
    """
    import secrets

    beside = os.path.dirname(app.config) if app.config else app.root or ""
    path = os.path.abspath(file or os.path.join(beside, "es.secret"))
    line = secrets.token_urlsafe(SIZE) + "\n"
    if name is not None:
        line = f"{checked_name(name)} {line}"
    if into is not None:
        _check_unused(into, name)
    try:
        write_private(path, line.encode(), replace=force)
    except FileExistsError:
        raise PyroctlError(
            f"{path} already exists", hint="--force replaces it; clients then need the new one"
        ) from None
    except OSError as error:
        raise PyroctlError(f"cannot write {path}: {error.strerror}") from None
    if into is not None:
        _append(into, line)
    app.output.verbatim(path)
    if name is None:
        app.output.progress("in the table of an event service, such as [services.es]:")
        app.output.progress(f'    ident_file = "{_written(path, beside)}"')
        app.output.progress("each client needs a copy of its own, with mode 0600")
    else:
        where = into or "the ident_file of the event service"
        there = "is" if into else "has to be"
        app.output.progress(f"its line {there} in {where}, which a restart reads")
        app.output.progress(f"{name} needs this file, with mode 0600")
    return Result({"file": path})


def _check_unused(file: str, name: str | None) -> None:
    """Raise PyroctlError if the file can't be read, or has a secret for this client already."""
    try:
        with open(file, encoding="utf-8") as stream:
            lines = [line.split() for line in stream]
    except (OSError, ValueError) as error:
        raise PyroctlError(f"cannot read {file}: {error}") from None
    wanted = [name] if name else []
    if any(line and line[:-1] == wanted for line in lines):
        whose = f"for {name}" if name else "without a name"
        raise PyroctlError(
            f"{file} has a secret {whose} already", hint="remove its line first to replace it"
        )


def _append(file: str, line: str) -> None:
    """Append a line to a file that keeps its owner and mode."""
    try:
        fd = os.open(file, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
        with open(fd, "r+b", buffering=0) as stream:
            begun = not stream.read().endswith(b"\n")
            stream.write(b"\n" * begun + line.encode())
            os.fsync(fd)
    except OSError as error:
        raise PyroctlError(f"cannot append to {file}: {error.strerror}") from None


def _written(path: str, directory: str) -> str:
    """Return the path as it is written in a configuration in that directory."""
    inside = os.path.dirname(path) == os.path.abspath(directory)
    return os.path.basename(path) if inside else path


command.add_command(new)
