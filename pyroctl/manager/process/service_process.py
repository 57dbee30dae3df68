"""One process of a service, and what it reports about itself."""

from __future__ import annotations

import asyncio
import os
import pwd
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from pyroctl.core.record import RunRecord, stamp
from pyroctl.core.spec import NameReady, NotifyReady
from pyroctl.manager.process import procfs
from pyroctl.manager.process.control_link import ControlLink
from pyroctl.manager.process.handle import ProcessHandle, ReattachedProcess
from pyroctl.manager.process.notify import NotifySocket
from pyroctl.manager.process.probe_command import HelperRunner
from pyroctl.manager.process.readiness import ReadinessWatch
from pyroctl.manager.process.spawn import NOTHING, spawn

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pyroctl.core.outcome import Outcome
    from pyroctl.core.spec import ServiceSpec
    from pyroctl.kinds import Launch, LaunchContext
    from pyroctl.manager.process.handle import Process
    from pyroctl.manager.process.probe_command import Cleanup
    from pyroctl.manager.process.sessions import SessionSnapshot
    from pyroctl.manager.process.spawn import Passed, Pipes


class OutputLog(Protocol):
    """Where the output of a service goes."""

    def pipes(
        self,
        on_lines: Callable[[bytes], None],
        *,
        apart: bool,
        awaited: str | None,
        fds: Mapping[str, int] | None,
    ) -> Pipes:
        """Return the pipes of a process that writes into this log, see ServiceLog, RemoteLog."""

    def note(self, text: str) -> None:
        """Write a line of the manager's own."""


@dataclass(frozen=True, slots=True)
class ProcessParts:
    """What all processes of a service share; callbacks come at most once and in this order."""

    log: OutputLog
    cleanup: Cleanup
    snapshot: SessionSnapshot
    on_ready: Callable[[ServiceProcess], None]
    on_exit: Callable[[ServiceProcess, Outcome], None]
    """The process ended; its output was read."""
    on_gone: Callable[[ServiceProcess], None]
    """Its session is empty."""


class StartPlan(NamedTuple):
    """How a process is started, or was."""

    spec: ServiceSpec
    launch: Launch
    context: LaunchContext
    notify_path: str


class PriorProcess(NamedTuple):
    """A process that another manager started: its record and its descriptors."""

    record: RunRecord
    fds: dict[str, int]


class ServiceProcess:
    """A process of a service from its start to its end. Lives in the event loop's thread.

    It inherits what is `passed` to it. With `prior` it is reattached instead of started.
    Raises OSError or ValueError if the process can't be created; then nothing is left of it.
    """

    def __init__(
        self,
        parts: ProcessParts,
        plan: StartPlan,
        passed: Passed = NOTHING,
        prior: PriorProcess | None = None,
    ) -> None:
        loop = asyncio.get_running_loop()
        self._parts = parts
        self.spec = plan.spec
        """The specification it was started with; its unit may have a newer one."""
        self.tls_only_ns = plan.context.ns if plan.context.ns_tls is not None else None
        """The address of the deployment's name server, if it accepts only TLS."""
        self.record, fds = prior or PriorProcess(_new_record(plan), {})
        """What another manager has to know to reattach the process."""
        self.ready_or_ended: asyncio.Future[Outcome | None] = loop.create_future()
        """Done when it is ready, with None, or has ended, with its outcome."""
        self.last_heartbeat = 0.0 if prior is None else loop.time()
        """When it last sent WATCHDOG=1, by the event loop's clock."""
        self.uids = user_ids(plan.spec)
        """The users whose notifications count."""
        self.helpers = HelperRunner(plan.spec, plan.launch, parts.cleanup)
        """Starts programs that run as the service does."""
        self.ended = False
        self.gone = asyncio.Event()
        self._notify: NotifySocket | None = NotifySocket(
            plan.notify_path,
            self.uids,
            self.receive,
            private=plan.spec.user is None,
            fd=fds.pop("notify", None),
        )
        readiness = plan.launch.readiness if self.record.ready_since is None else NotifyReady()
        age = 0.0 if prior is None else procfs.age(self.record.started)
        self._readiness = ReadinessWatch(
            readiness, self._became_ready, plan.context, self.helpers, age
        )
        try:
            self.handle = self._connect(plan, self._notify.address, passed, prior)
        except BaseException:
            self._stop_listening()
            raise
        if prior is None:
            started = procfs.start_time(self.pid) or 0
            self.record = replace(self.record, pid=self.pid, started=started)

    def _connect(
        self, plan: StartPlan, notify: str, passed: Passed, prior: PriorProcess | None
    ) -> ProcessHandle:
        """Start the process, or reattach it, and connect it with its log."""
        control = None if prior is None else prior.fds.pop("control", None)
        pipes = self._parts.log.pipes(
            self._readiness.on_lines,
            apart=self.record.apart,
            awaited=self._readiness.awaited,
            fds=None if prior is None else prior.fds,
        )
        process: Process
        if prior is None:
            launch = replace(plan.launch, env={**plan.launch.env, "NOTIFY_SOCKET": notify})
            process, link = spawn(plan.spec, launch, pipes, passed)
        else:
            process = ReattachedProcess(prior.record.pid)
            link = None if control is None else ControlLink(control)
        return ProcessHandle(process, pipes, link, self._parts.snapshot, self._ended, self._gone)

    @property
    def pid(self) -> int:
        """Its process id, which is also the id of its session."""
        return self.handle.pid

    async def ask(self, question: str, max_wait: float, **parameters: object) -> Any:
        """Ask over the control socket; raise OSError without an answer in time."""
        if self.handle.control is None:
            raise OSError("it has no control socket")
        return await self.handle.control.ask(question, max_wait, **parameters)

    def stop_watching(self) -> None:
        """Stop watching its readiness, because another program takes over."""
        self._readiness.cancel()

    def restore_notify_socket(self) -> bool:
        """Make its notification socket again if it was removed; return whether it was.

        Raises OSError.
        """
        return self._notify is not None and self._notify.restore()

    def descriptors(self) -> dict[str, int]:
        """Return our ends of its connections, by name."""
        notify = {} if self._notify is None else {"notify": self._notify.fileno()}
        return {**self.handle.descriptors(), **notify}

    def receive(self, fields: dict[str, str]) -> None:
        """Handle a notification."""
        uri = fields.get("X_PYRO_URI", self.record.uri)
        status = fields.get("STATUS", self.record.status_text)
        self.record = replace(self.record, uri=uri, status_text=status)
        if fields.get("WATCHDOG") == "1":
            self.last_heartbeat = asyncio.get_running_loop().time()
        self._readiness.on_notify(fields)

    def found(self) -> str:
        """Return what was found so far instead of readiness, for people."""
        found = self._readiness.found(self._parts.snapshot.members(self.pid))
        status = self.record.status_text
        return f"{found}; its status: {status}" if status else found

    def _became_ready(self, uri: str | None) -> None:
        self.record = replace(self.record, uri=uri or self.record.uri)
        self._settle(None)
        self._parts.on_ready(self)

    def _ended(self, outcome: Outcome) -> None:
        self.ended = True
        self._stop_listening()
        self._settle(outcome)
        self._parts.on_exit(self, outcome)

    def _settle(self, outcome: Outcome | None) -> None:
        if not self.ready_or_ended.done():
            self.ready_or_ended.set_result(outcome)

    def _gone(self) -> None:
        self.gone.set()
        self._parts.on_gone(self)

    def _stop_listening(self) -> None:
        self._readiness.cancel()
        if self._notify is not None:
            self._notify.close()
            self._notify = None


def _new_record(plan: StartPlan) -> RunRecord:
    """Return what is known of a process before its start."""
    readiness = plan.launch.readiness
    return RunRecord(
        *(0, 0, plan.notify_path, stamp(plan.spec)),
        ns=readiness.ns if isinstance(readiness, NameReady) else None,
        apart=plan.spec.log.stderr == "apart",
    )


def user_ids(spec: ServiceSpec) -> frozenset[int]:
    """Return the users whose notifications count: the service's user, ours and root.

    Raises ValueError if the service's user does not exist.
    """
    users = {0, os.geteuid()}
    if spec.user is not None:
        try:
            users.add(pwd.getpwnam(spec.user).pw_uid)
        except KeyError:
            raise ValueError(f'there is no user "{spec.user}" on this machine') from None
    return frozenset(users)
