"""Regular expressions from clients, which must not freeze the name server.

`re` holds the interpreter's lock while it backtracks: `(a+)+$` on one name of 28 letters stops
every client for seconds. The `regex` package takes the same syntax and a timeout; what it can't
bear are large counted repeats, which it unrolls when it compiles.
"""

from __future__ import annotations

import math
import re
import time
from typing import TYPE_CHECKING

from Pyro5.errors import NamingError

if TYPE_CHECKING:
    from collections.abc import Iterable

LONGEST_PATTERN = 512
LARGEST_REPEAT = 1000
"""The product of all counted repeats of a pattern at most."""
PATIENCE = 0.5
"""Seconds for all names together."""

_COUNTED = re.compile(r"\{(?:\d*,)?(\d+),?\}")


def matching(pattern: str, names: Iterable[str]) -> list[str]:
    """Give the names that match from their start, as `re.match`; raises NamingError."""
    import regex  # noqa: PLC0415 - most name servers never see a pattern

    if len(pattern) > LONGEST_PATTERN:
        raise NamingError(f"invalid regex: longer than {LONGEST_PATTERN} characters")
    if math.prod(max(1, int(count)) for count in _COUNTED.findall(pattern)) > LARGEST_REPEAT:
        raise NamingError(f"invalid regex: its repeats multiply to more than {LARGEST_REPEAT}")
    deadline = time.monotonic() + PATIENCE
    try:
        match = regex.compile(pattern).match
        return [
            name for name in names if match(name, timeout=max(0.001, deadline - time.monotonic()))
        ]
    except TimeoutError:
        raise NamingError(f"regex takes longer than {PATIENCE} s; give a simpler one") from None
    except (regex.error, RecursionError) as error:
        raise NamingError(f"invalid regex: {error}") from None
