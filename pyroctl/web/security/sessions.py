"""Who is signed in. Pure: the clock and the random values are arguments.

Only hashes are kept, so what is stored lets nobody in.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING

from pyroctl.core.page_codes import check_code

if TYPE_CHECKING:
    from collections.abc import Mapping

SESSION_SECONDS = 12 * 3600.0
MOST_SESSIONS = 100
"""Then the oldest ends."""


class Sessions:
    """The sessions of browsers, and the token of scripts. Times are seconds since the epoch."""

    def __init__(self, token: str, kept: Mapping[str, float] | None = None) -> None:
        self._token = token
        self._ends: dict[str, float] = dict(kept or {})
        """When each session ends, and until when each code counts as used, by its hash."""

    def is_token(self, text: str) -> bool:
        """Return whether it is the token."""
        return hmac.compare_digest(_hashed(text), _hashed(self._token))

    def redeem(self, code: str, now: float) -> bool:
        """Return whether a one-time code is good, and accept it no more."""
        until = check_code(self._token, code, now)
        if until is None or _hashed(code) in self._ends:
            return False
        self._ends[_hashed(code)] = until
        return True

    def open(self, secret: str, now: float) -> None:
        """Begin a session, whose cookie has that secret."""
        self._ends = {each: end for each, end in self._ends.items() if end >= now}
        while len(self._ends) >= MOST_SESSIONS:
            del self._ends[min(self._ends, key=self._ends.__getitem__)]
        self._ends[_hashed(secret)] = now + SESSION_SECONDS

    def close(self, secret: str) -> None:
        """End a session."""
        self._ends.pop(_hashed(secret), None)

    def is_open(self, secret: str, now: float) -> bool:
        """Return whether a cookie's secret belongs to a session."""
        return self._ends.get(_hashed(secret), 0.0) > now and "-" not in secret

    def kept(self) -> dict[str, float]:
        """Return what the next process has to know."""
        return dict(self._ends)


def _hashed(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
