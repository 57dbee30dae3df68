"""A configuration file as it was written: its text, its TOML, and the places of its keys."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pyroctl.config.source.diagnostics import Origin, dotted
from pyroctl.config.source.text import UnreadableError, read_text
from pyroctl.errors import ConfigError, Diagnostic

if TYPE_CHECKING:
    from pyroctl.config.source.diagnostics import Path, Problem
    from pyroctl.config.source.positions import Place

_TOMLLIB_PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
_HINTS = {
    "Invalid statement": "expected KEY = VALUE, or a [table] header",
    "Invalid value": 'strings need quotes: name = "value"',
    "Expected '='": "expected KEY = VALUE",
    "Expected newline": "one KEY = VALUE per line",
    "Unclosed array": "expected a comma or ]",
    "Unclosed inline table": "expected a comma or }",
    "Unterminated string": "expected the closing quote",
    "Illegal character '\\n'": "expected the closing quote on the same line",
    "Unescaped '\\'": "in 'single quotes' a backslash is literal",
    "Cannot declare": "the table is defined twice: merge the two",
    "Cannot overwrite": "the key is set twice: keep one",
    "Duplicate inline table key": "the key is set twice: keep one",
}


@dataclass(frozen=True)
class Document:
    """One TOML file, read."""

    file: str
    """Its path; empty for what is built in."""
    text: str
    data: dict[str, Any]

    def place(self, path: Path) -> Place:
        """Return the place of a key, or of the innermost table around it that has one."""
        while path and path not in self._positions:
            path = path[:-1]
        return self._positions.get(path, (1, 1))

    def origin(self, path: Path) -> Origin:
        """Return where the value of a key came from; a value that no file sets is a default."""
        return Origin(self.file, *self.place(path)) if self.file else Origin()

    def locate(self, problem: Problem) -> Diagnostic:
        """Return a problem at its place."""
        line, column = self.place(problem.path)
        return Diagnostic(
            problem.message,
            key=dotted(problem.path),
            service=problem.service,
            file=self.file,
            line=line,
            column=column,
            hint=problem.hint,
        )

    @cached_property
    def _positions(self) -> dict[Path, Place]:
        from pyroctl.config.source.positions import find_positions

        try:
            return find_positions(self.text)
        except Exception:  # noqa: BLE001 - better a diagnostic without its line than none
            return {}


def read_document(file: str) -> Document:
    """Read a TOML file. Raises ConfigError if it is unreadable, not UTF-8, or not TOML."""
    try:
        text = read_text(file)
    except UnreadableError as error:
        line, column = error.place or (None, None)
        diagnostic = Diagnostic(str(error), file=file, line=line, column=column, hint=error.hint)
        raise ConfigError([diagnostic]) from error
    return parse_document(file, text)


def parse_document(file: str, text: str) -> Document:
    """Parse the text of a file. Raises ConfigError if it isn't TOML."""
    try:
        return Document(file, text, tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([_syntax_error(str(error), file, text)]) from error
    except RecursionError as error:
        raise ConfigError([Diagnostic("nested too deeply", file=file)]) from error
    except ValueError as error:  # the one that tomllib lets through: int() of thousands of digits
        raise ConfigError([Diagnostic("an integer has too many digits", file=file)]) from error


def _syntax_error(error: str, file: str, text: str) -> Diagnostic:
    reason = _TOMLLIB_PLACE.sub("", error)
    match = _TOMLLIB_PLACE.search(error)
    if match and match[1]:
        line, column = int(match[1]), int(match[2])
    else:
        text = text.replace("\r\n", "\n")
        line, column = text.count("\n") + 1, len(text) - text.rfind("\n")
    hint = next((hint for start, hint in _HINTS.items() if reason.startswith(start)), None)
    message = f"not valid TOML: {reason[:1].lower()}{reason[1:]}"
    return Diagnostic(message, file=file, line=line, column=column, hint=hint)
