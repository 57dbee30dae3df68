"""Makes the processes that a service forks ordinary ones: they have no part in its protocol."""

from __future__ import annotations

import os
import signal
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


def after_fork(abandon: Iterable[Callable[[], None]]) -> None:
    """Call everything in `abandon` first in each process that Python code forks from here on.

    Signals wait until then: one that arrived earlier would be handled as the service's own, since
    the child begins with the service's handlers and its pipe. Can't be undone, so call it once.
    """
    thread = threading.local()

    def before() -> None:
        thread.mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())

    def restore() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, thread.mask)

    def in_child() -> None:
        try:
            for leave in abandon:
                leave()
        finally:
            restore()

    os.register_at_fork(before=before, after_in_parent=restore, after_in_child=in_child)
