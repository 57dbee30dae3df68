"""Follows the stream of `watch`, and returns what it shows as a status. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyroctl.core.changes import apply
from pyroctl.view.rates import rates

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pyroctl.core.changes import Picture


class WatchedPicture:
    """What a manager has told so far; `receive` each event of the control channel.

    `now` is monotonic seconds here; the manager's may be those of another host.
    """

    def __init__(self) -> None:
        self.missed = 0
        """Deltas that we were too slow for. Then came a new picture, so nothing shown is wrong."""
        self.sequence = 0
        self.sample: Mapping[str, Any] | None = None
        """The newest measurement."""
        self.rates: Mapping[str, Mapping[str, Any]] = {}
        """By service, from the last two measurements; see `view.rates`."""
        self._picture: Picture | None = None
        self._ahead = 0.0

    @property
    def known(self) -> bool:
        """Whether there is a picture."""
        return self._picture is not None

    @property
    def operations(self) -> Sequence[Mapping[str, Any]]:
        """The operations that run or wait."""
        return [] if self._picture is None else self._picture["operations"]

    def receive(self, message: Mapping[str, Any], now: float) -> bool:
        """Follow a message; return whether there is anything new to show.

        Raises ValueError if a delta is missing before it: then watch again.
        """
        kind = message.get("kind")
        if kind == "snapshot":
            self._picture = message["data"]
            self.missed += message["missed"]
        elif kind == "delta" and self._picture is not None:
            if message["seq"] != self.sequence + 1:
                raise ValueError(f"delta {message['seq']} came after {self.sequence}")
            changed = {k: v for k, v in message.items() if k not in {"kind", "seq", "clock"}}
            self._picture = apply(self._picture, changed)
        elif kind == "sample":
            self.rates = rates(self.sample, message["data"])
            self.sample = message["data"]
            return True
        else:
            return False
        self.sequence = message["seq"]
        self._ahead = message["clock"] - now
        return True

    def status(self, now: float) -> dict[str, Any]:
        """Return the data of a status: `manager`, `services` and `enabled`.

        Raises ValueError without a picture.
        """
        if self._picture is None:
            raise ValueError("no picture has arrived")
        measured = {row["name"]: row for row in (self.sample or {}).get("services", ())}
        rows = [
            self._row(self._picture["services"][name], measured.get(name, {}), now)
            for name in self._picture["order"]
        ]
        manager = self._since(self._picture["manager"], now)
        return {"manager": manager, "services": rows, "enabled": self._picture["enabled"]}

    def _row(self, row: Mapping[str, Any], measured: Mapping[str, Any], now: float) -> Any:
        same = measured.get("pid") == row["pid"]
        shown = self._since(row, now)
        shown["cpu_percent"] = self.rates.get(row["name"], {}).get("cpu_percent") if same else None
        for key in ("cpu_seconds", "rss_bytes"):
            shown[key] = measured.get(key) if same else None
        if row["kind"] == "eventservice":
            shown["es"] = measured.get("es") if same else None
        return shown

    def _since(self, row: Mapping[str, Any], now: float) -> dict[str, Any]:
        """Return a row with `uptime_s` instead of `since`."""
        shown = dict(row)
        since = shown.pop("since")
        shown["uptime_s"] = None if since is None else round(now + self._ahead - since, 3)
        return shown
