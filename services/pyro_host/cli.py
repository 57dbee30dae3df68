"""The program: command line, signals, and errors as a few lines each."""

from __future__ import annotations

import logging
import signal
from typing import TYPE_CHECKING

from pyro_child import PERMANENT_FAILURE, CannotServe, StopReasons
from pyro_host.options import parse

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
        from pyro_host.service import run  # noqa: PLC0415 - reads the environment
    except (ValueError, AttributeError) as error:  # a PYRO_ variable that Pyro5 rejects
        _log.error("%s; correct or unset that PYRO_ variable", error)
        return PERMANENT_FAILURE
    try:
        run(options, _take_signals)
    except CannotServe as fault:
        _log.error("%s", fault)
        return fault.exit_code
    return 0


def _take_signals() -> StopReasons:
    reasons = StopReasons()
    reasons.on_signals(signal.SIGTERM, signal.SIGINT)
    return reasons


def _configure_logging() -> None:
    """Log to stderr; the root logger is left to the module that will be imported."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("pyro_host: %(message)s"))
    for logger in (_log, logging.getLogger("pyro_child")):
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        logger.propagate = False
