"""`pyroctl web`: open the page, or print its address or its token."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from pyroctl.cli import command as cli
from pyroctl.cli.output import Result
from pyroctl.errors import EXIT_NOT_RUNNING, PyroctlError, UsageError

if TYPE_CHECKING:
    from pyroctl.cli.app import App

command = cli.group("web", "Open the page, or print its address or its token.")
service_option = click.option(
    "--service", metavar="NAME", help="Use this page, if there are several."
)


class PageNotRunning(PyroctlError):
    """The page is there, but does not serve."""

    code = "not-running"
    exit_code = EXIT_NOT_RUNNING


@cli.command("open")
@service_option
@click.option("--no-browser", is_flag=True, help="Only print the address.")
def open_(app: App, *, service: str | None, no_browser: bool) -> Result:
    """Open the page in a browser, which is signed in.

    The address has a code that works once, within 60 seconds. Without a browser it is printed: it
    can be opened in one on this machine, or through ssh -L.
    """
    import secrets
    import time
    import webbrowser

    from pyroctl.core.page_codes import make_code

    name, url = _page(app, service)
    code = make_code(_token(app, name), time.time(), secrets.token_hex(16))
    address = f"{url}#{code}"
    opened = not no_browser and url.startswith("http") and webbrowser.open(address)
    if opened:
        app.output.progress(f"opened {url}")
    else:
        app.output.print(address)
    return Result({"service": name, "url": address, "opened": opened})


@cli.command("url")
@service_option
def url_(app: App, *, service: str | None) -> Result:
    """Print the address of the page."""
    name, url = _page(app, service)
    app.output.print(url)
    return Result({"service": name, "url": url})


@cli.command("token")
@service_option
@click.option("--new", is_flag=True, help="Make another one: the old one and all sessions end.")
def token(app: App, *, service: str | None, new: bool) -> Result:
    """Print the token of the page, with which programs sign in.

    They send it as "Authorization: Bearer TOKEN".
    """
    name, _ = _page(app, service, running=not new)
    if new:
        _renew(app, name)
        app.call("restart", [name])
    found = _token(app, name)
    app.output.print(found)
    return Result({"service": name, "token": found})


def _page(app: App, service: str | None, *, running: bool = True) -> tuple[str, str]:
    """Return name and address of the chosen page, or of the only one."""
    reply = app.call("status", [service] if service else [])
    pages = [row for row in reply["data"]["services"] if row["kind"] == "web"]
    if not pages:
        what = f"{service} is not a page" if service else "there is no page"
        raise PyroctlError(what, hint='add a service of kind = "web" to the configuration')
    if len(pages) > 1:
        names = ", ".join(row["name"] for row in pages)
        raise UsageError("there are several pages", hint=f"choose one with --service: {names}")
    (row,) = pages
    if running and row["uri"] is None:
        name = row["name"]
        raise PageNotRunning(f"{name} is {row['state']}", hint=f"pyroctl logs {name}", service=name)
    return row["name"], row["uri"] or ""


def _token(app: App, name: str) -> str:
    path = app.paths.page_token(name)
    try:
        with open(path, encoding="ascii") as file:
            return file.read().strip()
    except OSError as error:
        raise PyroctlError(
            f"the token in {path} can't be read: {error.strerror}",
            hint="the page has written it when it was started first",
        ) from None


def _renew(app: App, name: str) -> None:
    """Write another token, and forget the sessions."""
    import contextlib
    import os
    import secrets

    from pyroctl.private_file import write_private

    write_private(app.paths.page_token(name), f"{secrets.token_hex(32)}\n".encode(), replace=True)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(os.path.join(app.paths.page(name), "sessions.json"))


for subcommand in (open_, url_, token):
    command.add_command(subcommand)
