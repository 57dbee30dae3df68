"""Events for streams that want them: topics `tap:SERVICE:PATTERN`.

A program of the event service's own receives them while anybody looks, so that nothing of a
message is decoded in this process; see `pyro_events._app.tap`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import sys
from typing import TYPE_CHECKING, Any

from pyroctl.config.subprocess_loader import load_apart
from pyroctl.core.spec import EventServiceOptions
from pyroctl.errors import PyroctlError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pyroctl.web.live.hub import Hub
    from pyroctl.web.live.link import ManagerLink
    from pyroctl.web.settings import Settings

PREFIX = "tap:"
LONGEST_LINE = 16 << 20
WHOLE_TIMEOUT = 5.0
PAUSE = 2.0
"""Seconds until a tap that has ended is started again."""

log = logging.getLogger(__name__)


class TapFeed:
    """Starts a tap for each event service that anybody looks at. For the event loop's thread."""

    def __init__(self, settings: Settings, link: ManagerLink, hub: Hub) -> None:
        self._settings = settings
        self._link = link
        self._hub = hub
        self._taps: dict[str, _Tap] = {}
        hub.changed.append(self._follow)

    async def whole(self, service: str, number: int) -> str | None:
        """Return all of a message that was cut; None if it isn't kept any more."""
        tap = self._taps.get(service)
        return None if tap is None else await tap.whole(number)

    async def close(self) -> None:
        """End all taps."""
        taps, self._taps = self._taps, {}
        await asyncio.gather(*(tap.close() for tap in taps.values()))

    def _follow(self) -> None:
        wanted: dict[str, dict[str, str]] = {}
        for topic in self._hub.topics():
            if topic.startswith(PREFIX):
                service, _, pattern = topic.removeprefix(PREFIX).partition(":")
                wanted.setdefault(service, {})[topic] = pattern or ".*"
        for service in self._taps.keys() - wanted.keys():
            tap = self._taps.pop(service)
            tap.end()
        for service, topics in wanted.items():
            if service not in self._taps:
                self._taps[service] = _Tap(service, self._settings, self._link, self._hub)
            self._taps[service].choose(topics)


class _Tap:
    """One event service, and the program that listens to it."""

    def __init__(self, service: str, settings: Settings, link: ManagerLink, hub: Hub) -> None:
        self._service = service
        self._settings = settings
        self._link = link
        self._hub = hub
        self._topics: Mapping[str, str] = {}
        self._process: asyncio.subprocess.Process | None = None
        self._wholes: dict[int, asyncio.Future[str | None]] = {}
        self._task = asyncio.create_task(self._run())

    def choose(self, topics: Mapping[str, str]) -> None:
        if topics != self._topics:
            self._topics = dict(topics)
            self._write({"topics": self._topics})

    async def whole(self, number: int) -> str | None:
        future = self._wholes.setdefault(number, asyncio.get_running_loop().create_future())
        self._write({"whole": number})
        try:
            async with asyncio.timeout(WHOLE_TIMEOUT):
                return await asyncio.shield(future)
        except TimeoutError:
            return None
        finally:
            self._wholes.pop(number, None)

    def end(self) -> None:
        self._task.cancel()

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    def _write(self, value: object) -> None:
        if self._process is not None and self._process.stdin is not None:
            with contextlib.suppress(OSError, RuntimeError):
                self._process.stdin.write(json.dumps(value).encode() + b"\n")

    async def _run(self) -> None:
        while True:
            try:
                await self._listen()
            except (PyroctlError, OSError, ValueError) as error:
                self._report(str(error))
            await asyncio.sleep(PAUSE)

    async def _listen(self) -> None:
        chosen = [self._service] if self._service else []
        found = await self._link.data("eventservice", {"services": chosen})
        options = await asyncio.to_thread(self._options, found["service"])
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "pyro_events._app.tap", "--es", found["uri"], *options),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=LONGEST_LINE,
        )
        self._process = process
        try:
            self._write({"topics": self._topics})
            assert process.stdout is not None
            while line := await process.stdout.readline():
                self._receive(found["service"], json.loads(line))
        finally:
            self._process = None
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    def _options(self, service: str) -> list[str]:
        """Return how to identify ourselves, from our own configuration."""
        settings = self._settings
        deployment = load_apart(settings.config, os.environ, settings.directory)
        spec = deployment.services.get(service)
        options = spec.options if spec is not None else None
        return list(_files(options)) if isinstance(options, EventServiceOptions) else []

    def _receive(self, service: str, line: Mapping[str, Any]) -> None:
        if "whole" in line:
            future = self._wholes.get(line["whole"])
            if future is not None and not future.done():
                future.set_result(line["text"])
        elif "error" in line:
            self._report(line["error"])
        else:
            for topic in self._topics:
                events = [
                    {**{k: v for k, v in event.items() if k != "topics"}, "service": service}
                    for event in line["events"]
                    if topic in event["topics"]
                ]
                missed = line["missed"].get(topic, 0)
                if events or missed:
                    self._hub.put(
                        "tap", {"topic": topic, "events": events, "missed": missed}, topic
                    )

    def _report(self, error: str) -> None:
        for topic in self._topics:
            message = {"topic": topic, "events": [], "missed": 0, "error": error}
            self._hub.put("tap", message, topic)


def _files(options: EventServiceOptions) -> Iterator[str]:
    if options.ident_file is not None:
        yield f"--ident-file={options.ident_file}"
    if options.tls != "off":
        yield "--tls"
        for name in ("certificate", "key", "ca"):
            file = getattr(options, f"tls_{name}")
            if file is not None:
                yield f"--tls-{name}={file}"
