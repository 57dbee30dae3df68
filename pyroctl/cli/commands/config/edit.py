"""`pyroctl config edit`: edit the configuration with the user's editor, and check it."""

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
"""Tried in this order on a terminal without VISUAL and EDITOR."""


@cli.command("edit")
@click.argument("dropin", required=False)
def edit(app: App, dropin: str | None) -> Result:
    """Edit the configuration file or a drop-in, then check the configuration.

    The editor is that of VISUAL or EDITOR. DROPIN names a file in the directory of drop-ins, such
    as 50-ports.toml; it need not exist. If the configuration is invalid, the command offers on a
    terminal to edit it again; otherwise the file is kept and the exit status is 6.
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
                app.output.progress(f"{file} was kept; running services are unchanged")
                entries = [] if asking else error.entries()
                return Result({"file": file}, entries, error.exit_code)
            break
    app.output.progress(f"{file}: valid")
    app.suggest_reload()
    return Result({"file": file, "services": services})


def _file(app: App, dropin: str | None) -> str:
    config = app.require_config()
    if dropin is None:
        return config
    from pyroctl.config.source.listing import SUFFIX, dropin_directory

    if os.path.basename(dropin) != dropin or dropin.startswith("."):
        raise UsageError(
            f"{dropin!r} is not the name of a drop-in",
            hint=f"give a file name such as 50-ports.toml, in {dropin_directory(config)}",
        )
    name = dropin if dropin.endswith(SUFFIX) else dropin + SUFFIX
    return os.path.join(dropin_directory(config), name)


def _editor() -> list[str]:
    chosen = os.environ.get("VISUAL") or os.environ.get("EDITOR")
    if not chosen and sys.stdin.isatty():
        chosen = next((name for name in EDITORS if shutil.which(name)), None)
    if not chosen:
        raise PyroctlError("no editor is configured", hint="set VISUAL or EDITOR")
    try:
        return shlex.split(chosen)
    except ValueError as error:
        raise PyroctlError(f"cannot parse VISUAL or EDITOR: {error}") from None


def _run(editor: list[str], file: str, *, quiet: bool) -> None:
    """Run the editor, which receives Ctrl-C; with `quiet` stdout is kept for JSON."""
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        ended = subprocess.run([*editor, file], stdout=sys.stderr if quiet else None, check=False)
    except OSError as error:
        raise PyroctlError(
            f"cannot start the editor {editor[0]}: {error.strerror}", hint="set VISUAL or EDITOR"
        ) from None
    finally:
        signal.signal(signal.SIGINT, before)
    if ended.returncode:
        raise PyroctlError(
            f"the editor {editor[0]} failed with status {ended.returncode}; nothing was checked",
            hint="pyroctl config check checks the file",
        )


def _edit_again(app: App, error: ConfigError) -> bool:
    app.output.print_errors(error.entries())
    return click.confirm("edit again?", default=True, err=True)


@contextlib.contextmanager
def _directory(path: str) -> Iterator[None]:
    """Create the directory if necessary, and remove it if it is empty in the end."""
    os.makedirs(path, exist_ok=True)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            os.rmdir(path)
