"""Runs a module that serves by itself, and makes it a well-behaved child.

The module keeps its daemons, addresses and names as they are. What is added is that it reports when
it begins to serve, and that its request loops end when it has to stop.
"""

from __future__ import annotations

import logging
import runpy
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from Pyro5.core import DAEMON_NAME
from Pyro5.server import Daemon

from pyro_child import AskRefused, CannotServe, serve_control
from pyro_host import target
from pyro_host.daemon import STOP_TIMEOUT
from pyro_host.force_exit import force_exit

if TYPE_CHECKING:
    from pyro_child import StopReasons
    from pyro_host.options import Options
    from pyro_host.service import Manager

_log = logging.getLogger("pyro_host")


class ModuleService:
    """One module, run in the main thread. Raises CannotServe."""

    def __init__(self, options: Options, reasons: StopReasons, manager: Manager) -> None:
        self._options = options
        self._reasons = reasons
        self._manager = manager
        self._started = time.monotonic()
        self._daemons: list[Any] = []
        self._lock = threading.Lock()
        self._uri: str | None = None
        self._stopping = False
        self._ended = threading.Event()

    def run(self) -> None:
        """Run the module to its end. Raises CannotServe, or SystemExit as the module does."""
        name = self._options.object or ""
        self._reasons.on_signals(signal.SIGTERM, signal.SIGINT)
        if self._manager.channel is not None:
            gone = "the manager is gone"
            serve_control(self._manager.channel, self._answer, lambda: self._reasons.put(gone))
        stopper = threading.Thread(target=self._await_stop, name="stop", daemon=True)
        stopper.start()
        self._intercept()
        sys.path[:0] = self._options.path
        sys.argv[1:] = map(str, self._options.arguments)
        try:
            left = self._run_module(name)
        finally:
            self._ended.set()
            self._reasons.put("the module has ended")
            stopper.join()
        if left is not None:
            raise left
        if self._uri is None and not self._stopping:
            raise CannotServe(
                f"the module {name} ended without serving: it never called requestLoop() or serve()"
                f'; to serve a class of it, write "{name}:Class"',
                permanent=True,
            )

    def _run_module(self, name: str) -> SystemExit | None:
        """Run the module, and return the request to exit with which it ended, if it had served."""
        with target.explained(f"the module {name} failed", name):
            try:
                runpy.run_module(name, run_name="__main__", alter_sys=True)
            except SystemExit as error:
                if self._uri is None:
                    raise
                return error
        return None

    def _intercept(self) -> None:
        """Take part in the request loops of this process."""

        def joined(original: Any) -> Any:
            def request_loop(
                daemon: Any,
                loopCondition: Any = lambda: True,  # noqa: N803 - Pyro5's name
            ) -> Any:
                self._begin(daemon)
                return original(daemon, lambda: not self._stopping and loopCondition())

            return request_loop

        def init_subclass(cls: Any) -> None:
            if "requestLoop" in vars(cls):  # a loop of its own
                cls.requestLoop = joined(cls.requestLoop)

        Daemon.requestLoop = joined(Daemon.requestLoop)
        Daemon.__init_subclass__ = classmethod(init_subclass)

    def _begin(self, daemon: Any) -> None:
        """Note a daemon that begins to serve, and report the first one."""
        with self._lock:
            if daemon in self._daemons:
                return
            self._daemons.append(daemon)
            if self._uri is not None:
                return
            served = [each for each in daemon.objectsById if each != DAEMON_NAME]
            self._uri = str(daemon.uriFor(served[0] if served else DAEMON_NAME))
        status = f"serves {len(served)} object{'' if len(served) == 1 else 's'} by itself"
        _log.info("%s is ready, the module %s", self._uri, status)
        self._manager.notifier.ready(uri=self._uri, status=status)

    def _await_stop(self) -> None:
        """Wait for a reason to stop, and make sure that everything ends soon."""
        reason = self._reasons.get()
        if self._ended.is_set():
            return
        self._stopping = True
        _log.info("stopping: %s", reason)
        self._manager.notifier.stopping()
        for daemon in self._daemons:
            try:
                daemon.shutdown()
            except Exception:  # noqa: BLE001 - the module may have closed it
                _log.debug("a daemon was closed before", exc_info=True)
        if not self._daemons or not self._ended.wait(STOP_TIMEOUT):
            force_exit(0)

    def _answer(self, ask: str, parameters: dict[str, object]) -> object:  # noqa: ARG002
        """Answer a request of the manager."""
        if ask == "reload":
            return {}
        if ask != "statistics":
            raise AskRefused(f"the module serves by itself; {ask!r} is not possible")
        return {
            "uri": self._uri,
            "object": self._options.object,
            "daemons": len(self._daemons),
            "uptime_s": round(time.monotonic() - self._started, 3),
        }
