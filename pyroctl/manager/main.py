"""The manager process: set up, serve until it is stopped, take everything down."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

from pyroctl.control import registry
from pyroctl.control.server import ControlServer
from pyroctl.core.state import State
from pyroctl.directories import identity
from pyroctl.errors import EXIT_FAILED, EssentialFailed, PyroctlError, Reported
from pyroctl.manager import lock, reexec
from pyroctl.manager.cleanup import crash_report
from pyroctl.manager.cleanup.reaper import Reaper
from pyroctl.manager.commands.gate import Gate
from pyroctl.manager.commands.requests import Requests
from pyroctl.manager.deployment.supervisor import Supervisor
from pyroctl.manager.fdstore import startup
from pyroctl.manager.pages import Pages
from pyroctl.manager.remote.remote import Remote
from pyroctl.manager.remote.renewal import Renewal
from pyroctl.manager.runtime_dir import RuntimeDirWatch
from pyroctl.manager.sharing import Sharing
from pyroctl.manager.systemd import SystemNotifier, first_outcome, summary

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyroctl.core.spec import Deployment
    from pyroctl.manager.deployment.unit import Unit
    from pyroctl.manager.fdstore.startup import StartupState
    from pyroctl.paths import Paths

KILL_TIMEOUT = 1.0
"""Seconds that killed services have to end after a second signal."""
EXIT_TIMEOUT = 5.0
"""Seconds until a second signal ends the process as kill -9 would; the cleanup process follows."""

log = logging.getLogger(__name__)


def run(
    deployment: Deployment,
    paths: Paths,
    *,
    autostart: bool,
    on_ready: Callable[[str], bool] = lambda _: True,
    system: SystemNotifier | None = None,
    echo: Callable[[str, bytes], None] | None = None,
    before_reexec: Callable[[], None] = lambda: None,
    certs: str,
) -> None:
    """Run as the manager until a signal or a request ends it.

    `on_ready` is called once commands are accepted, with a message about the last manager if that
    ended without shutting down; an idle manager ends if it returns False, as nobody waits. `system`
    reports to systemd; `echo` gets each service's name and lines; `before_reexec` is called before
    another program continues in this process; `certs` is the directory of the site's certificates.

    Raises AlreadyRunning, NotPermitted or another PyroctlError if it can't start, EssentialFailed
    if such a service has ended it, Reported if it has left services that can't be ended.
    """
    handed_on = reexec.receive(os.environ)
    if handed_on is None:
        lock.make_directories(paths)
        held, last = lock.acquire(paths)
    else:
        held = handed_on.lock
    try:
        if handed_on is None:
            start = startup.start(deployment, paths, last)
        else:
            start = startup.resume(deployment, paths, handed_on)
        system = system or SystemNotifier({})
        manager = Manager(deployment, paths, start, system, echo, held=held, certs=certs)
        manager.before_reexec = before_reexec
        registry.enter(paths, deployment.name, deployment.file, os.environ)
        asyncio.run(manager.serve(autostart=autostart, on_ready=lambda: on_ready(start.news)))
        if start.fdstore is not None:  # a reattached service may have left detached processes
            grace = crash_report.GRACE if manager.left is None else 0
            crash_report.end_all(paths, grace=grace)
        manager.raise_if_left()
    except BaseException:
        os.close(held)  # with our pid in it: the next manager looks for what we have left
        raise
    registry.leave(paths, os.environ)
    lock.release(held)
    if manager.failure is not None:
        raise manager.failure


class Manager:
    """Owns the supervisor, the control server and the signals of one process."""

    def __init__(
        self,
        deployment: Deployment,
        paths: Paths,
        start: StartupState,
        system: SystemNotifier,
        echo: Callable[[str, bytes], None] | None,
        *,
        held: int,
        certs: str,
    ) -> None:
        self._deployment = deployment
        self._start = start
        self._supervisor = Supervisor(deployment, paths, echo, start.fdstore, certs)
        self._system = system
        self._reaper = Reaper()
        self._gate = Gate()
        self._requests = Requests(
            *(self._supervisor, self._gate),
            shut_down=self.shut_down,
            reexec=self._reexec_soon,
            reloaded=self._share,
            about=self._about,
        )
        self._sharing = Sharing(paths)
        self._server = ControlServer(paths.socket, self._requests.handle, self._sharing.permit)
        self._pages = Pages(self._requests.handle)
        self._remote = Remote(certs, self._requests.handle, self._sharing.permit_client)
        self._applying: asyncio.Task[None] | None = None
        announce = partial(self._supervisor.announce, "_certificate")
        self._renewal = Renewal(certs, announce)
        self._paths = paths
        self._runtime_dir = RuntimeDirWatch((paths.notify, paths.run, paths.state), self._repair)
        self._lock = held
        self.before_reexec: Callable[[], None] = lambda: None
        """Called before another program continues in this process."""
        self.failure: EssentialFailed | None = None
        """Why it ends, if it was not requested to."""
        self.left: Reported | None = None
        """What could not be ended."""
        self._stopped: asyncio.Future[None] | None = None
        self._reporting = False
        self._signalled = False
        self._reload_requested = False
        self._reloading: asyncio.Task[None] | None = None

    async def serve(self, *, autostart: bool, on_ready: Callable[[], bool]) -> None:
        """Start up, serve, and return when everything is down."""
        self._stopped = asyncio.get_running_loop().create_future()
        handed_on = self._start.reexec
        self._handle_signals()  # first, or services would inherit that they are blocked
        self._supervisor.start(self._start)
        for _ in range(2):  # the loop notices which of the reattached processes have ended
            await asyncio.sleep(0)
        await self._server.start(None if handed_on is None else handed_on.control)
        self._pages.start(self._supervisor.units.values())
        self._supervisor.observers.append(self._pages.changed)
        self._share()
        assert self._applying is not None
        await self._applying
        name = self._deployment.file or "the built-in deployment"
        log.info("managing %s (pid %d), sockets in %s", name, os.getpid(), self._paths.run)
        self._reaper.start()
        self._renewal.start()
        await self._runtime_dir.start()
        if not on_ready() and self._requests.is_idle():
            log.info("whoever has started this manager has gone, and nothing runs: it ends")
            self._begin_to_stop()
        self._supervisor.observers += [self._report_status, self._end_without]
        reporting = asyncio.create_task(self._report_ready())
        if handed_on is not None:
            self._gate.nonce = handed_on.nonce
            self._supervisor.scheduler.resume(handed_on.pending)
        elif autostart:
            self._supervisor.scheduler.autostart(self._supervisor.enabled())
        try:
            await self._stopped
        finally:
            reporting.cancel()
            self._system.close()
            self._reaper.stop()
            self._runtime_dir.stop()
            await self._pages.close()
            await self._remote.close()
            await self._renewal.close()
            await self._server.stop()
            log.info("everything is stopped" if self.left is None else "not all could be stopped")

    async def _repair(self) -> bool:
        """Make again what was removed of the runtime directory, and return whether that was needed.

        Where that fails, the next event is the next attempt.
        """
        if self._gate.replaced:
            return False
        missing = identity(self._paths.notify) is None
        try:
            lock.make_private_directories(self._paths)
            lock.renew(self._lock, self._paths)
            missing |= await self._server.restore()
            self._share()
            missing |= self._supervisor.restore_notify_sockets()
        except (OSError, PyroctlError) as error:
            log.warning("sockets in %s were removed and can't be made: %s", self._paths.run, error)
            return False
        if missing:
            log.warning("sockets in %s were removed; they have been made again", self._paths.run)
        return missing

    def _share(self) -> None:
        """Allow requests of the users, and of the other hosts, that the configuration names."""
        deployment = self._supervisor.deployment
        self._sharing.apply(deployment)
        self._applying = asyncio.get_running_loop().create_task(
            self._remote.apply(deployment.remote)
        )
        self._renewal.check()

    def _about(self) -> dict[str, Any]:
        """Return what a status has of the manager besides its process."""
        return {"remote": self._remote.status(), "certificates": self._renewal.status()}

    async def shut_down(self) -> None:
        """Stop all services; the process ends after that. Calling it twice does no harm.

        Raises Reported if some can't be ended.
        """
        assert self._stopped is not None
        self._begin_to_stop()
        await asyncio.wait([self._stopped])
        if self.left is not None:
            raise self.left

    def _begin_to_stop(self) -> None:
        if self._gate.stopping:
            return
        self._gate.stopping = True
        self._system.stopping()
        self._stopping = asyncio.get_running_loop().create_task(self._stop())

    async def _stop(self) -> None:
        assert self._stopped is not None
        try:
            await self._supervisor.stop()
        except asyncio.CancelledError:
            log.warning("not waiting for killed processes any longer")
        except Exception:
            log.exception("internal error in stopping")
        try:
            self._supervisor.close()
        except Reported as left:
            self.left = left
        finally:
            self._stopped.set_result(None)
        for entry in self.left.entries() if self.left is not None else ():
            log.error("%s", entry["message"])

    def _end_without(self, unit: Unit, old: State) -> None:
        """Stop everything if an essential service has failed."""
        if unit.state is not State.FAILED or unit.spec.on_failure != "shutdown":
            return
        if not self._gate.stopping:
            state = unit.service_state
            code = state.outcome.exit_code if state.outcome is not None else 1
            self.failure = EssentialFailed(unit.name, state.reason, code)
            log.error("%s has failed, so everything stops (on_failure)", unit.name)
            self._begin_to_stop()

    def raise_if_left(self) -> None:
        """Raise why it ended, or Reported, if some services could not be ended."""
        if self.left is not None:
            raise self.failure or self.left

    def _reexec_soon(self, nonce: str) -> None:
        """Start the installed program in this process, once the request for it was answered."""
        self._gate.replaced = True
        self._leaving = asyncio.get_running_loop().create_task(self._reexec(nonce))

    async def _reexec(self, nonce: str) -> None:
        control = await self._server.release()
        await self._pages.close()
        try:
            state = await self._supervisor.prepare_reexec(self._lock, control, nonce)
            state.pending.extend(self._supervisor.scheduler.pending())
            if self._gate.stopping:
                return
            log.info("the installed program continues")
            self.before_reexec()
            reexec.execute(state, {**os.environ, **self._system.environ})
        except Exception:
            log.exception("the installed program cannot continue: this one does")
            self._gate.replaced = False
            await self._server.start(control)
            self._pages.start(self._supervisor.units.values())

    def _report_status(self, unit: Unit, old: State) -> None:
        """Report one summary of all changes in a turn of the event loop."""
        if self._system.listens and not self._reporting:
            self._reporting = True
            asyncio.get_running_loop().call_soon(self._report_summary)

    def _report_summary(self) -> None:
        self._reporting = False
        self._system.status(summary(self._supervisor.units.values()))

    async def _report_ready(self) -> None:
        """Send heartbeats, and report when the services are up."""
        self._system.start_watchdog()
        await first_outcome(self._supervisor.choose(self._supervisor.enabled()))
        self._system.ready()

    def _handle_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop_requested, loop)
            signal.signal(number, self._ensure_exit)  # the loop still calls its own handler
        loop.add_signal_handler(signal.SIGHUP, self._reload_soon, loop)
        loop.add_signal_handler(signal.SIGUSR1, self._supervisor.reopen_logs)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, reexec.SIGNALS)

    def _ensure_exit(self, *_: object) -> None:
        """Ensure that a second request to stop ends the process even if the event loop hangs."""
        if self._signalled or self._gate.stopping:
            timer = threading.Timer(EXIT_TIMEOUT, os._exit, (EXIT_FAILED,))
            timer.daemon = True
            timer.start()
        self._signalled = True

    def _stop_requested(self, loop: asyncio.AbstractEventLoop) -> None:
        """Stop in order; at the second request kill what is left."""
        if self._gate.stopping:
            log.warning("second request to stop: killing what is left")
            self._supervisor.kill_all()
            loop.call_later(KILL_TIMEOUT, self._stopping.cancel)
        else:
            log.info("stop requested: stopping all services")
            self._begin_to_stop()

    def _reload_soon(self, loop: asyncio.AbstractEventLoop) -> None:
        """Reload; again if requested during that: the file may have changed."""
        log.info("reload requested")
        self._reload_requested = True
        if self._reloading is None or self._reloading.done():
            self._reloading = loop.create_task(self._reload())

    async def _reload(self) -> None:
        while self._reload_requested:
            self._reload_requested = False
            self._system.reloading()
            await self._requests.reload()
            self._system.ready()
