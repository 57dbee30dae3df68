"""Taps events: a child prints them as JSON lines, and of a flood only a part is shown."""

from __future__ import annotations

import asyncio
import contextlib
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pyroctl.printable import brief, printable
from pyroctl.tui.deployment import end, spawn
from pyroctl.view.lines import Line, Part, plain

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import Callable, Sequence

    from pyroctl.tui.deployment import Deployment

PAUSE = 0.1
"""Seconds between two reads: a flood waits in the event service, which drops the oldest."""
CHUNK = 1 << 16
MOST_SHOWN = 5
"""Events of one read: 50 a second. The others are counted."""
LONGEST = 2000
"""Characters of a message that are shown."""
MOST_UNFINISHED = 1 << 24
"""Bytes of one event, from which on it is not shown."""


class Tap:
    """Shows events as lines: `show` gets them, and how many more there were."""

    def __init__(self, deployment: Deployment, show: Callable[[Sequence[Line], int], None]) -> None:
        self._deployment = deployment
        self._show = show

    async def listen(self, service: str | None, patterns: Sequence[str]) -> None:
        """Show events until it is cancelled, or the child ends, which is shown, too."""
        words = [word for pattern in patterns for word in ("--match", pattern)]
        words += ["--service", service] if service else []
        process = await spawn(self._deployment.command("es", "listen", "--json", *words))
        told = asyncio.create_task(self._pass_on_warnings(process))
        try:
            await self._read(process)
            await told
            self._show([plain(f"the tap has ended: exit status {await process.wait()}", "note")], 0)
        finally:
            told.cancel()
            await end(process)

    async def _read(self, process: Process) -> None:
        assert process.stdout is not None
        unfinished = b""
        while data := await process.stdout.read(CHUNK):
            *lines, unfinished = (unfinished + data).split(b"\n")
            if len(unfinished) > MOST_UNFINISHED:
                unfinished = b""
            shown = lines[-MOST_SHOWN:]
            found = [line for raw in shown if (line := event_line(raw)) is not None]
            if lines:
                self._show(found, len(lines) - len(found))
            await asyncio.sleep(PAUSE)

    async def _pass_on_warnings(self, process: Process) -> None:
        """Show what the child says about events that it has missed, or why it ends."""
        assert process.stderr is not None
        with contextlib.suppress(ValueError):  # of a line without end
            async for raw in process.stderr:
                text = brief(raw.decode(errors="replace"), LONGEST)
                if text:
                    self._show([plain(text, "note")], 0)


def event_line(raw: bytes) -> Line | None:
    """Return an event as a line; None if it is none."""
    try:
        event: dict[str, Any] = json.loads(raw)
        when = datetime.fromtimestamp(event["time"], UTC).astimezone()
        subject, message = str(event["subject"]), event["msg"]
    except (ValueError, KeyError, TypeError, OverflowError, OSError, RecursionError):
        return None
    text = message if isinstance(message, str) else json.dumps(message, ensure_ascii=False)
    parts = (
        Part(f"{when:%H:%M:%S}.{when.microsecond // 1000:03} ", "time"),
        Part(f"{printable(subject)} ", "note"),
        Part(brief(text, LONGEST)),
    )
    return Line("", parts)
