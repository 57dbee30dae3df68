"""How many values there are in a text of serpent, which is parsed as Python, at great cost."""

from __future__ import annotations

import re
import string
from typing import Final

_WORDS: Final = (string.ascii_letters + string.digits + "_").encode()
_TEXTS: Final = re.compile(
    rb"""'(?:[^'\\]++|\\.)*+(?:'|\\?\Z)|"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)""", re.DOTALL
)
"""String literals; one that doesn't end reaches to the end, so that the search is linear."""


def more_marks(data: bytes, limit: int) -> bool:
    """Return whether there are more marks of punctuation between the values than `limit`.

    What is inside strings costs next to nothing, and isn't counted.
    """
    if len(data) <= limit or _marks(data) <= limit:
        return False
    beginning = data[: 2 * limit]  # which mostly has too many, if there are
    return any(
        _marks(_TEXTS.sub(b"'", part, limit + 1)) > limit  # each string is a mark at least
        for part in (beginning, data)
    )


def _marks(data: bytes) -> int:
    return len(data.translate(None, _WORDS))
