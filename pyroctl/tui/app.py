"""The terminal UI: follows the manager, and shows one of seven screens."""

from __future__ import annotations

import asyncio
import contextlib
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from textual.app import App, SystemCommand
from textual.binding import Binding, BindingsMap
from textual.containers import Container
from textual.widgets import Static

from pyroctl.control.async_client import ask
from pyroctl.errors import ManagerNotRunning, PyroctlError, UsageError
from pyroctl.log_reader.files import last_lines, logged_services, sources_of
from pyroctl.tui import bars
from pyroctl.tui.deployment import envelope
from pyroctl.tui.dialogs import Lines, Prompt
from pyroctl.tui.following import LogFollower
from pyroctl.tui.handlers import handlers
from pyroctl.tui.keys import SCREENS
from pyroctl.tui.line_list import LineList
from pyroctl.tui.model import LOST, Model
from pyroctl.tui.plain import Ascii
from pyroctl.tui.styles import text_of
from pyroctl.view.lines import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence

    from textual.app import ComposeResult
    from textual.filter import LineFilter
    from textual.screen import Screen
    from textual.worker import Worker

    from pyroctl.log_reader.files import LogLine
    from pyroctl.tui.deployment import Deployment
    from pyroctl.tui.keys import Action
    from pyroctl.tui.panes.pane import Pane

INTERVAL = 1.0
"""Seconds between measurements while something on screen needs them, and between attempts to reach
a manager that can't be reached."""
LOOKED_AT = 20
"""Lines at the end of a log in which the last one of the service itself is looked for."""
FRAME = 0.05
"""Seconds for which changes are collected before they are drawn."""


class Top(App[None]):
    """`pyroctl top`. `view_only` forbids actions that change something."""

    CSS_PATH = "top.tcss"
    TITLE = "pyroctl top"

    def __init__(
        self,
        deployment: Deployment,
        actions: Sequence[Action],
        *,
        view_only: bool = False,
        ascii_only: bool = False,
    ) -> None:
        super().__init__(ansi_color=True)
        self.theme = "ansi-dark"
        self.animation_level = "none"
        self.deployment = deployment
        self.actions = actions
        self.view_only = view_only
        self._ascii = [Ascii()] if ascii_only else []
        self.model = Model()
        self.data: Mapping[str, Any] = self.model.data(0.0)
        self.follower: LogFollower | None = None
        self.pane: Pane
        self._panes: dict[str, Pane] = {}
        self._visited: list[str] = []
        self._handlers = handlers(self)
        self._watching: Worker[None] | None = None
        self._measuring = False
        self._due: asyncio.TimerHandle | None = None
        self._statics = {name: Static(id=name, classes="line") for name in ("top", "tabs", "keys")}
        self._statics["banner"] = Static(id="banner")
        self._body = Container(id="body")
        self._drawn: dict[str, str] = {}
        self._bindings = BindingsMap(
            [
                Binding(",".join(action.keys), f"do('{action.name}')", action.title)
                for action in actions
                if action.keys
            ]
        )

    def get_line_filters(self) -> Sequence[LineFilter]:
        """Return what changes each line before it is drawn."""
        return [*super().get_line_filters(), *self._ascii]

    def compose(self) -> ComposeResult:
        """Return the widgets."""
        yield self._statics["top"]
        yield self._statics["tabs"]
        yield self._statics["banner"]
        yield self._body
        yield self._statics["keys"]

    def on_mount(self) -> None:
        """Show the first screen; all else comes after its first frame."""
        self.screen_of("overview")
        self.call_after_refresh(self._begin)

    def _begin(self) -> None:
        self._watch_again()
        try:
            self.follower = LogFollower(self.deployment.paths, self._logged)
        except OSError as error:
            self.say(f"logs can't be followed: {error.strerror}", "warning")
        self.run_worker(self._read_last_lines(), group="last lines")

    # screens

    def screen_of(self, name: str) -> Pane:
        """Show a screen, and return it."""
        from pyroctl.tui.panes import make

        before = self._panes.get(self._visited[-1]) if self._visited else None
        if name not in self._panes:
            self._panes[name] = make(name, self)
            self._body.mount(self._panes[name])
        pane = self._panes[name]
        if before is not pane:
            if before is not None:
                before.display = False
                before.closed()
            self._visited.append(name)
            del self._visited[:-10]
            self.pane, pane.display = pane, True
            self.call_later(pane.opened)
            self.call_after_refresh(pane.list.focus)
        self._watch_if_needed()
        self._draw()
        return pane

    @property
    def active_list(self) -> LineList:
        """The list of the screen that has the focus, or else its main one."""
        found = self.focused
        own = isinstance(found, LineList) and self.pane in found.ancestors
        return found if isinstance(found, LineList) and own else self.pane.list

    @property
    def place(self) -> str:
        """The name of the screen that is shown."""
        return self._visited[-1]

    def go_back(self) -> None:
        """Show the screen that was shown before."""
        if len(self._visited) > 1:
            self.screen_of(self._visited[-2])
            del self._visited[-2:]  # where we were, and that we came back

    def open_service(self, name: str) -> None:
        """Show one service."""
        from pyroctl.tui.panes.service import ServicePane

        pane = self.screen_of("service")
        assert isinstance(pane, ServicePane)
        pane.show_service(name)

    def open_logs(self, names: Sequence[str]) -> None:
        """Show the logs of services; of all without any."""
        from pyroctl.tui.panes.logs import LogsPane

        pane = self.screen_of("logs")
        assert isinstance(pane, LogsPane)
        pane.show_services(names)

    def show_text(self, title: str, text: str) -> None:
        """Show a text above the screen."""
        self.push_screen(Lines(title, [plain(line) for line in text.splitlines()]))

    # the manager

    def watch_again(self) -> None:
        """Measure from now on, or no longer, as the screen needs it."""
        self._watch_if_needed()

    def _watch_if_needed(self) -> None:
        needed = self.pane.MEASURES and not self.model.paused
        if self._watching is not None and needed != self._measuring:
            self._watch_again()

    def _watch_again(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
        self._measuring = self.pane.MEASURES and not self.model.paused
        self._watching = self.run_worker(self._watch(measuring=self._measuring), group="watch")

    async def _watch(self, *, measuring: bool) -> None:
        """Follow the manager; when it is gone or silent, try again until it is back."""
        paths = self.deployment.paths
        interval = {"interval": INTERVAL} if measuring else {}
        while True:
            self.model.connect()
            try:
                reply = await ask(
                    paths, "watch", {**interval, **self.deployment.request}, self._received
                )
                self._lost(reply["errors"][0]["message"])
            except ManagerNotRunning as error:
                self._lost(error.message)
                if not self.model.is_offline:
                    await self._ask_without_manager()
            except PyroctlError as error:
                self._lost(error.message)
            except ValueError:
                pass  # a delta is missing: begin with a new picture
            await asyncio.sleep(INTERVAL)

    def _received(self, message: Mapping[str, Any]) -> None:
        now = f"{datetime.now(UTC).astimezone():%H:%M:%S}"
        if self.model.receive(message, time.monotonic(), now):
            self.draw_soon()

    def _lost(self, reason: str) -> None:
        if self.model.reason != reason:
            self.model.lose(reason)
            self.draw_soon()

    async def _ask_without_manager(self) -> None:
        """Get what is known of services while there is no manager; once, as it costs a process."""
        found = None
        with contextlib.suppress(PyroctlError):
            found = (await envelope(self.deployment, "status"))["data"]
        self.model.offline(self.data if found is None else {"enabled": [], **found})
        self.draw_soon()

    def event_service(self) -> str | None:
        """Return the event service that events are about: the one shown, or else the first."""
        names = [
            row["name"]
            for row in self.data["services"]
            if row["kind"] == "eventservice" and row["state"] == "running"
        ]
        chosen = [name for name in self.pane.services() if name in names]
        return next(iter([*chosen, *names]), None)

    # logs

    def logged_services(self) -> list[str]:
        """Return the services that have a log, or will have one."""
        names = [row["name"] for row in self.data["services"]]
        with contextlib.suppress(OSError):
            names += logged_services(self.deployment.paths.logs)
        return list(dict.fromkeys(names))

    async def _read_last_lines(self) -> None:
        names = self.logged_services()
        for name in names:
            sources = sources_of(self.deployment.paths, [name])
            with contextlib.suppress(OSError):
                lines = await asyncio.to_thread(last_lines, sources, LOOKED_AT)
                self.model.logged(lines, newer=False)
        if self.follower is not None:
            self.follower.follow(names)
        self.draw_soon()

    def _logged(self, lines: Sequence[LogLine]) -> None:
        self.model.logged(lines)
        for pane in self._panes.values():
            pane.logged(lines)
        self.draw_soon()

    # drawing

    def draw_soon(self) -> None:
        """Draw what has changed, with what else changes at the same time."""
        if self._due is None:
            self._due = asyncio.get_running_loop().call_later(FRAME, self.call_next, self._draw)

    def _draw(self) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None
        if not self._body.is_attached:
            return  # it ends
        self.data = self.model.data(time.monotonic())
        if self.follower is not None and self.data["services"]:
            self.follower.follow(row["name"] for row in self.data["services"])
        self._draw_bar("top", bars.top(self))
        self._draw_bar("tabs", bars.tabs(self))
        self._draw_bar("keys", bars.keys(self))
        banner = bars.banner(self)
        if self._draw_bar("banner", banner, layout=True):
            self._statics["banner"].display = bool(banner)
        self.pane.draw()
        if self.pane.LIVE:
            self.pane.list.set_stale(stale=self.model.condition == LOST)

    def _draw_bar(self, name: str, parts: Sequence[Any], *, layout: bool = False) -> bool:
        """Draw one of the lines around the screen if it has changed; return whether it has."""
        text = text_of(parts)
        if self._drawn.get(name) == text.markup:
            return False
        self._drawn[name] = text.markup
        self._statics[name].update(text, layout=layout)
        return True

    # actions

    async def action_do(self, name: str) -> None:
        """Carry out an action of the table."""
        action = next(action for action in self.actions if action.name == name)
        if action.changes and self.view_only:
            self.say("nothing can be changed here: pyroctl top was started with --view", "warning")
            return
        if name in SCREENS:
            self.screen_of(name)
            return
        try:
            found = self._handlers[name]()
            if asyncio.iscoroutine(found):
                self.run_worker(self._finish(found), group="actions")
        except PyroctlError as error:
            self._tell(error)
        self.draw_soon()

    async def _finish(self, action: Coroutine[Any, Any, None]) -> None:
        try:
            await action
        except PyroctlError as error:
            self._tell(error)
        self.draw_soon()

    def _tell(self, error: PyroctlError) -> None:
        self.say(error.message, "warning" if isinstance(error, UsageError) else "error")

    def ask_for(self, label: str, value: str, use: Callable[[str], object]) -> None:
        """Ask for a line, and use it; what is typed next goes there at once."""

        def done(typed: str | None) -> None:
            if typed is None:
                return
            try:
                use(typed)
            except PyroctlError as error:
                self._tell(error)
            self.draw_soon()

        self.push_screen(Prompt(label, value), done)

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """Return all actions for the palette, with their keys."""
        for action in self.actions:
            if action.changes and self.view_only:
                continue
            keys = f"  ({', '.join(action.keys)})" if action.keys else ""
            run = self._palette_run(action.name)
            yield SystemCommand(action.title, f"{action.name}{keys}", run)

    def _palette_run(self, name: str) -> Any:
        async def run() -> None:
            await self.action_do(name)

        return run

    def say(self, text: str, severity: Any = "information") -> None:
        """Show a message for some seconds."""
        self.notify(text, severity=severity, markup=False)

    async def on_unmount(self) -> None:
        """End what goes on beside the screens."""
        if self._watching is not None:
            self._watching.cancel()
        if self.follower is not None:
            self.follower.close()
        if self._due is not None:
            self._due.cancel()
