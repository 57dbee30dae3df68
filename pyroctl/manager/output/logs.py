"""What a service says, on its way into its log: lines with the time in front."""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pyroctl.manager.fdstore.remote_log import RemoteLog
from pyroctl.manager.output.lines import LineAssembler
from pyroctl.manager.output.logfile import LogFile, stamp
from pyroctl.manager.output.pipes import OutputPipes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pyroctl.core.spec import LogSpec, ServiceSpec
    from pyroctl.manager.fdstore.client import FdStoreClient
    from pyroctl.paths import Paths

REMEMBERED_LINES = 20
"""How many last lines are at hand for an error message."""


def now() -> datetime:
    """Give the time of day, with the local offset."""
    return datetime.now(UTC).astimezone()


def open_log(
    paths: Paths, spec: ServiceSpec, tell: Callable[[str], None], keeping: FdStoreClient | None
) -> ServiceLog | RemoteLog:
    """Open the log of a service; with `keeping`, the keeper writes it."""
    if keeping is not None:
        return RemoteLog(keeping, spec.name, paths, spec.log)
    path, errors_path = paths.service_log(spec.name), paths.service_errors(spec.name)
    return ServiceLog(path, errors_path, spec.log, tell=tell)


class ServiceLog:
    """Writes one service's output to `path`, and its stderr to `errors_path` if that is kept apart.

    Each line gets the time it was read in front; the last ones are kept in memory. `tell` gets a
    sentence when a file can't be written, and may be called from another thread.
    """

    def __init__(
        self,
        path: str,
        errors_path: str,
        spec: LogSpec,
        *,
        tell: Callable[[str], None] = lambda _: None,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._clock = clock
        self._output = _Stream(LogFile(path, spec, tell))
        self._errors = _Stream(LogFile(errors_path, spec, tell))
        self._last: deque[bytes] = deque(maxlen=REMEMBERED_LINES)
        self.echo: Callable[[bytes], None] = lambda _: None
        """Gets all whole lines too, without the time."""

    @property
    def lost_bytes(self) -> int:
        """How much could not be written so far."""
        return self._output.file.lost_bytes + self._errors.file.lost_bytes

    @property
    def lost_lines(self) -> int:
        """The same in lines."""
        return self._output.file.lost_lines + self._errors.file.lost_lines

    def use(self, spec: LogSpec) -> None:
        """Keep to other bounds from now on; whether stderr is apart is the next child's matter."""
        for stream in (self._output, self._errors):
            stream.file.use(spec)

    def pipes(
        self,
        on_lines: Callable[[bytes], None],
        *,
        apart: bool,
        fds: Mapping[str, int] | None = None,
        **_: bool,
    ) -> OutputPipes:
        """Make the pipes of a child that speaks into this log.

        `on_lines` gets the whole lines, too. `fds` as for OutputPipes.
        """
        return OutputPipes(
            lambda data: on_lines(self.take_output(data)),
            (lambda data: on_lines(self.take_errors(data))) if apart else None,
            fds,
        )

    def take_output(self, data: bytes) -> bytes:
        """Take output as it comes, and give the lines that are complete now."""
        return self._write(self._output, self._output.lines.feed(data))

    def take_errors(self, data: bytes) -> bytes:
        """Do the same for stderr, when it is kept apart."""
        return self._write(self._errors, self._errors.lines.feed(data))

    def note(self, text: str) -> None:
        """Write a line of the manager's own."""
        moment = self._clock()
        line = f"[pyroctl] {text}\n".encode()
        self._output.file.append(stamp(moment) + line, moment)
        self.echo(line)

    def finish(self) -> None:
        """Write what came without a newline at its end; the service has ended."""
        for stream in (self._output, self._errors):
            self._write(stream, stream.lines.finish())

    def unfinished(self) -> list[str]:
        """Give the beginnings of lines so far, one char a byte; for `go_on`."""
        streams = (self._output, self._errors)
        return [stream.lines.unfinished.decode("latin-1") for stream in streams]

    def go_on(self, unfinished: Sequence[str]) -> None:
        """Go on with lines that another program in this process has begun."""
        for stream, text in zip((self._output, self._errors), unfinished, strict=True):
            self._write(stream, stream.lines.feed(text.encode("latin-1")))

    def last_lines(self) -> list[str]:
        """Give the last lines that the service wrote, oldest first."""
        return [line.decode(errors="replace") for line in self._last]

    def forget(self) -> None:
        """Begin a new run: the last lines are that run's only."""
        self._last.clear()

    def reopen(self) -> None:
        """Let go of the files, because somebody moved them away."""
        for stream in (self._output, self._errors):
            stream.file.reopen()

    def close(self) -> None:
        """Let go of the files, and of the thread that may be compressing."""
        for stream in (self._output, self._errors):
            stream.file.close()

    def _write(self, stream: _Stream, block: bytes) -> bytes:
        if block:
            self._last.extend(block.rsplit(b"\n", REMEMBERED_LINES + 1)[-REMEMBERED_LINES - 1 : -1])
            stream.file.append_stamped(block, self._clock())
            self.echo(block)
        return block


class _Stream:
    """One of the child's pipes, and the file that it goes to."""

    def __init__(self, file: LogFile) -> None:
        self.file = file
        self.lines = LineAssembler()
