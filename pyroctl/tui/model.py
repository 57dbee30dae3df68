"""What the screens show: what the manager has told, and whether it still does. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyroctl.view.notes import is_note
from pyroctl.view.picture import WatchedPicture
from pyroctl.view.recent import Recent

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pyroctl.log_reader.files import LogLine

    Row = Mapping[str, Any]

EMPTY: Mapping[str, Any] = {"manager": None, "services": [], "enabled": []}
CONNECTING, LIVE, LOST = "connecting", "live", "lost"


class Model:
    """Follows the manager's messages. `now` is monotonic seconds, `clock` a time of day as text."""

    def __init__(self) -> None:
        self.condition = CONNECTING
        self.reason = ""
        """Why there is no connection with the manager."""
        self.heard_at = ""
        """The time of day at which the manager told something last."""
        self.recent = Recent()
        self.last_lines: dict[str, str] = {}
        """The last line of each service's output."""
        self.paused = False
        self.manager_name: str | None = None
        self._picture: WatchedPicture | None = None
        self._next: WatchedPicture | None = None
        self._offline: Mapping[str, Any] | None = None

    def connect(self) -> None:
        """Begin to follow a new stream; what is known stays until it tells something."""
        self._next = WatchedPicture()
        if self._picture is not None:
            self._next.sample = self._picture.sample

    def receive(self, message: Mapping[str, Any], now: float, clock: str) -> bool:
        """Follow a message; return whether there is something new to show.

        Raises ValueError if one is missing before it.
        """
        came_back = self.condition != LIVE
        self.condition, self.reason, self.heard_at = LIVE, "", clock
        picture = self._next
        if picture is None or not picture.receive(message, now):
            return came_back
        self._picture, self._offline = picture, None
        if message["kind"] == "sample":
            sample = message["data"]
            self.manager_name = sample["manager"]["deployment"]
            if not self.paused:
                self.recent.add(sample, picture.rates)
        return True

    def logged(self, lines: Iterable[LogLine], *, newer: bool = True) -> None:
        """Remember the last line of each service's own output; not the manager's notes."""
        found = {line.service: line.text for line in lines if not is_note(line.text)}
        self.last_lines = self.last_lines | found if newer else found | self.last_lines

    def lose(self, reason: str) -> None:
        """Note that the manager can't be reached."""
        self.condition, self.reason = LOST, reason

    def offline(self, data: Mapping[str, Any]) -> None:
        """Show what is known of services without a manager."""
        if self.condition == LOST:
            self._offline = data

    def data(self, now: float) -> Mapping[str, Any]:
        """Return what a status has: `manager` (None if nothing is known), `services`, `enabled`."""
        if self._offline is not None:
            return self._offline
        if self._picture is None or not self._picture.known:
            return EMPTY
        return self._picture.status(now)

    @property
    def is_offline(self) -> bool:
        """Whether it shows what is known of services without a manager."""
        return self._offline is not None

    @property
    def operations(self) -> Sequence[Row]:
        """The operations that run or wait."""
        live = self._picture is not None and self.condition == LIVE
        return self._picture.operations if live and self._picture is not None else []

    @property
    def sample(self) -> Mapping[str, Any] | None:
        """The newest measurement."""
        return None if self._picture is None else self._picture.sample
