"""`{name}`, `{instance}` and `{SERVICE.host}` in a text.

Every other brace is an ordinary character, because commands are full of them: only these words
directly in braces, without spaces, mean something. `{{name}}` is the text `{name}`, and a brace
after a dollar sign is the shell's.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

OWN = ("name", "instance")
"""What a service says of itself."""
FACTS = ("host", "port", "uri")
"""What a service may say of one that it needs."""
_WORD = r"[A-Za-z0-9][A-Za-z0-9._@-]*"
_BRACES = re.compile(rf"(?<!\$)\{{(?:\{{({_WORD})\}}\}}?|({_WORD})\}})", re.ASCII)


def is_placeholder(word: str) -> bool:
    """Return whether a word in braces means something."""
    service, dot, fact = word.rpartition(".")
    return word in OWN or bool(service and dot and fact in FACTS)


def words(text: str) -> Iterator[str]:
    """Return the words in single braces, whether they mean something or not."""
    return (match[2] for match in _BRACES.finditer(text) if match[2])


def fill(text: str, values: Mapping[str, str]) -> str:
    """Replace the placeholders that have a value, and remove the second braces of others."""

    def value(match: re.Match[str]) -> str:
        if match[2]:
            return values.get(match[2], match[0])
        return f"{{{match[1]}}}" if is_placeholder(match[1]) else match[0]

    return _BRACES.sub(value, text)
