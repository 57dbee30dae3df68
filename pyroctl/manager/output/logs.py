"""The log of a service: its output as lines with a timestamp."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Protocol

from pyroctl.manager.output.lines import LineAssembler
from pyroctl.manager.output.logfile import LogFile, now, stamp
from pyroctl.manager.output.pipes import OutputPipes

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Sequence
    from datetime import datetime

    from pyroctl.core.spec import LogSpec

SHOWN_AFTER = 0.3
"""Seconds after which an unfinished line can be read in the file."""
REMEMBERED_LINES = 20
"""How many last lines an error message can show."""


class Timer(Protocol):
    """Something that will happen, such as an asyncio.TimerHandle."""

    def cancel(self) -> None:
        """Prevent it."""


class ServiceLog:
    """Writes the output of a service to `path`, and its stderr to `errors_path` if that is apart.

    Each line starts with the time at which it was read; the last ones stay in memory. `warn` gets a
    sentence when a file can't be written, and may be called from another thread. `later` calls a
    function after a delay; without it the files have only whole lines.
    """

    def __init__(
        self,
        path: str,
        errors_path: str,
        spec: LogSpec,
        *,
        warn: Callable[[str], None] = lambda _: None,
        clock: Callable[[], datetime] = now,
        later: Callable[[float, Callable[[], None]], Timer] | None = None,
    ) -> None:
        self._clock = clock
        self._later = later
        self._timer: Timer | None = None
        self._processes = 0
        self._output = _Stream(LogFile(path, spec, warn))
        self._errors = _Stream(LogFile(errors_path, spec, warn))
        self._last: deque[bytes] = deque(maxlen=REMEMBERED_LINES)
        self.echo: Callable[[bytes], None] = lambda _: None
        """Also gets all whole lines, without the time."""

    @property
    def lost_bytes(self) -> int:
        """How many bytes could not be written so far."""
        return self._output.file.lost_bytes + self._errors.file.lost_bytes

    @property
    def lost_lines(self) -> int:
        """How many lines could not be written so far."""
        return self._output.file.lost_lines + self._errors.file.lost_lines

    def counted(self) -> dict[str, dict[str, int]]:
        """Return how many bytes and lines the service has written so far, by stream."""
        return {
            name: {
                "bytes": stream.bytes,
                "lines": stream.lines,
                "unwritten": stream.file.lost_lines,
            }
            for name, stream in (("output", self._output), ("errors", self._errors))
        }

    def use(self, spec: LogSpec) -> None:
        """Change the limits; whether stderr is apart takes effect with the next process."""
        for stream in (self._output, self._errors):
            stream.file.use(spec)

    def pipes(
        self,
        on_lines: Callable[[bytes], None],
        *,
        apart: bool,
        awaited: str | None = None,
        fds: Mapping[str, int] | None = None,
    ) -> OutputPipes:
        """Return the pipes of a process that writes into this log; `on_lines` gets whole lines.

        `fds` as for OutputPipes; RemoteLog needs `awaited`.
        """
        self._processes += 1
        writer = self._processes
        return OutputPipes(
            lambda data: on_lines(self.write_output(data, writer)),
            (lambda data: on_lines(self.write_errors(data, writer))) if apart else None,
            fds,
        )

    def write_output(self, data: bytes, writer: Hashable = 0) -> bytes:
        """Write output as it arrives; return the lines that are complete now.

        The lines of several writers, such as the two processes in a handover, don't mix.
        """
        return self._write(self._output, self._output.feed(writer, data))

    def write_errors(self, data: bytes, writer: Hashable = 0) -> bytes:
        """Do the same for stderr, if it is apart."""
        return self._write(self._errors, self._errors.feed(writer, data))

    def note(self, text: str) -> None:
        """Write a line of the manager's own."""
        moment = self._clock()
        line = f"[pyroctl] {text}\n".encode()
        self._output.file.append(stamp(moment) + line, moment)
        self._show_unfinished_later()
        self.echo(line)

    def finish(self) -> None:
        """Write unfinished lines; the service has ended."""
        for stream in (self._output, self._errors):
            self._write(stream, stream.finish())

    def unfinished(self) -> list[str]:
        """Return the unfinished lines of stdout and stderr, as Latin-1; for `restore`.

        They are in the files no longer, since the next program writes them when they are complete.
        """
        streams = (self._output, self._errors)
        self._stop_timer()
        for stream in streams:
            stream.file.withdraw_unfinished()
        return [b"".join(stream.unfinished()).decode("latin-1") for stream in streams]

    def restore(self, unfinished: Sequence[str]) -> None:
        """Continue the unfinished lines of the previous program in this process."""
        for stream, text in zip((self._output, self._errors), unfinished, strict=True):
            writer = self._processes + 1  # the next that is connected
            self._write(stream, stream.feed(writer, text.encode("latin-1")))

    def last_lines(self) -> list[str]:
        """Return the last lines of the service, oldest first; unfinished ones, too."""
        unfinished = self._output.unfinished() + self._errors.unfinished()
        return [line.decode(errors="replace") for line in (*self._last, *unfinished)]

    def begin_run(self) -> None:
        """Begin a new run, which has its own last lines."""
        self._last.clear()

    def reopen(self) -> None:
        """Open the files again, because they were moved away."""
        for stream in (self._output, self._errors):
            stream.file.reopen()

    def close(self) -> None:
        """Close the files, and end the thread that may be compressing."""
        self._stop_timer()
        for stream in (self._output, self._errors):
            stream.file.close()

    def _write(self, stream: _Stream, block: bytes) -> bytes:
        if block:
            stream.count(block)
            self._last.extend(block.rsplit(b"\n", REMEMBERED_LINES + 1)[-REMEMBERED_LINES - 1 : -1])
            stream.file.append_stamped(block, self._clock())
            self.echo(block)
        if stream.unfinished():
            self._show_unfinished_later()
        return block

    def _show_unfinished_later(self) -> None:
        if self._later is not None and self._timer is None:
            self._timer = self._later(SHOWN_AFTER, self._show_unfinished)

    def _show_unfinished(self) -> None:
        """Make lines readable that are still unfinished, such as a prompt or a progress bar."""
        self._timer = None
        for stream in (self._output, self._errors):
            if unfinished := stream.unfinished():
                stream.file.show_unfinished(unfinished[-1], self._clock())

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class _Stream:
    """One output of a service's processes, and its file."""

    def __init__(self, file: LogFile) -> None:
        self.file = file
        self.bytes = 0
        self.lines = 0
        self._lines: dict[Hashable, LineAssembler] = {}
        """By writer; in a handover there are two."""

    def count(self, block: bytes) -> None:
        """Count whole lines."""
        self.bytes += len(block)
        self.lines += block.count(b"\n")

    def feed(self, writer: Hashable, data: bytes) -> bytes:
        """Return the lines of a writer that are complete now."""
        lines = self._lines.pop(writer, None) or LineAssembler()
        complete = lines.feed(data)
        if lines.unfinished:
            self._lines[writer] = lines  # the last one is what it showed last
        return complete

    def finish(self) -> bytes:
        """Return the unfinished lines, completed by newlines."""
        found = b"".join(lines.finish() for lines in self._lines.values())
        self._lines.clear()
        return found

    def unfinished(self) -> list[bytes]:
        """Return the unfinished lines of all writers, the latest last."""
        return [lines.unfinished for lines in self._lines.values()]
