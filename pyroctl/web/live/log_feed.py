"""Follows logs for streams that want them: topics `log:SERVICE` and `log:*`."""

from __future__ import annotations

import asyncio
import contextlib
import heapq
from typing import TYPE_CHECKING, Any

from pyroctl.inotify import IN_CREATE, IN_MODIFY, IN_MOVED_TO, Inotify
from pyroctl.log_reader.files import LogLine
from pyroctl.log_reader.sources import service_names, sources
from pyroctl.log_reader.tail import Tail

if TYPE_CHECKING:
    from pyroctl.paths import Paths
    from pyroctl.web.live.hub import Hub

INTERVAL = 0.2
"""Seconds between two messages."""
MOST_LINES = 200
"""Of one topic in one message; of more, the last are sent and the others counted."""
LONGEST_TEXT = 4000
PREFIX = "log:"


class LogFeed:
    """Reads only while somebody wants it. Lives in the event loop's thread."""

    def __init__(self, paths: Paths, hub: Hub) -> None:
        self._paths = paths
        self._hub = hub
        self._tails: dict[str, list[Tail]] = {}
        self._watch: Inotify | None = None
        self._timer: asyncio.TimerHandle | None = None
        hub.changed.append(self._follow)

    def close(self) -> None:
        """Read no more."""
        for name in list(self._tails):
            self._leave(name)
        self._stop_watching()

    def _follow(self) -> None:
        """Follow the logs that are wanted now."""
        topics = {
            each.removeprefix(PREFIX) for each in self._hub.topics() if each.startswith(PREFIX)
        }
        known = service_names(self._paths)
        wanted = set(known) if "*" in topics else topics.intersection(known)
        for name in self._tails.keys() - wanted:
            self._leave(name)
        for name in wanted - self._tails.keys():
            self._tails[name] = [Tail(source) for source in sources(self._paths, [name])]
        if topics and self._watch is None:
            self._start_watching()
        elif not topics:
            self._stop_watching()

    def _start_watching(self) -> None:
        with contextlib.suppress(OSError):
            self._watch = Inotify()
            self._watch.add(self._paths.logs, IN_MODIFY | IN_MOVED_TO | IN_CREATE)
            asyncio.get_running_loop().add_reader(self._watch.fileno(), self._changed)

    def _stop_watching(self) -> None:
        if self._watch is not None:
            asyncio.get_running_loop().remove_reader(self._watch.fileno())
            self._watch.close()
            self._watch = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _leave(self, name: str) -> None:
        for tail in self._tails.pop(name):
            tail.close()

    def _changed(self) -> None:
        assert self._watch is not None
        self._watch.clear()
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(INTERVAL, self._send)

    def _send(self) -> None:
        self._timer = None
        self._follow()  # another service may have begun a log
        lines = {name: self._read(name) for name in self._tails}
        for name, found in lines.items():
            self._put(f"{PREFIX}{name}", found)
        everything = heapq.merge(*lines.values(), key=LogLine.moment)
        self._put(f"{PREFIX}*", list(everything))

    def _read(self, name: str) -> list[LogLine]:
        return list(heapq.merge(*(tail.read() for tail in self._tails[name]), key=LogLine.moment))

    def _put(self, topic: str, lines: list[LogLine]) -> None:
        if lines:
            shown = [_brief(line) for line in lines[-MOST_LINES:]]
            missed = len(lines) - len(shown)
            self._hub.put("log", {"topic": topic, "lines": shown, "missed": missed}, topic)


def _brief(line: LogLine) -> dict[str, Any]:
    return line._replace(text=line.text[:LONGEST_TEXT])._asdict()
