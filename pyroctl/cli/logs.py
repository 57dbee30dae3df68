"""`pyroctl logs`: what services say."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click

from pyroctl.cli import command as cli
from pyroctl.cli import logfiles
from pyroctl.cli.output import Result
from pyroctl.errors import UnknownService, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pyroctl.cli.app import App

UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


@cli.command("logs")
@cli.services_argument
@click.option(
    "-n", "--lines", type=click.IntRange(0), metavar="N", help="How many last lines. [default: 50]"
)
@click.option("-f", "--follow", is_flag=True, help="Go on with new lines until Ctrl-C.")
@click.option("--since", metavar="WHEN", help="Only newer lines: 90s, 5m, 2h, 1d or an ISO time.")
def command(
    app: App, services: tuple[str, ...], *, lines: int | None, follow: bool, since: str | None
) -> Result:
    """Show what services said.

    The last lines of their logs, in order of time; also while no manager runs.
    """
    files = _files(app, services)
    start = None if since is None else _moment(since)
    count = lines if lines is not None or start is not None else 50
    show = _printer(app, name_width=max(map(len, files), default=0) if len(files) > 1 else 0)
    if follow:
        from pyroctl.cli.follow import follow as follow_files

        follow_files(files, count, start, show)
        return Result()
    found = logfiles.last_lines(files, count, start)
    if app.output.json:
        return Result({"lines": [line._asdict() for line in found]})
    for line in found:
        show(line)
    return Result()


def _files(app: App, services: Sequence[str]) -> dict[str, str]:
    """Find the log files; raises UnknownService for a name that has neither a log nor a service."""
    paths = app.paths
    if not services:
        entries = sorted(os.listdir(paths.logs)) if os.path.isdir(paths.logs) else []
        names = [e[:-4] for e in entries if e.endswith(".log") and not e.startswith("_")]
        return {name: paths.service_log(name) for name in names}
    for name in services:
        if not logfiles.versions(paths.service_log(name)):
            known = app.load().deployment.services
            if name not in known:
                raise UnknownService(name, known)
    return {name: paths.service_log(name) for name in services}


def _printer(app: App, name_width: int) -> Callable[[logfiles.Line], None]:
    def show(line: logfiles.Line) -> None:
        if app.output.json:
            app.output.emit(line._asdict())
            return
        name = f"{line.service:<{name_width}} | " if name_width else ""
        app.output.print(f"{app.output.style(line.time, 'dim')} {name}{line.text}")

    return show


def _moment(text: str) -> datetime:
    """Read "5m" as five minutes ago, or an ISO time (local when it has no offset)."""
    now = datetime.now(UTC).astimezone()
    number, unit = text[:-1], text[-1:]
    try:
        if unit in UNITS and number.replace(".", "", 1).isdigit():
            return now - timedelta(seconds=float(number) * UNITS[unit])
        return datetime.fromisoformat(text).astimezone(now.tzinfo)
    except (ValueError, OverflowError):
        raise UsageError(
            f"--since {text!r} is neither a span nor a time",
            hint="90s, 5m, 2h, 1d, or 2026-01-31T12:00",
        ) from None
