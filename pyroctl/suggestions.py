"""Suggestions for misspelt names."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


def nearest_name(name: str, known: Iterable[str], likeness: float = 0.52) -> str | None:
    """Return the known name that was probably meant, or None if none has that likeness (0 to 1)."""
    import difflib

    matches = difflib.get_close_matches(name, list(known), n=1, cutoff=likeness)
    return matches[0] if matches else None
