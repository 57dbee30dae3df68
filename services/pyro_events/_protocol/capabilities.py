"""What helpers and event services can do beyond the version of their protocol. Pure.

A helper lists it in its greeting, under `can`, and the answer has what both can do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

RUNS: Final = "runs"
"""Batches and frames may have runs of events."""
LATE: Final = "late"
"""A subscriber acknowledges small frames together, and may be sent more of them before that."""
LOCAL: Final = "local"
"""A helper may be offered a Unix socket, by its abstract name, as `local` in the answer."""

OURS: Final = (RUNS, LATE, LOCAL)


def capabilities(greeting: Mapping[str, Any]) -> frozenset[str]:
    """Return what we and the other side can do."""
    listed = greeting.get("can")
    listed = listed if isinstance(listed, (list, tuple)) else ()
    return frozenset(each for each in OURS if each in listed)
