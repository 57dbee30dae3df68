"""A service's log that the keeper writes, so that it goes on without a manager."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import TYPE_CHECKING

from pyroctl.manager.output.pipes import make_pipe

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pyroctl.core.spec import LogSpec
    from pyroctl.manager.fdstore.client import FdStoreClient
    from pyroctl.manager.fdstore.packets import Message
    from pyroctl.paths import Paths


def _nobody(_: bytes) -> None:
    """Hear nothing."""


class RemoteLog:
    """Has the methods of ServiceLog, and lets the keeper do it. Belongs to the event loop."""

    def __init__(self, keeping: FdStoreClient, service: str, paths: Paths, spec: LogSpec) -> None:
        self.lost_lines = self.lost_bytes = 0
        self.echo: Callable[[bytes], None] = _nobody
        """Gets all whole lines too, without the time."""
        self._keeping = keeping
        self._service = service
        self._paths = (paths.service_log(service), paths.service_errors(service))
        self._spec = spec
        self._last: list[str] = []
        keeping.logs[service] = self
        self.begin()

    def begin(self) -> None:
        """Let the keeper open it."""
        self.use(self._spec)

    def use(self, spec: LogSpec) -> None:
        """Keep to other bounds from now on; whether stderr is apart is the next child's matter."""
        self._spec = spec
        self._tell("log", paths=self._paths, spec=asdict(spec))

    def pipes(
        self,
        on_lines: Callable[[bytes], None],
        *,
        apart: bool,
        fds: Mapping[str, int] | None = None,
        watched: bool,
    ) -> RemotePipes:
        """Make the pipes of a child that speaks into this log, or go on with those of `fds`.

        Only if it is `watched`, `on_lines` gets the whole lines.
        """

        def hear(lines: bytes) -> None:
            self.echo(lines)
            on_lines(lines)

        heard = watched or self.echo is not _nobody
        return RemotePipes(self._keeping, self._service, hear if heard else None, fds, apart=apart)

    def note(self, text: str) -> None:
        """Write a line of the manager's own."""
        self._tell("note", text=text)
        self.echo(f"[pyroctl] {text}\n".encode())

    def finish(self) -> None:
        """Write what came without a newline at its end; the service has ended."""
        self._tell("finish")

    def unfinished(self) -> list[str]:
        """Give nothing: the keeper has the beginnings of lines."""
        return []

    def go_on(self, unfinished: Sequence[str]) -> None:
        """Do nothing, see `unfinished`."""

    def last_lines(self) -> list[str]:
        """Give the last lines that the service wrote before it ended, oldest first."""
        return self._last

    def forget(self) -> None:
        """Begin a new run: the last lines are that run's only."""
        self._last = []
        self._tell("forget")

    def reopen(self) -> None:
        """Let go of the files, because somebody moved them away."""
        self._tell("reopen")

    def close(self) -> None:
        """Let go of the files."""
        self._tell("close")
        self._keeping.logs.pop(self._service, None)

    def _tell(self, do: str, **message: object) -> None:
        self._keeping.tell(do, service=self._service, **message)

    def hear(self, message: Message) -> None:
        """Take what the keeper says about the log."""
        if "last" in message:
            self._last = message["last"]
        else:
            lost = message["lost"]
            self.lost_lines, self.lost_bytes = lost["lines"], lost["bytes"]


class RemotePipes:
    """The pipes of a child that the keeper reads; we have copies of its ends and leave them alone.

    So a child isn't hit by SIGPIPE while a dead keeper is being replaced.
    """

    def __init__(
        self,
        keeping: FdStoreClient,
        service: str,
        on_lines: Callable[[bytes], None] | None,
        fds: Mapping[str, int] | None,
        *,
        apart: bool,
    ) -> None:
        self._keeping = keeping
        self._name = service
        self._on_lines = on_lines
        self._ours = dict(fds or {})
        self._remotes: dict[str, int] = {}
        if fds is None:
            for name in ("output", "errors") if apart else ("output",):
                self._ours[name], self._remotes[name] = make_pipe()

    def remotes(self) -> tuple[int, int]:
        """Give what the child gets as stdout and stderr."""
        *_, last = self._remotes.values()
        return self._remotes["output"], last

    def release_remotes(self) -> None:
        """Close the child's ends here."""
        while self._remotes:
            os.close(self._remotes.popitem()[1])

    def start(self, pid: int) -> None:
        """Say what we want to hear; that the keeper reads is `FdStoreClient.sync`'s business."""
        self._name += f"/{pid}"
        if self._on_lines is not None:
            self._keeping.lines[self._name] = self._on_lines
            self._keeping.tell("copy", name=self._name)

    def drain(self, then: Callable[[], None]) -> None:
        """Call `then` when what is there now is in the log."""
        self._keeping.drain(self._name, then)

    def close(self) -> None:
        """Let go of our ends."""
        self._keeping.lines.pop(self._name, None)
        while self._ours:
            os.close(self._ours.popitem()[1])

    def descriptors(self) -> dict[str, int]:
        """Give our ends."""
        return dict(self._ours)
