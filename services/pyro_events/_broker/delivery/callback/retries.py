"""How often, and how long, a callback subscriber that can't be reached is tried again. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyro_events._broker.settings import Settings

Values = tuple[float | None, int, float | None]
_MOST = 20


class Retries:
    """Delays that double, up to `retry_max_delay`, for `retry_for` seconds in all.

    A connection that lasts for `retry_max_delay` ends the trouble, as an answer does.
    """

    __slots__ = ("_attempts", "_broken_since", "_clock", "_healthy_at", "_settings")

    def __init__(self, clock: Callable[[], float], settings: Settings) -> None:
        self._clock = clock
        self._settings = settings
        self._broken_since: float | None = None
        self._attempts = 0
        self._healthy_at: float | None = None

    @property
    def broken(self) -> bool:
        """Whether there is trouble."""
        return self._broken_since is not None

    @property
    def first(self) -> bool:
        """Whether the last failure was the first one of this trouble."""
        return self._attempts == 1

    def connected(self) -> None:
        """Learn that there is a connection."""
        self._healthy_at = self._clock() + self._settings.retry_max_delay

    def answered(self) -> None:
        """Learn that the subscriber does its work."""
        self._broken_since = None

    def failed(self) -> float | None:
        """Learn of a failure; gives the seconds to wait, or None when it is too late."""
        now, settings = self._clock(), self._settings
        if self._healthy_at is not None and now >= self._healthy_at:
            self._broken_since = None
        self._healthy_at = None
        if self._broken_since is None:
            self._broken_since, self._attempts = now, 0
        left = self._broken_since + settings.retry_for - now
        if left <= 0:
            return None
        delay = float(min(settings.retry_delay * 2**self._attempts, settings.retry_max_delay, left))
        self._attempts = min(self._attempts + 1, _MOST)
        return delay

    def hand_over(self) -> Values:
        """Say everything."""
        return self._broken_since, self._attempts, self._healthy_at

    def take_over(self, values: Values) -> None:
        """Go on from what another process has handed over."""
        self._broken_since, self._attempts, self._healthy_at = values
