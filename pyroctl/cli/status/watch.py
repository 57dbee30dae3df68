"""`pyroctl status --watch`: the table, refreshed in place."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from pyroctl.cli.output import Result
from pyroctl.cli.status.view import public, query, render
from pyroctl.cli.styles import shown
from pyroctl.errors import PyroctlError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pyroctl.cli.app import App


def watch_status(
    app: App, services: Sequence[str], interval: float, *, tree: bool = False
) -> Result:
    """Show the status until Ctrl-C, and return the last exit code."""

    def query_again() -> Result:
        return _query(app, services, tree=tree)

    if app.output.json:
        return _repeat(query_again, interval, lambda result: app.output.emit(public(result.data)))
    if not sys.stdout.isatty():
        return _repeat(query_again, interval, lambda result: _print(app, result, tree=tree))
    from rich.live import Live
    from rich.text import Text

    with Live(auto_refresh=False, screen=True) as live:

        def show(result: Result) -> None:
            lines = map(shown, _picture(app, result, tree=tree))
            live.update(Text.from_ansi("\n".join(lines)), refresh=True)

        return _repeat(query_again, interval, show)


def _repeat(
    query_again: Callable[[], Result], interval: float, show: Callable[[Result], None]
) -> Result:
    result = Result()
    try:
        while True:
            result = query_again()
            show(result)
            time.sleep(interval)
    except KeyboardInterrupt:
        return Result(exit_code=result.exit_code)


def _query(app: App, services: Sequence[str], *, tree: bool) -> Result:
    """Return the status, or the error as a result; the next query may succeed."""
    try:
        return query(app, services, tree=tree)
    except PyroctlError as error:
        return Result({"manager": None, "services": []}, error.entries(), error.exit_code)


def _picture(app: App, result: Result, *, tree: bool) -> list[str]:
    if result.data["manager"] is None:
        return [str(entry["message"]) for entry in result.errors]
    return render(result.data, app.output, app.paths, tree=tree)


def _print(app: App, result: Result, *, tree: bool) -> None:
    for line in _picture(app, result, tree=tree):
        app.output.print(line)
    app.output.print("")
    sys.stdout.flush()
