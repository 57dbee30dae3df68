"""What the manager does on signals: stop, kill, reload, reopen the logs."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
from typing import TYPE_CHECKING, NamedTuple

from pyroctl.errors import EXIT_FAILED
from pyroctl.manager import reexec

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pyroctl.manager.commands.gate import Gate

EXIT_TIMEOUT = 5.0
"""Seconds after a second signal until the process ends as if by kill -9; the cleanup process does
the rest."""

log = logging.getLogger(__name__)


class SignalActions(NamedTuple):
    """What the signals cause."""

    stop: Callable[[], None]
    """The first SIGTERM or SIGINT: stop all services, then the manager."""
    kill: Callable[[], None]
    """The next one: don't wait any longer."""
    reload: Callable[[], Awaitable[None]]
    """SIGHUP."""
    reopen_logs: Callable[[], None]
    """SIGUSR1."""


class SignalHandlers:
    """Handles signals in the event loop's thread."""

    def __init__(self, gate: Gate, actions: SignalActions) -> None:
        self._gate = gate
        self._actions = actions
        self._signalled = False
        self._reload_requested = False
        self._reloading: asyncio.Task[None] | None = None

    def install(self) -> None:
        """Begin to handle signals, also those that arrived during a reexec."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
            signal.signal(number, self._ensure_exit)  # the loop still calls its own handler
        loop.add_signal_handler(signal.SIGHUP, self._reload, loop)
        loop.add_signal_handler(signal.SIGUSR1, self._actions.reopen_logs)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, reexec.SIGNALS)

    def _ensure_exit(self, *_: object) -> None:
        """Ensure that a second request to stop ends the process even if the event loop hangs."""
        if self._signalled or self._gate.stopping:
            timer = threading.Timer(EXIT_TIMEOUT, os._exit, (EXIT_FAILED,))
            timer.daemon = True
            timer.start()
        self._signalled = True

    def _stop(self) -> None:
        if self._gate.stopping:
            log.warning("second request to stop: killing what is left")
            self._actions.kill()
        else:
            log.info("stop requested: stopping all services")
            self._actions.stop()

    def _reload(self, loop: asyncio.AbstractEventLoop) -> None:
        log.info("reload requested")
        self._reload_requested = True
        if self._reloading is None or self._reloading.done():
            self._reloading = loop.create_task(self._reload_all())

    async def _reload_all(self) -> None:
        """Reload; again if requested meanwhile, as the file may have changed after it was read."""
        while self._reload_requested:
            self._reload_requested = False
            await self._actions.reload()
