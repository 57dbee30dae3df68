"""`pyroctl config edit`: people's own editor on the configuration, checked afterwards."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import click

from pyroctl.cli import command as cli
from pyroctl.cli.output import Result
from pyroctl.errors import ConfigError, PyroctlError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyroctl.cli.app import App

EDITORS = ("sensible-editor", "nano", "vi")
"""What is tried on a terminal when nobody has said which editor they like."""


@cli.command("edit")
@click.argument("dropin", required=False)
def edit(app: App, dropin: str | None) -> Result:
    """Edit the configuration file, or a drop-in, and check the configuration afterwards.

    With the editor of VISUAL or EDITOR. DROPIN is the name of a file in the directory of drop-ins,
    such as 50-ports.toml, which may be new. If there are faults then, you are asked on a terminal
    whether to edit again; otherwise the file is kept as it is, and the exit status is 6.
    """
    file = _file(app, dropin)
    editor = _editor()
    with _directory(os.path.dirname(file)):
        while True:
            _run(editor, file, quiet=app.output.json)
            try:
                services = list(app.load().deployment.services)
            except ConfigError as error:
                asking = not app.output.json and sys.stdin.isatty() and sys.stderr.isatty()
                if asking and _edit_again(app, error):
                    continue
                app.output.progress(f"{file} is kept as it is; nothing that runs has changed")
                told = [] if asking else error.entries()
                return Result({"file": file}, told, error.exit_code)
            break
    app.output.progress(f"{file}: good")
    if app.manager_runs():
        app.output.progress(app.output.suggest("to apply it: pyroctl reload"))
    return Result({"file": file, "services": services})


def _file(app: App, dropin: str | None) -> str:
    if app.config is None:
        raise PyroctlError(
            "there is no configuration file: the built-in deployment is in effect",
            hint="pyroctl init writes a file to begin with",
        )
    if dropin is None:
        return app.config
    from pyroctl.config.source.sources import SUFFIX, dropin_directory

    if os.path.basename(dropin) != dropin or dropin.startswith("."):
        raise UsageError(
            f"{dropin!r} is no name of a drop-in",
            hint=f"a file name such as 50-ports.toml, in {dropin_directory(app.config)}",
        )
    name = dropin if dropin.endswith(SUFFIX) else dropin + SUFFIX
    return os.path.join(dropin_directory(app.config), name)


def _editor() -> list[str]:
    chosen = os.environ.get("VISUAL") or os.environ.get("EDITOR")
    if not chosen and sys.stdin.isatty():
        chosen = next((name for name in EDITORS if shutil.which(name)), None)
    if not chosen:
        raise PyroctlError("no editor is chosen", hint="set VISUAL or EDITOR")
    try:
        return shlex.split(chosen)
    except ValueError as error:
        raise PyroctlError(f"VISUAL or EDITOR can't be understood: {error}") from None


def _run(editor: list[str], file: str, *, quiet: bool) -> None:
    """Let the editor have the terminal, Ctrl-C included; with `quiet` stdout is left to JSON."""
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        ended = subprocess.run([*editor, file], stdout=sys.stderr if quiet else None, check=False)
    except OSError as error:
        raise PyroctlError(
            f"can't start the editor {editor[0]}: {error.strerror}", hint="set VISUAL or EDITOR"
        ) from None
    finally:
        signal.signal(signal.SIGINT, before)
    if ended.returncode:
        raise PyroctlError(
            f"the editor {editor[0]} ended with {ended.returncode}; nothing was checked",
            hint="pyroctl config check does it",
        )


def _edit_again(app: App, error: ConfigError) -> bool:
    app.output.print_errors(error.entries())
    return click.confirm("edit again?", default=True, err=True)


@contextlib.contextmanager
def _directory(path: str) -> Iterator[None]:
    """See to it that the directory is there; an empty one goes again."""
    os.makedirs(path, exist_ok=True)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            os.rmdir(path)
