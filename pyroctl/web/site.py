"""Everything that the functions of the API share: one page of one deployment."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import platform
import secrets
import time
from typing import TYPE_CHECKING, Any

from pyroctl.private_file import write_private
from pyroctl.web.live.hub import Hub
from pyroctl.web.live.link import ManagerLink
from pyroctl.web.live.news import News
from pyroctl.web.live.watching import ManagerWatch
from pyroctl.web.security.policy import Policy
from pyroctl.web.security.refusals import Refusals
from pyroctl.web.security.sessions import Sessions

if TYPE_CHECKING:
    from pyroctl.web.settings import Settings


class Site:
    """Lives in the event loop's thread."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.folder = settings.paths.page(settings.service)
        os.makedirs(self.folder, mode=0o700, exist_ok=True)
        self.token = _read_token(settings.paths.page_token(settings.service))
        self.sessions = Sessions(self.token, _read_json(self._sessions_file))
        self.policy = Policy.of(settings.options, _cookie_name(settings))
        self.refusals = Refusals()
        self.is_encrypted = settings.options.tls is not None or (
            settings.options.public_url or ""
        ).startswith("https:")
        self.host = platform.node()
        self.link = ManagerLink(settings.control)
        self.watch = ManagerWatch(self.link)
        self.news = News(self.watch, self.status)
        self.hub = Hub(self.news.greet)
        self.news.follow(self.hub)
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to follow the manager."""
        self._tasks.append(asyncio.create_task(self.watch.run()))

    async def close(self) -> None:
        """End everything that was begun."""
        self.hub.close()
        self.news.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def status(self, role: str) -> dict[str, Any]:
        """Return the data of `GET api/v1/status` for somebody with that role."""
        return {
            **self.watch.status(),
            "deployment": self.settings.deployment,
            "host": self.host,
            "role": role,
            "clock": time.time(),
            "operations": list(self.watch.picture.operations),
            "alive": self.watch.alive,
            "error": self.watch.error,
        }

    def keep_sessions(self) -> None:
        """Write what the next process needs, so that browsers stay signed in."""
        text = json.dumps(self.sessions.kept())
        write_private(self._sessions_file, text.encode(), replace=True)

    @property
    def _sessions_file(self) -> str:
        return os.path.join(self.folder, "sessions.json")


def _read_token(path: str) -> str:
    """Return the token; make one if there is none."""
    try:
        with open(path, encoding="ascii") as file:
            token = file.read().strip()
    except FileNotFoundError:
        token = ""
    if not token:
        token = secrets.token_hex(32)
        write_private(path, f"{token}\n".encode(), replace=True)
    return token


def _read_json(path: str) -> Any:
    try:
        with open(path, encoding="ascii") as file:
            return json.load(file)
    except (OSError, ValueError):
        return {}


def _cookie_name(settings: Settings) -> str:
    identity = os.fsencode(settings.paths.page(settings.service))
    return f"pyroctl_{hashlib.sha256(identity).hexdigest()[:8]}"
