"""Keys and values of the configuration in words: where they are, and what is wrong with them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

Path = tuple[str | int, ...]
"""Keys and list indices from the top: `("services", "es", "needs", 0)`."""

OPEN = "*"
"""Stands at the end of a path for the keys that people choose themselves, as in `env`."""

MASK = "***"
"""Shown in place of a secret value."""

LARGEST = 2**63 - 1
"""The largest integer of TOML."""

_SHOWN = 40
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong with a key; a `Diagnostic` is the same at its place in a file."""

    path: Path
    message: str
    hint: str | None = None

    @property
    def service(self) -> str | None:
        """The service that the key belongs to."""
        return str(self.path[1]) if self.path[:1] == ("services",) and self.path[1:] else None


@dataclass(frozen=True, slots=True)
class Origin:
    """A place in a file, or an environment variable; with neither, the value is a default."""

    file: str | None = None
    line: int | None = None
    column: int | None = None
    variable: str | None = None

    def __str__(self) -> str:
        return self.variable or ("default" if self.file is None else f"{self.file}:{self.line}")

    def entry(self) -> dict[str, object]:
        """Return the origin as JSON has it: `file` and `line`, and `variable` if it is one."""
        found: dict[str, object] = {"file": self.file, "line": self.line}
        return {**found, "variable": self.variable} if self.variable else found


def is_secret(path: Path) -> bool:
    """Return whether the value must not be shown: passwords are passed in the environment."""
    if path[:1] == ("defaults",):
        return "env" in path[1:3]
    return path[:1] == ("services",) and path[2:3] == ("env",)


def dotted(path: Path) -> str:
    """Write a path as TOML does: `services."my.es".needs[0]`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += ("." if text else "") + written_key(part)
    return text


def written_key(key: str) -> str:
    """Write one key, in quotes where TOML wants them."""
    return key if _BARE_KEY.fullmatch(key) else quoted(key)


def quoted(text: str) -> str:
    """Write text as a TOML string on one line."""
    return '"' + "".join(_escaped(character) for character in text) + '"'


def _escaped(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character < " " or character == "\x7f":
        return f"\\u{ord(character):04X}"
    return character


def show(value: Any) -> str:
    """Describe a wrong value to its author."""
    match value:
        case str():
            return f'the string "{value if len(value) <= _SHOWN else value[:_SHOWN] + "…"}"'
        case bool() | int() | float():
            return show_number(value)
        case list():
            return "a list"
        case dict():
            return "a table"
    return "a date or time"


def show_number(value: float) -> str:
    """Write a number, even one that Python refuses to print."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:g}"
    if abs(value) <= LARGEST:
        return str(value)
    return f"about {'-' * (value < 0)}2**{value.bit_length()}"
