"""The program: command line, signals, and errors as one line each."""

from __future__ import annotations

import contextlib
import logging
import signal
from typing import TYPE_CHECKING

from pyro_child import PERMANENT_FAILURE, CannotServe, StopReasons
from pyro_names.options import parse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyro_names.options import Options

_log = logging.getLogger("pyro_names")


def main(argv: Sequence[str] | None = None) -> int:
    """Run a name server until it is told to stop; return the exit code. For the main thread."""
    options = parse(argv)
    logging.basicConfig(level=logging.INFO, format="pyro_names: %(message)s")
    with contextlib.closing(StopReasons()) as reasons:
        reasons.on_signals(signal.SIGTERM, signal.SIGINT)
        return _serve(options, reasons)


def _serve(options: Options, reasons: StopReasons) -> int:
    try:
        from pyro_names.service import run  # noqa: PLC0415 - reads the environment
    except (ValueError, AttributeError) as error:  # a PYRO_ variable that Pyro5 rejects
        _log.error("%s; correct or unset that PYRO_ variable", error)
        return PERMANENT_FAILURE
    try:
        run(options, reasons)
    except CannotServe as error:
        _log.error("%s", error)
        return error.exit_code
    return 0
