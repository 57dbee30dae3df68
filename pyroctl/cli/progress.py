"""The progress of a request: the services that it touches, and on a terminal what is awaited."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from typing import TYPE_CHECKING, Any

from pyroctl.control.client import call
from pyroctl.errors import PyroctlError
from pyroctl.printable import printable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from pyroctl.cli.output import Output
    from pyroctl.control.protocol import Message
    from pyroctl.paths import Paths

SHOWN_FOR = {"start", "restart"}
"""The requests during which a terminal shows what is waited for."""


class Progress:
    """Shows what the manager reports about a request, on stderr."""

    def __init__(self, output: Output, paths: Paths, do: str, services: Sequence[str]) -> None:
        self._output, self._paths, self._named = output, paths, services
        self._began = time.clock_gettime(time.CLOCK_BOOTTIME)
        self._states: dict[str, tuple[str, float]] = {}
        """The state in which each service was seen last, and since when, on the clock above."""
        self._is_live = do in SHOWN_FOR and not output.json and sys.stderr.isatty()
        self._on_screen = ""
        self._up: set[str] = set()
        self.touched = False
        """Some service has changed."""

    def show(self, event: Message) -> None:
        """Show an event; one a second comes while the request is carried out."""
        if event["kind"] == "alive":
            self._show_waiting()
        elif event["kind"] == "progress" and "service" in event:
            if self._concerns(event):
                self.touched = True
                self.clear()
                self._output.progress(self._line(event))
        elif event["kind"] in {"progress", "waiting"}:
            self.clear()
            self._output.progress(event["text"])

    def clear(self) -> None:
        """Remove the live line."""
        if self._on_screen:
            self._write("")

    def _concerns(self, event: Message) -> bool:
        """Return whether the service was named, or its process or state is new."""
        if event["state"] != "running" or not event["pid"] or _is_in(event["service"], self._named):
            return True
        from pyroctl.manager.process.procfs import start_time

        started = start_time(event["pid"])
        ticks = os.sysconf("SC_CLK_TCK")
        known = self._states.get(event["service"])  # it was not ready yet
        return known is not None or started is None or (started + 1) / ticks > self._began

    def _line(self, event: Message) -> str:
        output, running = self._output, event["state"] == "running"
        facts = [f"pid {event['pid']}"] if event["pid"] else []
        facts += [event["uri"]] if event["uri"] and running else []
        facts += [event["reason"]] if event["reason"] and not running else []
        if event["service"] in self._up and running:  # a reload that is taken back, for example
            line = f"{event['service']} running again"
        else:
            line = f"{event['service']} {output.style(event['state'], event['state'], sys.stderr)}"
        self._up.update([event["service"]] if running else [])
        line += f" ({', '.join(facts)})" if facts else ""
        if running:
            page = (event["uri"] or "").startswith("http")
            more = "open: pyroctl web open" if page else f"logs: pyroctl logs -f {event['service']}"
            line += output.suggest(f" · {more}")
        return line

    def _show_waiting(self) -> None:
        if not self._is_live:
            return
        with contextlib.suppress(PyroctlError, OSError):
            data = call(self._paths, "status", {"services": []})["data"]
            self._write(" · ".join(self._waiting(data["services"], data["enabled"])))

    def _waiting(self, rows: Sequence[Mapping[str, Any]], enabled: Sequence[str]) -> Iterator[str]:
        now = time.clock_gettime(time.CLOCK_BOOTTIME)
        for row in rows:
            state, since = self._states.get(row["name"], ("", self._began))
            if state != row["state"] and row["state"] != "running":
                since = now if state else self._began
                self._states[row["name"]] = row["state"], since
        ages = {name: now - since for name, (_, since) in self._states.items()}
        return waiting(rows, self._named or enabled, ages)

    def _write(self, text: str) -> None:
        with contextlib.suppress(OSError):
            self._on_screen = text
            columns = os.get_terminal_size(sys.stderr.fileno()).columns or 80
            sys.stderr.write(f"\r\x1b[K{printable(text)[: columns - 1]}")
            sys.stderr.flush()


def _is_in(service: str, names: Collection[str]) -> bool:
    """Return whether the names contain a service, or all its instances."""
    return service in names or service.partition("@")[0] in names


def waiting(
    rows: Sequence[Mapping[str, Any]], wanted: Collection[str], ages: Mapping[str, float]
) -> Iterator[str]:
    """Return what is not ready yet, of the wanted services and what they need.

    A service whose process does not run yet waits for needs; others are in a state, for `ages`
    seconds.
    """
    from pyroctl.core.plan import closure
    from pyroctl.view.services import why

    by_name = {row["name"]: row for row in rows}
    needs = {name: row["needs"] for name, row in by_name.items()}
    chosen = closure([name for name in by_name if _is_in(name, wanted)], needs)
    for name, row in by_name.items():
        if name not in chosen or row["state"] == "running":
            continue
        missing = [n for n in row["needs"] if n in by_name and by_name[n]["state"] != "running"]
        if row["state"] == "stopped" and missing:
            yield f"{name} waits for {', '.join(missing)}"
        elif row["state"] != "stopped":
            reason = why(row)
            yield f"{name} {row['state']} for {ages[name]:.0f} s{reason and f' ({reason})'}"
