"""`pyroctl join`: get a certificate of a site on this host, with a one-time token."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from pyroctl.certs.tokens import parse_join_string
from pyroctl.cli import command as cli
from pyroctl.cli.output import Result
from pyroctl.errors import UsageError
from pyroctl.paths import certs_directory

if TYPE_CHECKING:
    from pyroctl.cli.app import App

LONGEST = 4096
"""Characters."""


@cli.command("join")
@click.argument("string", required=False, metavar="[STRING|-]")
def command(app: App, string: str | None) -> Result:
    """Join a site with the string that pyroctl certs token has printed.

    STRING is a secret until it is used, and other users of this machine can read arguments: with -,
    it is read from standard input, and without an argument the command asks for it. The command
    prints the directory with the key, the certificate and the CA's certificate.
    """
    chosen = parse_join_string(_read() if string == "-" else string or _ask())
    from pyroctl.certs.site import Site  # noqa: F401 - says what is missing without cryptography
    from pyroctl.cli.commands.trust.joining import join_site

    joined = join_site(chosen, certs_directory(app.root, os.environ))
    app.output.verbatim(joined.folder)
    certificate = joined.certificate
    end = f"{certificate.lifetime.end:%Y-%m-%d}"
    app.output.progress(
        f"this host is {certificate.name} of the site {joined.site} until {end}; a manager renews"
        " the certificate before"
    )
    return Result(
        {
            "site": joined.site,
            "name": certificate.name,
            "kind": certificate.kind,
            "expires": certificate.lifetime.end.isoformat(),
            "directory": joined.folder,
        }
    )


def _read() -> str:
    return sys.stdin.readline(LONGEST)


def _ask() -> str:
    if not sys.stdin.isatty():
        raise UsageError("the join string is missing", hint="pyroctl join - reads it from stdin")
    answer: str = click.prompt("join string", hide_input=True, err=True)
    return answer
