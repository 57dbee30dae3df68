"""The fast path of `pyroctl status` and `pyroctl run`, without click.

Scripts and prompts ask for the status often, and importing click takes longer than everything else;
a manager would keep it in its memory. Any option except those below takes the usual path.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyroctl.cli.app import App

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyroctl.cli.output import Result

WITH_VALUE = {"-c": "config_option", "--config": "config_option", "--root": "root"}


def run(args: Sequence[str]) -> int | None:
    """Run a plain `status` or `run` and return the exit code; None for any other command line."""
    app = App()
    words: list[str] = []
    rest = iter(args)
    for arg in rest:
        if arg in WITH_VALUE:
            value = next(rest, None)
            if not value:
                return None
            setattr(app, WITH_VALUE[arg], value)
        elif arg == "--json":
            app.output.json = True
        elif arg.startswith("-"):
            return None
        else:
            words.append(arg)
    app.output.command = words[:1]
    if words[:1] == ["status"]:
        return app.output.report(lambda: _status(app, words[1:]))
    if words == ["run"]:
        return app.output.report(lambda: _run(app))
    return None


def _status(app: App, services: Sequence[str]) -> Result:
    from pyroctl.cli.status.view import show

    return show(app, services)


def _run(app: App) -> Result:
    from pyroctl.cli.foreground import run_manager

    return run_manager(app, show_logs=None)
