"""The manager in the foreground; without click, which would stay in its memory."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from pyroctl.cli.output import Result
from pyroctl.cli.styles import ServiceLabels, shown
from pyroctl.config.subprocess_loader import Loading
from pyroctl.paths import certs_directory
from pyroctl.printable import log_text, printable

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyroctl.cli.app import App


def run_manager(app: App, *, show_logs: bool | None) -> Result:
    """Run the manager in this process until it is stopped; raises what prevents it.

    `show_logs` is whether to print the services' output; None means on a terminal and as process 1.
    Raises EssentialFailed, too.
    """
    loading = Loading(app.config, os.environ, os.getcwd(), app.paths.state)
    from pyroctl.manager.main import run
    from pyroctl.manager.output.echo import Echo  # while the subprocess loads
    from pyroctl.manager.systemd import SystemNotifier

    deployment = loading.deployment()
    if show_logs is None:
        show_logs = sys.stdout.isatty() or os.getpid() == 1
    echoing = show_logs and not app.output.json
    _log_to_stderr(verbose=bool(app.output.verbose), services=not echoing)
    system = SystemNotifier(os.environ)
    labels = ServiceLabels(app.output, deployment.services)
    echo = Echo(sys.stdout.fileno(), lambda name: shown(labels(name, "|"))) if echoing else None
    take = None if echo is None else _made_printable(echo.write)

    def on_ready(_: str) -> bool:
        loading.remember()
        return True

    try:
        run(
            deployment,
            app.paths,
            autostart=True,
            on_ready=on_ready,
            system=system,
            echo=take,
            before_reexec=echo.close if echo is not None else lambda: None,
            certs=certs_directory(app.root, os.environ),
        )
    finally:
        if echo is not None:
            echo.close()
    return Result({"config": app.config})


def _made_printable(take: Callable[[str, bytes], None]) -> Callable[[str, bytes], None]:
    """Return `take`, on a terminal such that no escape sequence of a service reaches it."""
    if not sys.stdout.isatty():
        return take

    def take_printable(service: str, lines: bytes) -> None:
        texts = lines.decode(errors="replace").removesuffix("\n").split("\n")
        take(service, "".join(f"{log_text(text)}\n" for text in texts).encode())

    return take_printable


def _log_to_stderr(*, verbose: bool, services: bool) -> None:
    """Log to stderr; without `services` nothing that the services' logs say, too.

    The journal has everything, as only there it has a level.
    """
    import logging

    class OneLine(logging.Formatter):
        """Shows a message as one printable line, whatever it quotes."""

        def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
            """Return the line; a traceback follows it."""
            return printable(super().formatMessage(record))

    from pyroctl.manager.systemd import JournalFormatter, is_journal

    handler = logging.StreamHandler(sys.stderr)
    if is_journal(sys.stderr.fileno(), os.environ):
        handler.setFormatter(JournalFormatter())
    else:
        handler.setFormatter(OneLine("%(asctime)s %(levelname)s %(message)s"))
        if not services:
            handler.addFilter(lambda record: not hasattr(record, "service"))
    logging.basicConfig(level=logging.DEBUG if verbose else logging.INFO, handlers=[handler])
