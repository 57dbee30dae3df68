"""Everything that the functions of the API share: one page of one deployment."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import os
import platform
import secrets
import time
from typing import TYPE_CHECKING, Any

from pyroctl.errors import describe
from pyroctl.printable import printable
from pyroctl.private_file import write_private
from pyroctl.web.api.logs import MOST_SEARCHES
from pyroctl.web.history.file import HistoryFile
from pyroctl.web.history.journal import Journal
from pyroctl.web.live.hub import Hub
from pyroctl.web.live.last_lines import LastLines
from pyroctl.web.live.link import ManagerLink
from pyroctl.web.live.log_feed import LogFeed
from pyroctl.web.live.news import News
from pyroctl.web.live.operations import Operations
from pyroctl.web.live.samples import Samples
from pyroctl.web.live.tap import TapFeed
from pyroctl.web.live.timeline import Timeline
from pyroctl.web.live.watching import ManagerWatch
from pyroctl.web.security.policy import Policy
from pyroctl.web.security.refusals import Refusals
from pyroctl.web.security.sessions import Sessions
from pyroctl.web.traffic import Traffic
from pyroctl.web.versions import Versions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pyroctl.web.security.policy import Principal
    from pyroctl.web.settings import Settings

MOST_WORKERS = 2
"""Processes that read the configuration at one time."""

log = logging.getLogger(__name__)


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
        self.traffic = Traffic()
        self.openapi: str | None = None
        """The description of the API, once somebody has asked for it."""
        self.is_encrypted = settings.options.tls is not None or (
            settings.options.public_url or ""
        ).startswith("https:")
        self.host = platform.node()
        self.link = ManagerLink(settings.control)
        self.watch = ManagerWatch(self.link)
        self.history = _open_history(settings)
        self.news = News(self.watch, self.status)
        self.hub = Hub(self.news.greet)
        self.news.follow(self.hub)
        self.samples = Samples(self.watch, self.hub, self.history)
        journal = Journal(os.path.join(self.folder, "timeline.jsonl"))
        self.timeline = Timeline(self.watch, self.hub, journal, settings.paths)
        self.taps = TapFeed(settings, self.link, self.hub)
        self.looks: dict[str, tuple[dict[str, Any], float]] = {}
        """The last inventory of each event service, and when it was taken."""
        self.last_lines = LastLines(settings.paths)
        self.log_feed = LogFeed(settings.paths, self.hub)
        self.versions = Versions(os.path.join(self.folder, "versions"))
        self.examining = asyncio.Lock()
        self.workers = asyncio.Semaphore(MOST_WORKERS)
        self.searches = asyncio.Semaphore(MOST_SEARCHES)
        self.operations = Operations(self.link, self._operated)
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, failed: Callable[[], None]) -> None:
        """Begin to follow the manager; `failed` is called if a bug ends that."""

        def ended(task: asyncio.Task[None]) -> None:
            if not task.cancelled():
                log.error("the page follows the manager no more", exc_info=task.exception())
                failed()

        task = asyncio.create_task(self.watch.run())
        task.add_done_callback(ended)
        self._tasks.append(task)

    async def close(self) -> None:
        """End everything that was begun."""
        self.hub.close()
        self.log_feed.close()
        self.news.close()
        await self.operations.close()
        await self.taps.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self.history is not None:
            self.history.close()

    def status(self, role: str) -> dict[str, Any]:
        """Return the data of `GET api/v1/status` for somebody with that role."""
        found = self.watch.status()
        for row in found["services"]:
            row["last_line"] = self.last_lines.of(row["name"])
        return {
            **found,
            "deployment": self.settings.deployment,
            "host": self.host,
            "role": role,
            "clock": time.time(),
            "operations": list(self.watch.picture.operations),
            "alive": self.watch.alive,
            "error": self.watch.error,
        }

    def samples_of_page(self) -> Iterator[tuple[str, tuple[str, ...], Any]]:
        """Yield the page's own numbers, for Prometheus."""
        yield "pyroctl_web_streams", (), self.hub.connected
        for reason, count in self.refusals.counts.items():
            yield "pyroctl_web_rejected_requests_total", (reason,), count
        yield from self.traffic.samples()

    def _operated(self, operation: dict[str, Any], principal: Principal) -> None:
        self.hub.put("operation", operation)
        if not operation["messages"] or operation["state"] != "running":
            what = " ".join((operation["do"], *operation["services"]))
            service = operation["services"][0] if operation["services"] else None
            self.audit(principal, what, service, operation["state"])

    def audit(
        self, principal: Principal, text: str, service: str | None = None, outcome: str = "done"
    ) -> None:
        """Write down, and log, who has done what."""
        who = f"{principal.name} ({principal.role}, {principal.peer})"
        log.info("%s: %s: %s", who, printable(text), outcome)
        self.timeline.act(principal, text, service, outcome)

    def malformed(self, what: str, peer: str) -> None:
        """Count a request that can't be read."""
        self.refusals.add("malformed", what, peer, time.monotonic())

    def keep_sessions(self) -> None:
        """Write what the next process needs, so that browsers stay signed in."""
        text = json.dumps(self.sessions.kept())
        write_private(self._sessions_file, text.encode(), replace=True)

    @property
    def _sessions_file(self) -> str:
        return os.path.join(self.folder, "sessions.json")


def _open_history(settings: Settings) -> HistoryFile | None:
    if settings.options.history == "off":
        return None
    try:
        return HistoryFile(settings.paths.history(settings.service))
    except OSError as error:
        log.warning("no history is kept: %s", describe(error))
        return None


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
