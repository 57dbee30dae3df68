"""A service's log that the descriptor store writes, so that it continues without a manager."""

from __future__ import annotations

import asyncio
import os
from dataclasses import asdict
from typing import TYPE_CHECKING

from pyroctl.manager.fdstore.client import LineReader
from pyroctl.manager.output.logs import ServiceLog
from pyroctl.manager.output.pipes import make_pipe

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pyroctl.core.spec import LogSpec, ServiceSpec
    from pyroctl.manager.fdstore.client import FdStoreClient
    from pyroctl.manager.fdstore.packets import Message
    from pyroctl.paths import Paths


def open_log(
    paths: Paths, spec: ServiceSpec, warn: Callable[[str], None], fdstore: FdStoreClient | None
) -> ServiceLog | RemoteLog:
    """Open the log of a service; if there is a descriptor store, that writes it."""
    files = (paths.service_log(spec.name), paths.service_errors(spec.name))
    if fdstore is not None:
        return RemoteLog(fdstore, spec.name, files, spec.log)
    return ServiceLog(*files, spec.log, warn=warn, later=call_later)


def call_later(delay: float, function: Callable[[], None]) -> asyncio.TimerHandle:
    """Call a function after a delay, in this thread's event loop."""
    return asyncio.get_running_loop().call_later(delay, function)


def _discard(_: bytes) -> None:
    """Ignore the lines."""


class RemoteLog:
    """Has the methods of ServiceLog, and makes the descriptor store do the work.

    Belongs to the event loop's thread.
    """

    def __init__(
        self, fdstore: FdStoreClient, service: str, files: tuple[str, str], spec: LogSpec
    ) -> None:
        self.lost_lines = self.lost_bytes = 0
        self.echo: Callable[[bytes], None] = _discard
        """Also gets all whole lines, without the time."""
        self._fdstore = fdstore
        self._service = service
        self._files = files
        self._spec = spec
        self._last: list[str] = []
        fdstore.logs[service] = self
        self.open()

    def open(self) -> None:
        """Open it; again after the descriptor store was replaced."""
        self.use(self._spec)

    def use(self, spec: LogSpec) -> None:
        """Change the limits; whether stderr is apart takes effect with the next process."""
        self._spec = spec
        self._send("log", paths=self._files, spec=asdict(spec))

    def pipes(
        self,
        on_lines: Callable[[bytes], None],
        *,
        apart: bool,
        awaited: str | None,
        fds: Mapping[str, int] | None,
    ) -> RemotePipes:
        """Return the pipes of a process that writes into this log, or those of `fds`.

        `on_lines` gets whole lines only if one of them is `awaited`: that matches this pattern.
        """

        def hear(lines: bytes) -> None:
            self.echo(lines)
            on_lines(lines)

        heard = awaited is not None or self.echo is not _discard
        reader = LineReader(hear, awaited, on_lines) if heard else None
        return RemotePipes(self._fdstore, self._service, reader, fds, apart=apart)

    def note(self, text: str) -> None:
        """Write a line of the manager's own."""
        self._send("note", text=text)
        self.echo(f"[pyroctl] {text}\n".encode())

    def finish(self) -> None:
        """Write unfinished lines; the service has ended."""
        self._send("finish")

    def unfinished(self) -> list[str]:
        """Return nothing: the descriptor store has the unfinished lines."""
        return []

    def restore(self, unfinished: Sequence[str]) -> None:
        """Do nothing, see `unfinished`."""

    def counted(self) -> dict[str, dict[str, int]]:
        """Return how many lines could not be written; the descriptor store reads the output."""
        return {"output": {"unwritten": self.lost_lines}}

    def last_lines(self) -> list[str]:
        """Return the last lines of the service before it ended, oldest first."""
        return self._last

    def begin_run(self) -> None:
        """Begin a new run, which has its own last lines."""
        self._last = []
        self._send("forget")

    def reopen(self) -> None:
        """Open the files again, because they were moved away."""
        self._send("reopen")

    def close(self) -> None:
        """Close the files."""
        self._send("close")
        self._fdstore.logs.pop(self._service, None)

    def receive(self, message: Message) -> None:
        """Handle a message about the log."""
        if "last" in message:
            self._last = message["last"]
        else:
            lost = message["lost"]
            self.lost_lines, self.lost_bytes = lost["lines"], lost["bytes"]

    def _send(self, do: str, **message: object) -> None:
        self._fdstore.send(do, service=self._service, **message)


class RemotePipes:
    """The pipes of a process that the descriptor store reads; the manager only has copies.

    So SIGPIPE doesn't hit a process while a descriptor store that died is being replaced.
    """

    def __init__(
        self,
        fdstore: FdStoreClient,
        service: str,
        reader: LineReader | None,
        fds: Mapping[str, int] | None,
        *,
        apart: bool,
    ) -> None:
        self._fdstore = fdstore
        self._name = service
        self._reader = reader
        self._ours = dict(fds or {})
        self._remotes: dict[str, int] = {}
        if fds is None:
            for name in ("output", "errors") if apart else ("output",):
                self._ours[name], self._remotes[name] = make_pipe()

    def remotes(self) -> tuple[int, int]:
        """Return the descriptors for the process' stdout and stderr."""
        *_, last = self._remotes.values()
        return self._remotes["output"], last

    def release_remotes(self) -> None:
        """Close the ends of the process here."""
        while self._remotes:
            os.close(self._remotes.popitem()[1])

    def start(self, pid: int) -> None:
        """Request the lines, if wanted; `FdStoreClient.sync` makes the store read."""
        self._name += f"/{pid}"
        if self._reader is not None:
            self._fdstore.read_lines(self._name, self._reader)

    def drain(self, then: Callable[[], None]) -> None:
        """Call `then` when everything written so far is in the log."""
        self._fdstore.drain(self._name, then)

    def close(self) -> None:
        """Close our ends."""
        self._fdstore.ignore_lines(self._name)
        while self._ours:
            os.close(self._ours.popitem()[1])

    def descriptors(self) -> dict[str, int]:
        """Return our ends, by name."""
        return dict(self._ours)
