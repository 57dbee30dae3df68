"""Matches lines by a user's regular expression, which may be a bad one. Pure but for its clock."""

from __future__ import annotations

from typing import Any

from pyroctl.errors import UsageError

TIMEOUT = 0.02
"""Seconds that one line may take; a pattern that needs longer would freeze the screen."""
MOST_FAILURES = 3


class Matcher:
    """A regular expression, without distinction of case unless it has a capital letter."""

    def __init__(self, pattern: str) -> None:
        """Raise UsageError if the pattern is not a regular expression."""
        self.pattern = pattern
        self.too_slow = 0
        """Lines for which the pattern took too long; they count as not matching."""
        self._regex: Any = None
        if not pattern:
            return
        import regex

        flags = 0 if any(map(str.isupper, pattern)) else regex.IGNORECASE
        try:
            self._regex = regex.compile(pattern, flags)
        except (regex.error, RecursionError, OverflowError) as error:
            raise UsageError(f"{pattern!r} is not a regular expression: {error}") from None

    def matches(self, text: str) -> bool:
        """Return whether a text contains a match; an empty pattern matches everything."""
        if not self.pattern:
            return True
        if self.too_slow >= MOST_FAILURES:
            return False
        try:
            return self._regex.search(text, timeout=TIMEOUT, concurrent=True) is not None
        except TimeoutError:
            self.too_slow += 1
            return False
