"""The quick way of `pyroctl status` and `pyroctl run`, without click.

Scripts and prompts ask for the status all the time, and importing click takes longer than all the
rest; a manager would keep it in its memory. Both are done here with at most the options below;
whatever else is on the command line goes the usual way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyroctl.cli.app import App
from pyroctl.cli.output import Result, failure
from pyroctl.errors import EXIT_INTERRUPTED, PyroctlError, system_error

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

WITH_VALUE = {"-c": "config_option", "--config": "config_option", "--root": "root"}


def quick(args: Sequence[str]) -> int | None:
    """Answer a plain status, or be the manager, and give the exit code; None for anything else."""
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
        return _finish(app, lambda: _status(app, words[1:]))
    if words == ["run"]:
        return _finish(app, lambda: _run(app))
    return None


def _status(app: App, services: Sequence[str]) -> Result:
    from pyroctl.cli.status.view import show

    return show(app, services)


def _run(app: App) -> Result:
    from pyroctl.cli.foreground import be_manager

    return be_manager(app, show_logs=None)


def _finish(app: App, action: Callable[[], Result]) -> int:
    """Do it, and print what comes of it, as all commands do."""
    try:
        result = action()
    except PyroctlError as error:
        result = failure(error)
    except BrokenPipeError:
        raise
    except OSError as error:
        result = failure(system_error(error))
    except KeyboardInterrupt:
        app.output.progress("")
        result = Result(exit_code=EXIT_INTERRUPTED)
    return app.output.finish(result)
