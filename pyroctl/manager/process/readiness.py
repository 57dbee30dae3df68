"""Detects when a service is ready, in the way its specification requests."""

from __future__ import annotations

import asyncio
import os
import re
from typing import TYPE_CHECKING

from pyroctl.core.line_search import LineSearch
from pyroctl.core.spec import CommandReady, DelayReady, LogReady, NameReady, NotifyReady, PortReady
from pyroctl.manager.process import listeners
from pyroctl.manager.process.probe_command import CommandProbe
from pyroctl.manager.process.probe_name import NameProbe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pyroctl.core.spec import Readiness
    from pyroctl.kinds import LaunchContext
    from pyroctl.manager.process.probe_command import HelperRunner

FIRST_PAUSE, LONGEST_PAUSE = 0.02, 0.5
"""Seconds between attempts to connect to a port: there is no notification when one opens."""
LONGEST_LINE = 200
"""Characters of a line of output that an explanation shows."""
URI = re.compile(r"PYRO:[^\s@]+@(?:\./u:[^\s'\"<>]+|\[[\da-fA-F:.]+\]:\d+|[\w.-]+:\d+)")


class ReadinessWatch:
    """Calls `on_ready` once, when a process of a service is ready, with its URI if that is shown.

    The owner calls `on_lines` and `on_notify` with what the process writes and reports, and
    `cancel` when it has ended. `age` is how many seconds the process has been running.
    """

    def __init__(
        self,
        readiness: Readiness,
        on_ready: Callable[[str | None], None],
        context: LaunchContext,
        helpers: HelperRunner,
        age: float = 0.0,
    ) -> None:
        self._on_ready = on_ready
        self._done = False
        self._readiness = readiness
        self._cancel: Callable[[], object] = lambda: None
        self._found: Callable[[], str] = lambda: ""
        """Returns what was found so far instead of readiness."""
        self._last_error = ""
        self._search: LineSearch | None = None
        loop = asyncio.get_running_loop()
        match readiness:
            case DelayReady(delay):
                self._cancel = loop.call_later(max(0, delay - age), self._ready).cancel
                self._found = lambda: f"ready.delay is {delay:g} s"
            case PortReady(port, host):
                self._cancel = loop.create_task(self._await_port(host, port)).cancel
                self._found = lambda: f"no connection to port {port} on {host}{self._last_error}"
            case NameReady():
                name = NameProbe(readiness, self._ready, context)
                self._cancel, self._found = name.cancel, lambda: name.found
            case CommandReady(command, every):
                probe = CommandProbe(helpers, command, every, self._ready)
                self._cancel, self._found = probe.cancel, probe.describe
            case LogReady(log):
                search = self._search = LineSearch(log)
                self._found = lambda: f"no line matched '{log}'; {_shown(search.line)}"
            case NotifyReady():
                self._found = lambda: "it never sent READY=1"

    @property
    def awaited(self) -> str | None:
        """The pattern of the line of output that it waits for, if it does."""
        return self._readiness.log if isinstance(self._readiness, LogReady) else None

    def found(self, members: Iterable[int]) -> str:
        """Return what was found so far instead of readiness, for people.

        `members` are the processes of the service's session.
        """
        found = self._found()
        if isinstance(self._readiness, PortReady):
            places = sorted(map(_written, listeners.places_of({0: members})))
            found += f"; it listens at {', '.join(places) or 'no port'}"
        return found

    def on_notify(self, fields: Mapping[str, str]) -> None:
        """Handle a notification."""
        if isinstance(self._readiness, NotifyReady) and fields.get("READY") == "1":
            self._ready()

    def on_lines(self, lines: bytes) -> None:
        """Handle lines of its output, each with its newline."""
        if self._search is not None and not self._done:
            self._search.feed(lines)
            if self._search.match is not None:
                self._ready(_uri_in(self._search.match))

    def cancel(self) -> None:
        """Stop watching."""
        self._cancel()
        self._done = True
        self._on_ready = lambda _: None

    def _ready(self, uri: str | None = None) -> None:
        on_ready = self._on_ready
        self.cancel()
        on_ready(uri)

    async def _await_port(self, host: str, port: int) -> None:
        pause = FIRST_PAUSE
        while True:
            try:
                _, writer = await asyncio.open_connection(host, port)
                writer.close()
                break
            except OSError as error:
                self._last_error = f" ({os.strerror(error.errno) if error.errno else error})"
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
        on_ready, self._cancel = self._on_ready, lambda: None  # not this task itself
        on_ready(None)


def _uri_in(match: re.Match[str]) -> str | None:
    """Return the URI that a matching line shows: a group, or without groups what looks like one."""
    groups = match.groups() or URI.findall(match.string)
    return next((text for text in groups if text and URI.fullmatch(text)), None)


def _shown(line: str) -> str:
    if not line:
        return "it has printed nothing"
    return f"its last line: {line if len(line) <= LONGEST_LINE else line[:LONGEST_LINE] + '...'}"


def _written(place: listeners.Place) -> str:
    return place if isinstance(place, str) else f"port {place[1]} on {place[0]}"
