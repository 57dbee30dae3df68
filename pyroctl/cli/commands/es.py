"""`pyroctl es`: publish, listen, and see who is subscribed."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import click

from pyroctl.cli import command as cli
from pyroctl.cli.output import Result, table
from pyroctl.errors import PyroctlError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyroctl.cli.app import App

HEAD = ("SUBSCRIBER", "KIND", "STATE", "QUEUED", "DELIVERED", "DROPPED", "SUBJECTS AND PATTERNS")

command = cli.group("es", "Publish, listen, and see who is subscribed.")
which = click.option(
    "--service", metavar="NAME", help="The event service, if the deployment has several."
)


@cli.command("publish")
@click.argument("subject")
@click.argument("text")
@click.option("--as-json", is_flag=True, help="Send the value that TEXT is in JSON.")
@which
def publish(app: App, subject: str, text: str, *, as_json: bool, service: str | None) -> Result:
    """Publish a message.

    TEXT is sent as it is; with --as-json the value that it stands for. Returns when the event
    service has it.
    """
    tool = [*_tool(app, "publish", service), *(["--as-json"] if as_json else [])]
    with _interrupts_held():
        process = subprocess.Popen([*tool, "--", subject, text], stderr=subprocess.PIPE, text=True)
    with process:
        _, said = process.communicate()
    if process.returncode:
        raise PyroctlError(said.strip() or f"exit status {process.returncode}")
    return Result({"subject": subject, "published": 1})


@cli.command("listen")
@click.argument("subjects", nargs=-1, metavar="[SUBJECT]...")
@click.option("--match", multiple=True, metavar="PATTERN", help="Also what matches; repeatable.")
@click.option("--count", type=click.IntRange(1), metavar="N", help="End after N events.")
@click.option("--rate", is_flag=True, help="Print events per second instead of events.")
@which
def listen(
    app: App,
    subjects: tuple[str, ...],
    *,
    match: tuple[str, ...],
    count: int | None,
    rate: bool,
    service: str | None,
) -> Result:
    """Print events as they come.

    One a line, until Ctrl-C; without a subject or pattern, all of them. With --json an object a
    line: subject, time, msg.
    """
    options = [word for pattern in match for word in ("--match", pattern)]
    options += ["--count", str(count)] if count else []
    options += ["--rate"] if rate else []
    options += ["--json"] if app.output.json else []
    tool = [*_tool(app, "listen", service), *options, "--", *subjects]
    sys.stdout.flush()
    with _interrupts_held():
        os.execv(tool[0], tool)  # noqa: S606 - it takes over the terminal, the signals and the exit


@cli.command("subscriptions")
@which
def subscriptions(app: App, *, service: str | None) -> Result:
    """Show who is subscribed to what.

    And what waits for them, was delivered to them, and was lost to them.
    """
    reply = app.call("subscriptions", [service] if service else [])
    for line in table(HEAD, [_cells(row) for row in reply["data"]["subscriptions"]]):
        app.output.print(line)
    return Result(reply["data"])


@contextlib.contextmanager
def _interrupts_held() -> Iterator[None]:
    """Have what is executed begin with Ctrl-C held back, until it can end without a traceback."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def _tool(app: App, verb: str, service: str | None) -> list[str]:
    """Give the start of a command line for the event service that is meant."""
    found: dict[str, Any] = app.call("eventservice", [service] if service else [])["data"]
    ident = ["--ident-file", found["ident_file"]] if found["ident_file"] else []
    return [sys.executable, "-m", "pyro_events._app.tool", verb, "--es", found["uri"], *ident]


def _cells(row: dict[str, Any]) -> list[str]:
    wanted = [*row["subjects"], *(f"/{pattern}/" for pattern in row["patterns"])]
    wanted += [f"suspended /{pattern}/" for pattern in row["suspended"]]
    state = row["state"] if row["aware"] else f"{row['state']}, plain"
    numbers = (str(row[key]) for key in ("queued", "delivered", "dropped"))
    return [row["subscriber"], row["kind"], state, *numbers, " ".join(wanted)]


publish.ignore_unknown_options = True  # a temperature of -3 is a text, too

for subcommand in (publish, listen, subscriptions):
    command.add_command(subcommand)
