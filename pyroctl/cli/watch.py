"""`pyroctl status --watch`: the table, again and again in place."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pyroctl.cli.output import Result
from pyroctl.cli.status import look, render
from pyroctl.errors import PyroctlError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyroctl.cli.app import App


def watch_status(app: App, services: Sequence[str], interval: float) -> Result:
    """Show the status until Ctrl-C; the result is that of the last look."""
    if app.output.json:
        return _stream(app, services, interval)
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    result = Result()
    with Live(console=Console(), auto_refresh=False, screen=Console().is_terminal) as live:
        try:
            while True:
                text, result = _frame(app, services)
                live.update(Text.from_ansi(text), refresh=True)
                time.sleep(interval)
        except KeyboardInterrupt:
            return result._replace(errors=())


def _frame(app: App, services: Sequence[str]) -> tuple[str, Result]:
    """Give a picture; what can't be seen now may be seen the next time."""
    try:
        result = look(app, services)
    except PyroctlError as error:
        return f"{error.message}\n{error.hint or ''}", Result(exit_code=error.exit_code)
    return "\n".join(render(result.data, app.output)), result


def _stream(app: App, services: Sequence[str], interval: float) -> Result:
    result = Result()
    try:
        while True:
            result = look(app, services)
            app.output.emit(result.data)
            time.sleep(interval)
    except KeyboardInterrupt:
        return Result(exit_code=result.exit_code)
