"""Ends a program that doesn't know its own threads."""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import sys
import threading
import time
from typing import NoReturn

THREADS_TIMEOUT = 1.0
"""Seconds for the object's own threads to end."""

_log = logging.getLogger("pyro_host")


def exit_code(error: SystemExit) -> int:
    """Return the exit code that `sys.exit` was asked for."""
    if error.code is None or isinstance(error.code, int):
        return error.code or 0
    print(error.code, file=sys.stderr)  # noqa: T201 - as Python does
    return 1


def force_exit(code: int) -> NoReturn:
    """End the process soon, after its exit handlers; from any thread.

    Python itself would wait forever for a thread that isn't a daemon and never ends.
    """
    deadline = time.monotonic() + THREADS_TIMEOUT
    _end_executors(THREADS_TIMEOUT / 2)
    known = (threading.main_thread(), threading.current_thread())
    left = [thread for thread in threading.enumerate() if not (thread.daemon or thread in known)]
    for thread in left:
        thread.join(max(0.0, deadline - time.monotonic()))
    names = ", ".join(thread.name for thread in left if thread.is_alive())
    if names:
        _log.warning("threads that didn't end were cut off: %s", names)
    atexit._run_exitfuncs()  # noqa: SLF001 - what Python does at its own end
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
    os._exit(code)


def _end_executors(max_wait: float) -> None:
    """Do what Python does before it waits for threads: it ends those of `concurrent.futures`.

    They may wait forever, for work that goes on.
    """

    def end() -> None:
        for call in reversed(getattr(threading, "_threading_atexits", ())):
            call()

    thread = threading.Thread(target=end, name="executors", daemon=True)
    thread.start()
    thread.join(max_wait)
