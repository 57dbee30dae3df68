"""The program: command line, signals, and errors as a few lines each."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from pyro_child import CannotServe
from pyro_child.errors import reason_to_end
from pyro_child.log import LogHandler
from pyro_host.force_exit import exit_code
from pyro_host.options import parse
from pyro_wire.environment import import_pyro5

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyro_host.options import Options

INTERRUPTED = 130

_log = logging.getLogger("pyro_host")


def main(argv: Sequence[str] | None = None) -> int:
    """Serve an object until told to stop; return the exit code. For the main thread."""
    options = parse(argv)
    _configure_logging()
    try:
        return _serve(options)
    except KeyboardInterrupt:
        return INTERRUPTED


def _serve(options: Options) -> int:
    try:
        import_pyro5()
        from pyro_host.service import run  # noqa: PLC0415 - imports Pyro5

        run(options)
    except SystemExit as error:  # of a module that serves by itself
        return exit_code(error)
    except (CannotServe, ImportError, OSError) as error:
        message, code = reason_to_end(error)
        _log.error("%s", message)
        return code
    return 0


def _configure_logging() -> None:
    """Log to stderr; the root logger is left to the module that will be imported.

    If it sets up none, warnings of Pyro5 don't wait for their reader, either.
    """
    handler = LogHandler("pyro_host: %(message)s")
    logging.lastResort = LogHandler("%(message)s", level=logging.WARNING)
    for logger in (_log, logging.getLogger("pyro_child"), logging.getLogger("pyro_wire")):
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        logger.propagate = False
