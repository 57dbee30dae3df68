"""Prints lines of logs, and on a terminal or a pipe the beginning of one that is unfinished."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyroctl.cli.output import terminal_width
from pyroctl.cli.styles import ServiceLabels, shown
from pyroctl.paths import log_versions
from pyroctl.printable import log_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyroctl.cli.output import Output
    from pyroctl.log_reader.files import LogLine, Source

CLEAR_LINE = "\r\x1b[K"


class LogPrinter:
    """Prints each line with its time, and with its service if there are several.

    An unfinished line disappears from a terminal when another one is printed. A pipe gets the rest
    of it, if no other line comes in between.
    """

    def __init__(self, output: Output, sources: Sequence[Source]) -> None:
        self._output = output
        names = dict.fromkeys(source.service for source in sources)
        self._labels = ServiceLabels(output, names)
        self._named = len(names) > 1
        self._marked = any(log_versions(s.path) for s in sources if s.stream == "stderr")
        self._columns = terminal_width()
        self._begun: LogLine | None = None
        """The unfinished line after which the cursor is."""
        self._cut: set[tuple[str, str]] = set()
        """The logs whose unfinished line was cut off by another line, on a pipe."""

    @property
    def in_line(self) -> bool:
        """Whether the cursor is after an unfinished line."""
        return self._begun is not None

    def line(self, line: LogLine) -> None:
        """Print a line."""
        if self._output.json:
            self._output.emit(line._asdict())
            return
        begun, self._begun = self._begun, None
        if begun is not None and self._columns is None:
            if (rest := _rest(line, begun)) is not None:
                self._output.write(f"{rest}\n")
                return
            self._output.write("\n")
            self._cut.add(_log_of(begun))
        elif begun is not None:
            self._output.write(CLEAR_LINE)
        self._cut.discard(_log_of(line))
        self._output.verbatim(line.text, self._head(line))

    def unfinished(self, line: LogLine) -> None:
        """Show as much of a line as is known; `line` gets the whole line later."""
        if self._output.json:
            return
        if self._columns is not None:
            seen = log_text(
                line.text.rstrip("\r").rpartition("\r")[2]
            )  # of a progress bar, the latest
            room = self._columns - 1 - len(self._head(line, styled=False))
            self._output.write(f"{CLEAR_LINE}{shown(self._head(line))}{seen[: max(room, 0)]}")
            self._begun = line
        elif self._begun is None and _log_of(line) not in self._cut:
            self._output.write(f"{shown(self._head(line))}{line.text}")
            self._begun = line
        elif self._begun is not None and (rest := _rest(line, self._begun)) is not None:
            self._output.write(rest)
            self._begun = line

    def _head(self, line: LogLine, *, styled: bool = True) -> str:
        mark = "!" if line.stream == "stderr" else "|"
        only_mark = f"{mark} " if self._marked else ""
        label = self._labels(line.service, mark, styled=styled) if self._named else only_mark
        time = self._output.style(line.time, "dim") if styled else line.time
        return f"{time} {label}"


def _log_of(line: LogLine) -> tuple[str, str]:
    return line.service, line.stream


def _rest(line: LogLine, begun: LogLine) -> str | None:
    """Return what a line adds to one that was begun; None if it is another line."""
    same = _log_of(line) == _log_of(begun) and line.text.startswith(begun.text)
    return line.text[len(begun.text) :] if same else None
