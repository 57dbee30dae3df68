"""`pyroctl status --watch`: the table, drawn again when the manager reports a change."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

from pyroctl.cli.output import Result
from pyroctl.cli.status.view import judged, public, query, render
from pyroctl.cli.styles import shown
from pyroctl.control.client import call
from pyroctl.core import plan
from pyroctl.core.instances import meant
from pyroctl.errors import ManagerExited, ManagerNotRunning, PyroctlError, UnknownService
from pyroctl.view.picture import WatchedPicture

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pyroctl.cli.app import App


def watch_status(
    app: App, services: Sequence[str], interval: float, *, tree: bool = False
) -> Result:
    """Show the status until Ctrl-C, and return the last exit code."""
    if app.output.json:
        return _Watch(app, services, interval, tree=tree).follow(
            lambda result: app.output.emit(public(result.data))
        )
    if not sys.stdout.isatty():
        return _Watch(app, services, interval, tree=tree).follow(
            lambda result: _print(app, result, tree=tree)
        )
    from rich.live import Live
    from rich.text import Text

    with Live(auto_refresh=False, screen=True) as live:

        def show(result: Result) -> None:
            lines = map(shown, _picture(app, result, tree=tree))
            live.update(Text.from_ansi("\n".join(lines)), refresh=True)

        return _Watch(app, services, interval, tree=tree).follow(show)


class _Watch:
    """Follows the manager's changes, and its measurements every `interval` seconds.

    While there is no manager it tries again after each `interval`.
    """

    def __init__(self, app: App, services: Sequence[str], interval: float, *, tree: bool) -> None:
        self._app = app
        self._services = services
        self._interval = interval
        self._tree = tree

    def follow(self, show: Callable[[Result], None]) -> Result:
        """Show each status until Ctrl-C; return the exit code of the last one."""
        last = Result()

        def show_next(result: Result) -> None:
            nonlocal last
            last = result
            show(result)

        try:
            while True:
                try:
                    self._stream(show_next)
                except ManagerNotRunning:
                    show_next(self._without_manager())
                except ManagerExited:
                    continue
                except ValueError:
                    continue  # a delta is missing: begin with a new picture
                except PyroctlError as error:
                    show_next(_failed(error))
                time.sleep(self._interval)  # nobody tells of a manager that isn't there
        except KeyboardInterrupt:
            return Result(exit_code=last.exit_code)

    def _stream(self, show: Callable[[Result], None]) -> None:
        picture = WatchedPicture()
        chosen = {"config": self._app.config} if self._app.config_option else {}

        def receive(event: Mapping[str, Any]) -> None:
            now = time.monotonic()
            if picture.receive(event, now) and picture.sample is not None:
                show(self._select(picture.status(now)))

        reply = call(self._app.paths, "watch", {"interval": self._interval, **chosen}, receive)
        show(Result({"manager": None, "services": []}, reply["errors"], reply["exit_code"]))

    def _select(self, data: dict[str, Any]) -> Result:
        """Return the result about the chosen services."""
        known = [row["name"] for row in data["services"]]
        names = meant(self._services, known)
        needs = {row["name"]: row["needs"] for row in data["services"]}
        chosen = plan.closure(names, needs) if self._tree else names
        rows = [row for row in data["services"] if not names or row["name"] in chosen]
        unknown = [UnknownService(name, known) for name in names if name not in known]
        errors = [entry for error in unknown for entry in error.entries()]
        return judged({**data, "services": rows}, errors, names)

    def _without_manager(self) -> Result:
        try:
            return query(self._app, self._services, tree=self._tree)
        except PyroctlError as error:
            return _failed(error)


def _failed(error: PyroctlError) -> Result:
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
