"""`pyroctl logs`: show the services' output."""

from __future__ import annotations

import contextlib
import io
import os
import re
import signal
import sys
from collections import deque
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click

from pyroctl.cli import command as cli
from pyroctl.cli.arguments import services_argument
from pyroctl.cli.durations import UNITS, seconds
from pyroctl.cli.log_reader.printer import LogPrinter
from pyroctl.cli.output import Result
from pyroctl.control.client import manager_pid
from pyroctl.core.instances import meant, members
from pyroctl.errors import ConfigError, UnknownService, UsageError
from pyroctl.log_reader import files
from pyroctl.log_reader.files import LogLine, Source
from pyroctl.paths import log_versions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from pyroctl.cli.app import App
    from pyroctl.log_reader.files import LogLine, Source

DEFAULT_LINES = 50


@cli.command("logs")
@services_argument
@click.option(
    "-n",
    "--lines",
    type=click.IntRange(0),
    metavar="N",
    help=f"Number of lines to show. [default: {DEFAULT_LINES}]",
)
@click.option("-f", "--follow", is_flag=True, help="Keep printing new lines until Ctrl-C.")
@click.option("--since", metavar="WHEN", help="Only newer lines: 90s, 5m, 2h, 1d or an ISO time.")
@click.option("--grep", metavar="REGEX", help="Only lines matching REGEX.")
def command(
    app: App,
    services: tuple[str, ...],
    *,
    lines: int | None,
    follow: bool,
    since: str | None,
    grep: str | None,
) -> Result:
    """Show the last lines of the services' output.

    The lines are in chronological order. No manager is required.
    """
    _warn_if_not_kept(app)
    names = _every_name(app, follow=follow)
    sources = _sources(app, meant(services, names) if services else names)
    _report_missing(app, sources, services)
    start = None if since is None else _moment(since)
    pattern = None if grep is None else _pattern(grep)

    def before(sources: Sequence[Source]) -> Iterable[LogLine]:
        if start is None:
            count = DEFAULT_LINES if lines is None else lines
            return files.last_lines(sources, count, pattern)
        found = files.lines_since(sources, start, pattern)
        return found if lines is None else deque(found, lines)

    printer = LogPrinter(app.output, sources)
    if follow:
        from pyroctl.cli.log_reader.follow import follow as follow_files

        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(line_buffering=True)  # a pipe gets each line at once, too
        show, show_unfinished = (
            _matching(pattern, function) for function in (printer.line, printer.unfinished)
        )
        _end_line_on_sigterm(printer)
        follow_files(sources, before, show, show_unfinished, sys.stdout.fileno())
        return Result()
    if app.output.json:
        return Result({"lines": [line._asdict() for line in before(sources)]})
    for line in before(sources):
        printer.line(line)
    return Result()


def _end_line_on_sigterm(printer: LogPrinter) -> None:
    """Die of SIGTERM as usual, but end a line that was begun: a prompt would continue it."""

    def terminate(number: int, _frame: object) -> None:
        signal.signal(number, signal.SIG_DFL)
        if printer.in_line:
            with contextlib.suppress(OSError):  # nobody reads it
                os.write(sys.stdout.fileno(), b"\n")
        signal.raise_signal(number)

    signal.signal(signal.SIGTERM, terminate)


def _warn_if_not_kept(app: App) -> None:
    """Report that a running manager can't write logs, which may be why there are none."""
    directory = app.paths.logs
    with contextlib.suppress(OSError):
        if os.stat(directory).st_uid != os.geteuid():
            return  # a shared deployment; its owner is told
    missing = not os.path.isdir(os.path.dirname(directory))  # else it is made with the next line
    if os.path.lexists(directory) or missing:
        usable = os.path.isdir(directory) and os.access(directory, os.W_OK | os.X_OK)
        if not usable and manager_pid(app.paths) is not None:
            app.output.progress(f"logs can't be written: check that {directory} is a directory")


def _sources(app: App, services: Sequence[str]) -> list[Source]:
    """Return the logs; raises UnknownService for a name with neither a log nor a service."""
    known: Mapping[str, object] | None = None
    for name in dict.fromkeys(services):
        if not log_versions(app.paths.service_log(name)):
            known = app.load().deployment.services if known is None else known
            if not members(name, known):
                raise UnknownService(name, known)
    return files.sources_of(app.paths, services)


def _report_missing(app: App, sources: Sequence[Source], services: Sequence[str]) -> None:
    """Report named services, or a whole deployment, without any output."""
    written = {source.service for source in sources if log_versions(source.path)}
    missing = dict.fromkeys(s.service for s in sources if s.service not in written)
    if services and missing:
        app.output.progress(f"no output yet: {', '.join(missing)} was never started here")
    elif not written:
        app.output.progress("no output yet: no service was ever started here")


def _every_name(app: App, *, follow: bool) -> list[str]:
    """Return the services that have a log; to follow, also those that may get one."""
    names = files.logged_services(app.paths.logs)
    if follow:
        with contextlib.suppress(ConfigError):
            names += app.load().deployment.services
    return names


def _matching(
    pattern: re.Pattern[str] | None, show: Callable[[LogLine], None]
) -> Callable[[LogLine], None]:
    def show_matching(line: LogLine) -> None:
        if pattern is None or pattern.search(line.text):
            show(line)

    return show_matching


def _pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except (re.error, RecursionError, OverflowError) as error:
        raise UsageError(f"--grep {text!r} is not a regular expression: {error}") from None


def _moment(text: str) -> datetime:
    """Return the time "5m" ago, or an ISO time (local if it has no offset)."""
    now = datetime.now(UTC).astimezone()
    try:
        if text[-1:] in UNITS:
            return now - timedelta(seconds=seconds(text))
        return datetime.fromisoformat(text).astimezone(now.tzinfo)
    except (ValueError, OverflowError):
        raise UsageError(
            f"--since {text!r} is neither a duration nor a time",
            hint="for example 90s, 5m, 2h, 1d or 2026-01-31T12:00",
        ) from None
