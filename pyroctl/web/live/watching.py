"""Follows the manager: what there is to see now, and whether the manager is there."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Any

from pyroctl.errors import PyroctlError
from pyroctl.view.picture import WatchedPicture

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyroctl.web.live.link import ManagerLink

WATCHED, UNWATCHED = 1.0, 15.0
"""Seconds between measurements, while a browser looks and while none does."""
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0
"""Seconds between attempts to reach a manager."""


class ManagerWatch:
    """Keeps a picture of the deployment. Lives in the event loop's thread.

    `news` are called with what is new: "picture", "sample" or "manager".
    """

    def __init__(self, link: ManagerLink) -> None:
        self._link = link
        self.picture = WatchedPicture()
        self.alive = False
        self.error = "no manager has answered yet"
        """Why it isn't alive."""
        self.news: list[Callable[[str], None]] = []
        self._interval = UNWATCHED
        self._again = asyncio.Event()

    def look(self, *, closely: bool) -> None:
        """Measure each second, or seldom."""
        interval = WATCHED if closely else UNWATCHED
        if interval != self._interval:
            self._interval = interval
            self._again.set()

    def status(self) -> dict[str, Any]:
        """Return the data of a status; without a manager, what was last known."""
        if not self.picture.known:
            return {"manager": {"pid": None}, "services": [], "enabled": []}
        found = self.picture.status(time.monotonic())
        if not self.alive:
            found["manager"] = {**found["manager"], "pid": None}
        return found

    async def run(self) -> None:
        """Watch until cancelled."""
        pause = FIRST_PAUSE
        while True:
            self._again.clear()
            watching = asyncio.create_task(self._watch())
            again = asyncio.create_task(self._again.wait())
            try:
                await asyncio.wait({watching, again}, return_when=asyncio.FIRST_COMPLETED)
                ended = watching.result() if watching.done() else None
            finally:
                again.cancel()
                watching.cancel()
            if ended is not None:
                pause = FIRST_PAUSE if self.alive else min(2 * pause, LONGEST_PAUSE)
                self._lost(ended)
                await asyncio.sleep(pause)

    async def _watch(self) -> str:
        """Watch until that ends; return why."""
        try:
            async with contextlib.aclosing(
                self._link.listen("watch", {"interval": self._interval})
            ) as messages:
                async for message in messages:
                    if "reply" in message:
                        return _reason(message["reply"])
                    self._receive(message["event"])
        except (PyroctlError, ValueError) as error:
            return str(error)
        return "the manager has ended"

    def _receive(self, event: dict[str, Any]) -> None:
        if not self.picture.receive(event, time.monotonic()):
            return
        if not self.alive:
            self.alive, self.error = True, ""
            self._tell("manager")
        self._tell("sample" if event["kind"] == "sample" else "picture")

    def _lost(self, error: str) -> None:
        if self.alive or error != self.error:
            self.alive, self.error = False, error
            self._tell("manager")

    def _tell(self, kind: str) -> None:
        for tell in self.news:
            tell(kind)


def _reason(reply: dict[str, Any]) -> str:
    errors = reply["errors"]
    return str(errors[0]["message"]) if errors else "the manager has ended"
