"""`pyroctl es`: publish and print events, and list subscriptions."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import click

from pyroctl.cli import command as cli
from pyroctl.cli.output import Result, table
from pyroctl.core.spec import EventServiceOptions
from pyroctl.errors import PyroctlError
from pyroctl.printable import printable
from pyroctl.view.rates import subject_rates
from pyroctl.view.subscribers import subscriptions_of
from pyroctl.view.text import rate as rate_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyroctl.cli.app import App

HEAD = ("SUBSCRIBER", "KIND", "STATE", "QUEUED", "DELIVERED", "DROPPED", "SUBJECTS AND PATTERNS")

SUBJECTS_HEAD = ("PER SECOND", "COUNT", "LISTENERS", "SUBJECT")

command = cli.group("es", "Publish and print events, list subscriptions, explain rules.")
service_option = click.option(
    "--service", metavar="NAME", help="Use this event service, if there are several."
)


@cli.command("publish")
@click.argument("subject")
@click.argument("text")
@click.option("--as-json", is_flag=True, help="Parse TEXT as JSON and publish the resulting value.")
@service_option
def publish(app: App, subject: str, text: str, *, as_json: bool, service: str | None) -> Result:
    """Publish TEXT under SUBJECT.

    The command returns when the event service has accepted the message.
    """
    tool = [*_tool(app, "publish", service), *(["--as-json"] if as_json else [])]
    with _sigint_blocked():
        process = subprocess.Popen(
            [*tool, "--", subject, text], stderr=subprocess.PIPE, errors="backslashreplace"
        )
    with process:
        _, errors = process.communicate()
    lines = errors.splitlines()
    error = (lines and lines.pop()) if process.returncode else ""
    for warning in lines:
        app.output.warn(warning)
    if process.returncode:
        raise PyroctlError(error or f"exit status {process.returncode}")
    return Result({"subject": subject, "published": 1})


@cli.command("listen")
@click.argument("subjects", nargs=-1, metavar="[SUBJECT]...")
@click.option(
    "--match", multiple=True, metavar="PATTERN", help="Also print subjects matching PATTERN."
)
@click.option("--count", type=click.IntRange(1), metavar="N", help="Exit after N events.")
@click.option("--rate", is_flag=True, help="Print the number of events per second instead.")
@service_option
def listen(
    app: App,
    subjects: tuple[str, ...],
    *,
    match: tuple[str, ...],
    count: int | None,
    rate: bool,
    service: str | None,
) -> Result:
    """Print events as they arrive.

    Each event is one line; with --json, one object with subject, time and msg. Without a subject or
    pattern, all events are printed. Ctrl-C ends the command.
    """
    options = [word for pattern in match for word in ("--match", pattern)]
    options += ["--count", str(count)] if count else []
    options += ["--rate"] if rate else []
    options += ["--json"] if app.output.json else []
    tool = [*_tool(app, "listen", service), *options, "--", *subjects]
    sys.stdout.flush()
    with _sigint_blocked():
        os.execv(tool[0], tool)  # noqa: S606 - it takes the terminal, the signals and the exit code


@cli.command("subscriptions")
@service_option
def subscriptions(app: App, *, service: str | None) -> Result:
    """Show the subscribers and their subscriptions.

    The table includes the queued, delivered and dropped events of each subscriber.
    """
    reply = app.call("subscriptions", [service] if service else [])
    for line in table(HEAD, [_cells(row) for row in reply["data"]["subscriptions"]]):
        app.output.print(line)
    return Result(reply["data"])


@cli.command("subjects")
@click.option("--seconds", default=1.0, show_default=True, help="Count for this long.", metavar="S")
@service_option
def subjects(app: App, *, seconds: float, service: str | None) -> Result:
    """Show which subjects flow, how fast, and how many hear them.

    They are counted only while somebody looks. A subject without listeners is heard by nobody.
    """
    chosen = [service] if service else []
    before = app.call("subjects", chosen)["data"]
    time.sleep(max(0.0, seconds))
    data = app.call("subjects", chosen)["data"]
    rows = subject_rates(before, data)
    for line in table(SUBJECTS_HEAD, [_subject_cells(row) for row in rows]):
        app.output.print(line)
    return Result({**data, "subjects": rows})


@cli.command("may")
@click.argument("client")
@click.argument("subject")
@service_option
def may(app: App, client: str, subject: str, *, service: str | None) -> Result:
    """Show which rule decides what CLIENT may do about SUBJECT.

    CLIENT is the name of a certificate or secret, uid:N, or an address.
    """
    reply = app.call("may", [service] if service else [], client=client, subject=subject)
    data = reply["data"]
    deciding = f"rule {data['rule']} decides" if data["rule"] else "no rule is for this client"
    if data["rule"] == 0:
        deciding = "there are no rules"
    app.output.print(f"{client}: {deciding}")
    for what in ("publish", "subscribe"):
        verdict = data[what]
        by = f", by {verdict['pattern']}" if verdict["pattern"] else ""
        word = "may" if verdict["allowed"] else "may not"
        app.output.print(f"  {word} {what} {printable(subject)}{by}")
    if data["may"]:
        app.output.print(f"  may {', '.join(data['may'])}")
    return Result(data)


@contextlib.contextmanager
def _sigint_blocked() -> Iterator[None]:
    """Block Ctrl-C in the program started here until it can exit without a traceback."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def _tool(app: App, verb: str, service: str | None) -> list[str]:
    """Return the beginning of a command line for the selected event service.

    Which file has the identification is read from the configuration, and not asked: whoever
    answers must not choose which of our files is read and sent.
    """
    found: dict[str, Any] = app.call("eventservice", [service] if service else [])["data"]
    spec = app.load().deployment.services.get(found["service"])
    options = spec.options if spec is not None else None
    own = list(_files(options)) if isinstance(options, EventServiceOptions) else []
    return [sys.executable, "-m", "pyro_events._app.tool", verb, "--es", found["uri"], *own]


def _files(options: EventServiceOptions) -> Iterator[str]:
    """Return how to identify ourselves: with TLS by the certificate of the service itself."""
    if options.ident_file is not None:
        yield f"--ident-file={options.ident_file}"
    if options.tls != "off":
        yield "--tls"
        for name in ("certificate", "key", "ca"):
            file = getattr(options, f"tls_{name}")
            if file is not None:
                yield f"--tls-{name}={file}"


def _cells(row: dict[str, Any]) -> list[str]:
    listed = subscriptions_of(row) + [f"suspended /{pattern}/" for pattern in row["suspended"]]
    state = row["state"] if row["aware"] else f"{row['state']}, plain"
    numbers = (str(row[key]) for key in ("queued", "delivered", "dropped"))
    return [*map(printable, (row["subscriber"], row["kind"], state, *numbers, " ".join(listed)))]


def _subject_cells(row: dict[str, Any]) -> list[str]:
    return [
        rate_text(row["rate"]),
        str(row["count"]),
        str(row["listeners"]),
        printable(row["subject"]),
    ]


publish.ignore_unknown_options = True  # a text may begin with a dash: -3

for subcommand in (publish, listen, subscriptions, subjects, may):
    command.add_command(subcommand)
