"""Something wrong at a path of the configuration, before it is known where in the file that is."""

from __future__ import annotations

import re
from dataclasses import dataclass

Path = tuple[str | int, ...]
"""Keys and list indices from the top: `("services", "es", "needs", 0)`."""

OPEN = "*"
"""Stands at the end of a path for the keys that people choose themselves, as in `env`."""

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}


@dataclass(frozen=True, slots=True)
class Problem:
    """A fault without its place."""

    path: Path
    message: str
    hint: str | None = None


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
