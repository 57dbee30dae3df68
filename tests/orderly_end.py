"""SIGTERM ends a test run as Ctrl-C does: every fixture stops what its test has started."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType

    import pytest


def install(config: pytest.Config) -> None:
    """Handle SIGTERM from now on, in a process that runs tests or controls workers."""
    if threading.current_thread() is not threading.main_thread():
        return
    me = os.getpid()
    directs = config.pluginmanager.has_plugin("dsession")

    def end(number: int, _: FrameType | None) -> None:
        if os.getpid() != me:  # a test has forked: its child dies as it would have
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        for each in (signal.SIGTERM, signal.SIGINT):  # repeated signals don't cut the cleanup short
            signal.signal(each, lambda *_: None)
        if directs:
            for worker in _children():
                os.kill(worker, signal.SIGTERM)
        else:
            raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, end)


def _children() -> list[int]:
    lists = Path("/proc/self/task").glob("*/children")
    return [int(pid) for each in lists for pid in each.read_text().split()]
