"""The output of a command: text, or the JSON envelope."""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import shlex
import sys
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO

from pyroctl.cli.commands import COMMANDS
from pyroctl.cli.styles import in_style, shown
from pyroctl.errors import EXIT_INTERRUPTED, EXIT_OK, PyroctlError, system_error
from pyroctl.printable import log_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

ENVELOPE_VERSION = 1
DEFAULT_WIDTH = 100
"""Columns of a terminal of unknown size."""
LEAST_WRAPPED = 30
"""Columns; text is not wrapped to fewer."""
_COMMAND = re.compile(rf"\bpyroctl (?=(?:{'|'.join(COMMANDS)})\b)(?![\w ]+ --help)")
"""The beginning of a command in a text; help is the same for every deployment."""
STYLES = {
    "running": "32",
    "starting": "33",
    "stopping": "33",
    "backoff": "33",
    "failed": "31",
    "stopped": "2",
    "error": "31",
    "head": "1",
    "dim": "2",
}


class Result(NamedTuple):
    """The result of a command; `partial` if it failed but did a part of its work."""

    data: Any = None
    errors: Sequence[Mapping[str, Any]] = ()
    exit_code: int = EXIT_OK
    partial: bool = False


class OutputLost(Exception):
    """Standard output can't be written: its reader has left, or the disk is full.

    Not an OSError, because click would exit on one of a closed pipe.
    """

    def __init__(self, error: OSError) -> None:
        super().__init__(error.strerror)
        self.reader_left = isinstance(error, BrokenPipeError)


class Output:
    """Writes data to stdout; progress, warnings and errors to stderr."""

    def __init__(self) -> None:
        self.json = False
        self.color = "auto"
        self.verbose = 0
        self.command: list[str] = []
        self.deployment: Callable[[], Sequence[str]] = lambda: ()
        """Returns the options that select the deployment, for the commands in hints."""
        self.streamed = False
        """The command has printed its output itself, so no envelope follows."""

    def print(self, line: str) -> None:
        """Print a line of text; with --json nothing, as the envelope contains the data."""
        if not self.json:
            _write(shown(line))

    def verbatim(self, text: str, label: str = "") -> None:
        """Print a line of data as it is, and on a terminal made printable; with --json nothing."""
        if not self.json:
            _write(shown(label) + (log_text(text) if sys.stdout.isatty() else text))

    def write(self, text: str) -> None:
        """Write to stdout at once, exactly this; the caller has made it printable."""
        _write(text, end="")
        _flush()

    def emit(self, value: Mapping[str, Any]) -> None:
        """Print one object of a stream."""
        self.streamed = True
        _write(json.dumps(value))
        _flush()

    def progress(self, line: str) -> None:
        """Report progress on stderr; with --json nothing."""
        if not self.json:
            _report(line)

    def warn(self, line: str) -> None:
        """Print a warning on stderr, with --json too."""
        _report(line)

    def style(self, text: str, name: str, stream: TextIO | None = None) -> str:
        """Return a text in colour if the options and the stream allow it."""
        code = STYLES.get(name)
        if code is None or not self.wants_color(stream or sys.stdout):
            return text
        return in_style(text, code)

    def suggest(self, text: str) -> str:
        """Return a text whose commands have the options that select this deployment."""
        options = shlex.join(self.deployment())
        return _COMMAND.sub(lambda _: f"pyroctl {options} ", text) if options else text

    def report(self, action: Callable[[], Result]) -> int:
        """Run a command, print its envelope or errors, and return the exit code."""
        try:
            result = self._result(action)
            if not self.json:
                self.print_errors(result.errors)
            elif not self.streamed or result.errors:
                _write(json.dumps(self._envelope(result)))
            _flush()
        except OutputLost as error:
            _discard(sys.stdout)
            if error.reader_left:  # it has seen enough (| head)
                return EXIT_OK
            result = _failure(PyroctlError(f"cannot write to standard output: {error}"))
            self.print_errors(result.errors)
        return result.exit_code

    def _result(self, action: Callable[[], Result]) -> Result:
        try:
            return action()
        except PyroctlError as error:
            return _failure(error)
        except OSError as error:
            return _failure(system_error(error))
        except KeyboardInterrupt:
            self.progress("")
            return Result(exit_code=EXIT_INTERRUPTED)

    def print_errors(self, entries: Sequence[Mapping[str, Any]]) -> None:
        """Report errors on stderr, each with its place and hint."""
        for entry in entries:
            self._print_error(entry)

    def _envelope(self, result: Result) -> dict[str, Any]:
        failed = "partial" if result.partial else "error"
        return {
            "pyroctl": ENVELOPE_VERSION,
            "command": self.command,
            "status": "success" if result.exit_code == EXIT_OK else failed,
            "exit_code": result.exit_code,
            "data": result.data,
            "errors": list(result.errors),
        }

    def _print_error(self, entry: Mapping[str, Any]) -> None:
        places = (entry.get("file"), entry.get("line"), entry.get("column"))
        place = ":".join(str(part) for part in places if part is not None)
        head = self.style(place or "pyroctl", "error", sys.stderr)
        lines = [f"{head}: {entry['message']}"]
        lines += [f"    | {line}" for line in entry.get("output") or ()]
        if entry.get("hint"):
            lines.append(f"    hint: {self.suggest(entry['hint'])}")
        for line in lines:
            _report(line)

    def wants_color(self, stream: TextIO) -> bool:
        """Return whether the options and the stream allow colours."""
        if self.color != "auto":
            return self.color == "always"
        if os.environ.get("FORCE_COLOR"):
            return True
        if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
            return False
        return stream.isatty()


def _failure(error: PyroctlError) -> Result:
    return Result(None, error.entries(), error.exit_code)


def _discard(stream: TextIO) -> None:
    """Send what else is written to a standard stream to /dev/null."""
    with contextlib.suppress(OSError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)


def _write(text: str, end: str = "\n") -> None:
    """Print to stdout; raises OutputLost."""
    try:
        print(text, end=end)  # noqa: T201 - this is the one place for it
    except OSError as error:
        raise OutputLost(error) from None


def _flush() -> None:
    try:
        sys.stdout.flush()
    except OSError as error:
        raise OutputLost(error) from None


def _report(line: str) -> None:
    """Print a line to stderr; if nobody can read it, the command continues."""
    try:
        print(shown(line), file=sys.stderr, flush=True)  # noqa: T201 - as above
    except OSError:
        _discard(sys.stderr)


def table(
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    paint: Callable[[int, str], str] = lambda _, cell: cell,
    width: int | None = None,
) -> list[str]:
    """Return the lines of a table.

    More lines of a row's last cell go below the row, from its second column on. `paint` adds colour
    to the cell of a column, without its padding. With a `width`, last cells are wrapped to it; one
    that would be too narrow goes below the row, too.
    """
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head) - 1)]
    last = sum(widths) + 2 * len(widths)
    second = widths[0] + 2
    room, room_below = (math.inf, math.inf) if width is None else (width - last, width - second)

    def lines(cells: Sequence[str]) -> Iterator[str]:
        padded = [
            paint(column, cell) + " " * (space - len(cell))
            for column, (cell, space) in enumerate(zip(cells, widths, strict=False))
        ]
        text, *below = cells[-1].split("\n")
        if room < min(len(text), LEAST_WRAPPED):
            text, below = "", [text, *below]
        first, *rest = _wrapped(text, room)
        yield "  ".join([*padded, first]).rstrip()
        yield from (" " * last + line for line in rest)
        for more in below:
            yield from (" " * second + line for line in _wrapped(more, room_below))

    return [line for row in (head, *rows) for line in lines(row)]


def _wrapped(text: str, width: float) -> list[str]:
    if len(text) <= width:
        return [text]
    import textwrap

    room = max(int(width), LEAST_WRAPPED)
    return textwrap.wrap(text, room, break_long_words=False, break_on_hyphens=False)


def terminal_width() -> int | None:
    """Return how many columns the terminal has; None if standard output is not a terminal."""
    if not sys.stdout.isatty():
        return None
    with contextlib.suppress(OSError):
        return os.get_terminal_size(sys.stdout.fileno()).columns or DEFAULT_WIDTH
    return DEFAULT_WIDTH
