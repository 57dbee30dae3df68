"""`pyroctl logs`: what services say."""

from __future__ import annotations

import contextlib
import os
import re
from collections import deque
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click

from pyroctl.cli import command as cli
from pyroctl.cli.log_reader import files
from pyroctl.cli.log_reader.files import LogLine, Source
from pyroctl.cli.output import Result
from pyroctl.core.instances import meant, members
from pyroctl.errors import ConfigError, UnknownService, UsageError
from pyroctl.log_files import versions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from pyroctl.cli.app import App

DEFAULT_LINES = 50
UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


@cli.command("logs")
@cli.services_argument
@click.option(
    "-n", "--lines", type=click.IntRange(0), metavar="N", help="How many last lines. [default: 50]"
)
@click.option("-f", "--follow", is_flag=True, help="Go on with new lines until Ctrl-C.")
@click.option("--since", metavar="WHEN", help="Only newer lines: 90s, 5m, 2h, 1d or an ISO time.")
@click.option("--grep", metavar="REGEX", help="Only lines in which that is found.")
def command(
    app: App,
    services: tuple[str, ...],
    *,
    lines: int | None,
    follow: bool,
    since: str | None,
    grep: str | None,
) -> Result:
    """Show what services said.

    The last lines of their logs, in order of time; also while no manager runs.
    """
    names = _every_name(app, follow=follow)
    sources = _sources(app, meant(services, names) if services else names)
    start = None if since is None else _moment(since)
    wanted = None if grep is None else _pattern(grep)

    def before(sources: Sequence[Source]) -> Iterable[LogLine]:
        if start is None:
            count = DEFAULT_LINES if lines is None else lines
            return files.last_lines(sources, count, wanted)
        found = files.lines_since(sources, start, wanted)
        return found if lines is None else deque(found, lines)

    show = _printer(app, sources)
    if follow:
        from pyroctl.cli.log_reader.follow import follow as follow_files

        follow_files(sources, before, _only(wanted, show))
        return Result()
    if app.output.json:
        return Result({"lines": [line._asdict() for line in before(sources)]})
    for line in before(sources):
        show(line)
    return Result()


def _sources(app: App, services: Sequence[str]) -> list[Source]:
    """Find the logs; raises UnknownService for a name that has neither a log nor a service."""
    paths = app.paths
    known: Mapping[str, object] | None = None
    sources = []
    for name in dict.fromkeys(services):
        output = Source(name, "output", paths.service_log(name))
        errors = Source(name, "stderr", paths.service_errors(name))
        if not versions(output.path):
            known = app.load().deployment.services if known is None else known
            if not members(name, known):
                raise UnknownService(name, known)
        sources += [output, errors]
    return sources


def _every_name(app: App, *, follow: bool) -> list[str]:
    """Give the services that have a log; to follow, also those that may get one."""
    directory = app.paths.logs
    entries = sorted(os.listdir(directory)) if os.path.isdir(directory) else []
    names = [e.removesuffix(".log") for e in entries if e.endswith(".log") and e[0] != "_"]
    if follow:
        with contextlib.suppress(ConfigError):
            names += app.load().deployment.services
    return names


def _printer(app: App, sources: Sequence[Source]) -> Callable[[LogLine], None]:
    """Give what prints a line: with the service's name if there are several, and stderr marked."""
    several = len({source.service for source in sources}) > 1
    apart = any(versions(source.path) for source in sources if source.stream == "stderr")
    width = max((len(source.service) for source in sources), default=0) if several else 0

    def show(line: LogLine) -> None:
        if app.output.json:
            app.output.emit(line._asdict())
            return
        name = f"{line.service:<{width}} " if several else ""
        mark = "!" if line.stream == "stderr" else "|"
        label = f"{name}{mark} " if several or apart else ""
        app.output.print(f"{app.output.style(line.time, 'dim')} {label}{line.text}")

    return show


def _only(
    wanted: re.Pattern[str] | None, show: Callable[[LogLine], None]
) -> Callable[[LogLine], None]:
    def show_wanted(line: LogLine) -> None:
        if wanted is None or wanted.search(line.text):
            show(line)

    return show_wanted


def _pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except (re.error, RecursionError, OverflowError) as error:
        raise UsageError(f"--grep {text!r} is no regular expression: {error}") from None


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
