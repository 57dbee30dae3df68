"""The program: command line, signals, and errors as one line each."""

from __future__ import annotations

import contextlib
import logging
import signal
from typing import TYPE_CHECKING

from pyro_child import CannotServe, StopReasons
from pyro_child.errors import reason_to_end
from pyro_child.log import LogHandler
from pyro_names.options import parse
from pyro_wire.environment import import_pyro5

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyro_names.options import Options

_log = logging.getLogger("pyro_names")


def main(argv: Sequence[str] | None = None) -> int:
    """Run a name server until it is told to stop; return the exit code. For the main thread."""
    options = parse(argv)
    logging.basicConfig(level=logging.INFO, handlers=[LogHandler("pyro_names: %(message)s")])
    try:
        _serve(options)
    except (CannotServe, ImportError, OSError) as error:
        message, code = reason_to_end(error)
        _log.error("%s", message)
        return code
    return 0


def _serve(options: Options) -> None:
    with contextlib.closing(StopReasons()) as reasons:
        reasons.on_signals(signal.SIGTERM, signal.SIGINT)
        import_pyro5()
        from pyro_names.service import run  # noqa: PLC0415 - imports Pyro5

        run(options, reasons)
