"""The quick way of `pyroctl status`: scripts and prompts ask it all the time.

A plain status, with at most the options below, is answered without importing click, which takes
longer than all the rest. Whatever else is on the command line goes the usual way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyroctl.cli.app import App
from pyroctl.cli.output import failure
from pyroctl.cli.status_view import show
from pyroctl.errors import PyroctlError, system_error

if TYPE_CHECKING:
    from collections.abc import Sequence

WITH_VALUE = {"-c": "config_option", "--config": "config_option", "--root": "root"}


def quick_status(args: Sequence[str]) -> int | None:
    """Answer a plain status and give the exit code; None if this is something else."""
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
    if words[:1] != ["status"]:
        return None
    app.output.command = ["status"]
    try:
        return app.output.finish(show(app, words[1:]))
    except PyroctlError as error:
        return app.output.finish(failure(error))
    except PermissionError as error:
        return app.output.finish(failure(system_error(error)))
