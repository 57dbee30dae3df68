"""One run of a service: a process, and what it says about itself."""

from __future__ import annotations

import asyncio
import os
import pwd
from typing import TYPE_CHECKING, NamedTuple

from pyroctl.core.record import stamp
from pyroctl.core.spec import LogReady, NotifyReady
from pyroctl.manager.process.control_link import ControlLink
from pyroctl.manager.process.handle import ProcessHandle, spawn
from pyroctl.manager.process.identity import ReattachedProcess, start_time
from pyroctl.manager.process.notify import NotifySocket
from pyroctl.manager.process.probe_command import HelperRunner
from pyroctl.manager.process.readiness import ReadinessWatch

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyroctl.core.outcome import Outcome
    from pyroctl.core.record import RunRecord
    from pyroctl.core.spec import ServiceSpec
    from pyroctl.kinds.launch import Launch, LaunchContext
    from pyroctl.manager.cleanup.cleanup_client import CleanupClient
    from pyroctl.manager.fdstore.remote_log import RemoteLog
    from pyroctl.manager.output.logs import ServiceLog
    from pyroctl.manager.process.sessions import SessionSnapshot


class ProcessCallbacks(NamedTuple):
    """What a run tells its unit, each at most once and in this order."""

    ready: Callable[[ServiceProcess], None]
    ended: Callable[[ServiceProcess, Outcome], None]
    """The process ended; its output was read."""
    gone: Callable[[ServiceProcess], None]
    """Nothing of its session is left."""


class PriorProcess(NamedTuple):
    """What another manager knew of a run, and its descriptors."""

    record: RunRecord
    fds: dict[str, int]


class ServiceProcess:
    """A process of a service from its start to its end. Lives in the event loop's thread.

    `listen_fd` is the listening socket that it inherits. Raises OSError or ValueError when the
    process can't be created, and then nothing is left of it. With `before` it is one that another
    manager has started, and nothing is created.
    """

    def __init__(
        self,
        spec: ServiceSpec,
        what: Launch,
        surroundings: LaunchContext,
        log: ServiceLog | RemoteLog,
        notify_path: str,
        guardian: CleanupClient,
        *,
        census: SessionSnapshot,
        hooks: ProcessCallbacks,
        listen_fd: int | None,
        before: PriorProcess | None = None,
    ) -> None:
        record, fds = before or (None, {})
        self.spec = spec
        """What it was started with; its unit may know better by now."""
        self.stamp = stamp(spec) if record is None else record.stamp
        """What tells whether it was started with another specification than a given one."""
        self.uri = record.uri if record is not None else None
        self.status_text = record.status_text if record is not None else ""
        """What it says about itself (STATUS=)."""
        self.first_sign: asyncio.Future[Outcome | None] = asyncio.get_running_loop().create_future()
        """Done when it is ready, with None, or has ended, with how."""
        self.last_sign = 0.0 if record is None else asyncio.get_running_loop().time()
        """When it said WATCHDOG=1 last, by the event loop's clock."""
        self.ready_since = record.ready_since if record is not None else None
        """When it became ready, by its unit's clock."""
        self.ns = surroundings.ns if record is None else record.ns
        """The name server that it was told at its start."""
        self.beside = HelperRunner(spec, what, guardian)
        """Starts programs that run as the service does."""
        self.ended = False
        self.gone = asyncio.Event()
        self.notify_path = notify_path
        self.apart = spec.log.stderr == "apart" if record is None else record.apart
        """Whether its stderr has a pipe of its own."""
        self.uids = user_ids(spec)
        """Whose messages count."""
        self._log = log
        self._hooks = hooks
        self._notify: NotifySocket | None = NotifySocket(
            notify_path,
            self.uids,
            self.hear,
            private=spec.user is None,
            fd=fds.pop("notify", None),
        )
        env = {**what.env, "NOTIFY_SOCKET": self._notify.address}
        self._readiness = ReadinessWatch(
            what.readiness if self.ready_since is None else NotifyReady(),
            self._became_ready,
            surroundings,
            self.beside,
        )
        try:
            control = fds.pop("control", None)
            pipes = log.pipes(
                self._readiness.on_lines,
                apart=self.apart,
                watched=isinstance(what.readiness, LogReady),
                fds=fds if record is not None else None,
            )
            if record is None:
                self.child = spawn(
                    *(spec, what, env, pipes, self._ended, self._gone),
                    census=census,
                    listen_fd=listen_fd,
                )
            else:
                link = None if control is None else ControlLink(control)
                process = ReattachedProcess(record.pid)
                self.child = ProcessHandle(
                    process, pipes, link, self._ended, self._gone, census=census
                )
        except BaseException:
            self._stop_listening()
            raise
        self.started = (start_time(self.pid) or 0) if record is None else record.started
        """When the kernel has started it, in its own ticks."""

    @property
    def pid(self) -> int:
        """Its process id, which is its session's id as well."""
        return self.child.pid

    def let_go(self) -> None:
        """Look no more after its readiness, because another program is to do that."""
        self._readiness.cancel()

    def descriptors(self) -> dict[str, int]:
        """Give our ends of what connects us with its process."""
        notify = {} if self._notify is None else {"notify": self._notify.fileno()}
        return {**self.child.descriptors(), **notify}

    def hear(self, fields: dict[str, str]) -> None:
        """Take what it says about itself."""
        self.uri = fields.get("X_PYRO_URI", self.uri)
        self.status_text = fields.get("STATUS", self.status_text)
        if fields.get("WATCHDOG") == "1":
            self.last_sign = asyncio.get_running_loop().time()
        self._readiness.on_notify(fields)

    def _became_ready(self) -> None:
        self._decide(None)
        self._hooks.ready(self)

    def _ended(self, outcome: Outcome) -> None:
        self.ended = True
        self._stop_listening()
        self._decide(outcome)
        self._hooks.ended(self, outcome)

    def _decide(self, sign: Outcome | None) -> None:
        if not self.first_sign.done():
            self.first_sign.set_result(sign)

    def _gone(self) -> None:
        self.gone.set()
        self._hooks.gone(self)

    def _stop_listening(self) -> None:
        self._readiness.cancel()
        if self._notify is not None:
            self._notify.close()
            self._notify = None


def user_ids(spec: ServiceSpec) -> frozenset[int]:
    """Whose messages count: the service's user's, ours and root's."""
    users = {0, os.geteuid()}
    if spec.user is not None:
        users.add(pwd.getpwnam(spec.user).pw_uid)
    return frozenset(users)
