"""The program: command line, signals, and errors as a few lines each."""

from __future__ import annotations

import logging
import signal
from typing import TYPE_CHECKING

from pyro_child.protocol import PERMANENT_FAILURE
from pyro_child.stop import StopReasons
from pyro_host.options import parse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyro_host.options import Options

INTERRUPTED = 130

_log = logging.getLogger("pyro_host")


def main(argv: Sequence[str] | None = None) -> int:
    """Serve an object until told to stop; gives the exit code. For the main thread."""
    options = parse(argv)
    _log_for_ourselves()
    try:
        return _serve(options)
    except KeyboardInterrupt:
        return INTERRUPTED


def _serve(options: Options) -> int:
    try:
        from pyro_host.service import run  # noqa: PLC0415 - reads the environment
    except (ValueError, AttributeError) as error:  # a PYRO_ variable that Pyro5 refuses
        _log.error("%s; correct or unset that PYRO_ variable", error)
        return PERMANENT_FAILURE
    from pyro_host.errors import CannotServe  # noqa: PLC0415 - beside the above

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


def _log_for_ourselves() -> None:
    """Log to stderr, and leave the root logger to the module that is going to be imported."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("pyro_host: %(message)s"))
    _log.addHandler(handler)
    _log.setLevel(logging.INFO)
    _log.propagate = False
