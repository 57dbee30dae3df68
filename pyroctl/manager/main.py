"""The manager process: set up, serve until it is told to stop, take everything down."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
from typing import TYPE_CHECKING

from pyroctl.control import registry
from pyroctl.control.server import ControlServer
from pyroctl.core.state import State
from pyroctl.errors import EXIT_FAILED, EssentialFailed, Reported
from pyroctl.manager import lock, reexec
from pyroctl.manager.cleanup import crash_report
from pyroctl.manager.cleanup.reaper import Reaper
from pyroctl.manager.commands.requests import Requests
from pyroctl.manager.deployment.autostart import Autostart
from pyroctl.manager.deployment.supervisor import Supervisor
from pyroctl.manager.fdstore.startup import StartupState, begin, go_on
from pyroctl.manager.systemd import SystemNotifier, first_outcome, summary

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyroctl.core.spec import Deployment
    from pyroctl.manager.deployment.unit import Unit
    from pyroctl.paths import Paths

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
HURRY = 1.0
"""Seconds that killed services have to be gone for somebody who has asked twice."""
LAST_RESORT = 5.0
"""Seconds after which we end all the same, as kill -9 would; the guard has the rest."""

log = logging.getLogger(__name__)


def run(
    deployment: Deployment,
    paths: Paths,
    *,
    autostart: bool,
    on_ready: Callable[[str], None] = lambda _: None,
    system: SystemNotifier | None = None,
    echo: Callable[[str, bytes], None] | None = None,
    farewell: Callable[[], None] = lambda: None,
) -> None:
    """Be the manager until a signal or a request ends it.

    `on_ready` is called once commands are taken, with what there is to say about the last manager,
    if that ended without shutting down; `system` is who has to know how we are; `echo`
    gets each service's name and lines; `farewell` is called before another program goes on in this
    process. Raises AlreadyRunning, NotPermitted or another
    PyroctlError when it can't begin, EssentialFailed when such a service has ended it, Reported
    when it has left services that can't be ended.
    """
    handoff = reexec.receive(os.environ)
    if handoff is None:
        lock.make_directories(paths)
    held, last = lock.acquire(paths) if handoff is None else (handoff.lock, None)
    try:
        if handoff is None:
            beginning = begin(deployment, paths, last)
        else:
            beginning = go_on(deployment, paths, handoff)
        manager = Manager(deployment, paths, system or SystemNotifier({}), echo, beginning)
        manager.on_leaving(held, farewell)
        registry.enter(paths, deployment.name, deployment.file, os.environ)
        _serve(manager, paths, beginning, autostart=autostart, on_ready=on_ready)
    except BaseException:
        os.close(held)  # with our mark in it: the next one looks for what we have left
        raise
    registry.leave(paths, os.environ)
    lock.release(held)
    if manager.failure is not None:
        raise manager.failure


def _serve(
    manager: Manager,
    paths: Paths,
    beginning: StartupState,
    *,
    autostart: bool,
    on_ready: Callable[[str], None],
) -> None:
    asyncio.run(manager.serve(autostart=autostart, on_ready=lambda: on_ready(beginning.news)))
    if beginning.keeping is not None:  # what we haven't started ourselves may have left its service
        crash_report.end_all(paths, grace=crash_report.GRACE if manager.left is None else 0)
    if manager.left is not None:
        raise manager.failure or manager.left


class Manager:
    """Owns the supervisor, the control server and the signals of one process."""

    def __init__(
        self,
        deployment: Deployment,
        paths: Paths,
        system: SystemNotifier,
        echo: Callable[[str, bytes], None] | None,
        beginning: StartupState,
    ) -> None:
        self._deployment = deployment
        self._beginning = beginning
        self._supervisor = Supervisor(deployment, paths, echo, beginning.keeping)
        self._system = system
        self._reaper = Reaper()
        self._autostart = Autostart(self._supervisor)
        self._requests = Requests(self._supervisor, self.shut_down, self._autostart.renew)
        self._requests.replace = self._leave_soon
        self._lock = -1
        self._farewell: Callable[[], None] = lambda: None
        self._server = ControlServer(paths.socket, self._requests.handle)
        self.failure: EssentialFailed | None = None
        """Why it ends, if nobody has asked for that."""
        self.left: Reported | None = None
        """What couldn't be ended."""
        self._stopped: asyncio.Future[None] | None = None
        self._tells = False
        self._signalled = False
        self._reload_wanted = False
        self._reloading: asyncio.Task[None] | None = None

    def on_leaving(self, lock: int, farewell: Callable[[], None]) -> None:
        """Say what another program in this process needs, and what is to be done before it."""
        self._lock, self._farewell = lock, farewell

    async def serve(self, *, autostart: bool, on_ready: Callable[[], None]) -> None:
        """Start up, serve, and return when everything is down."""
        self._stopped = asyncio.get_running_loop().create_future()
        handoff = self._beginning.handoff
        self._handle_signals()  # first, because services are not to inherit that they wait
        self._supervisor.start(self._beginning)
        await self._server.start(None if handoff is None else handoff.control)
        log.info(
            "managing %s (pid %d)", self._deployment.file or "the built-in deployment", os.getpid()
        )
        self._reaper.start()
        on_ready()
        self._supervisor.observers += [self._tell_status, self._end_without]
        telling = asyncio.create_task(self._tell_ready())
        if handoff is not None:
            self._requests.nonce = handoff.nonce
            self._autostart.go_on(handoff.pending)
        elif autostart:
            self._autostart.begin()
        try:
            await self._stopped
        finally:
            telling.cancel()
            self._system.close()
            self._reaper.stop()
            await self._autostart.end()
            await self._server.stop()
            log.info("everything is stopped" if self.left is None else "not all could be stopped")

    async def shut_down(self) -> None:
        """Stop all services; the process ends after that. Asking twice is harmless.

        Raises Reported when some can't be ended.
        """
        assert self._stopped is not None
        self._begin_to_stop()
        await asyncio.wait([self._stopped])
        if self.left is not None:
            raise self.left

    def _begin_to_stop(self) -> None:
        if self._requests.stopping:
            return
        self._requests.stopping = True
        self._system.stopping()
        self._stopping = asyncio.get_running_loop().create_task(self._stop())

    async def _stop(self) -> None:
        assert self._stopped is not None
        try:
            await self._supervisor.stop()
        except asyncio.CancelledError:
            log.warning("no longer waiting for what was killed")
        except Exception:
            log.exception("a fault of our own in stopping")
        try:
            self._supervisor.close()
        except Reported as left:
            self.left = left
        finally:
            self._stopped.set_result(None)
        for entry in self.left.entries() if self.left is not None else ():
            log.error("%s", entry["message"])

    def _leave_soon(self, nonce: str) -> None:
        """Let another program go on in this process, when the request for that has its reply."""
        self._leaving = asyncio.get_running_loop().create_task(self._leave(nonce))

    async def _leave(self, nonce: str) -> None:
        control = await self._server.release()
        try:
            handoff = await self._supervisor.hand_off(self._lock, control, nonce)
            handoff.pending.extend(self._autostart.pending())
            if self._requests.stopping:
                return
            log.info("the program that is installed now goes on")
            self._farewell()
            reexec.leave(handoff, {**os.environ, **self._system.environ})
        except Exception:
            log.exception("no other program can go on: this one does")
            self._requests.replaced = False
            await self._server.start(control)

    def _end_without(self, unit: Unit, old: State) -> None:
        """End when an essential service has failed."""
        if unit.state is not State.FAILED or unit.spec.on_failure != "shutdown":
            return
        if not self._requests.stopping:
            code = unit.life.outcome.exit_code if unit.life.outcome is not None else 1
            self.failure = EssentialFailed(unit.name, unit.life.reason, code)
            log.error("%s has failed, and everything is to end with it", unit.name)
            self._begin_to_stop()

    def _tell_status(self, unit: Unit, old: State) -> None:
        """Let systemd have a summary, of all that changes in one turn of the loop."""
        if self._system.listens and not self._tells:
            self._tells = True
            asyncio.get_running_loop().call_soon(self._tell_summary)

    def _tell_summary(self) -> None:
        self._tells = False
        self._system.status(summary(self._supervisor.units.values()))

    async def _tell_ready(self) -> None:
        """Give systemd signs of life, and say when the services are up."""
        self._system.start_watchdog()
        await first_outcome(self._supervisor.choose(self._supervisor.enabled()))
        self._system.ready()

    def _handle_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in STOP_SIGNALS:
            loop.add_signal_handler(number, self._asked_to_stop, loop)
            signal.signal(number, self._count_signals)  # the loop gets to know of it as well
        loop.add_signal_handler(signal.SIGHUP, self._asked_to_reload, loop)
        loop.add_signal_handler(signal.SIGUSR1, self._supervisor.reopen_logs)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, reexec.SIGNALS)

    def _count_signals(self, *_: object) -> None:
        """See to it that the second request to stop ends us, even if the event loop hangs."""
        if self._signalled or self._requests.stopping:
            timer = threading.Timer(LAST_RESORT, os._exit, (EXIT_FAILED,))
            timer.daemon = True
            timer.start()
        self._signalled = True

    def _asked_to_stop(self, loop: asyncio.AbstractEventLoop) -> None:
        """Stop in order; whoever asks twice wants it now."""
        if self._requests.stopping:
            log.warning("asked twice: killing what is left")
            self._supervisor.kill_all()
            loop.call_later(HURRY, self._stopping.cancel)
        else:
            log.info("asked to stop: stopping all services")
            self._begin_to_stop()

    def _asked_to_reload(self, loop: asyncio.AbstractEventLoop) -> None:
        """Reload, and once more if asked meanwhile: the file may have changed since it was read."""
        log.info("asked to reload")
        self._reload_wanted = True
        if self._reloading is None or self._reloading.done():
            self._reloading = loop.create_task(self._reload())

    async def _reload(self) -> None:
        while self._reload_wanted:
            self._reload_wanted = False
            self._system.reloading()
            await self._requests.reload()
            self._system.ready()
