"""What leaves the screen for other programs: clipboard, pager, editor."""

from __future__ import annotations

import os
import shlex
import subprocess
from typing import TYPE_CHECKING

from textual.app import SuspendNotSupported

from pyroctl.errors import EXIT_OK, UsageError

if TYPE_CHECKING:
    from pyroctl.tui.app import Top


class Outside:
    """The actions that another program completes."""

    def __init__(self, top: Top) -> None:
        self._top = top

    def copy(self) -> None:
        """Copy what the mouse has selected, or else the chosen lines, by OSC 52."""
        text = self._top.screen.get_selected_text()
        if not text:
            text = "\n".join(line.text for line in self._top.active_list.chosen())
        if text:
            self._top.copy_to_clipboard(text)
            self._top.say(f"copied {len(text)} characters")

    def pager(self) -> None:
        """Show the lines in $PAGER, where all its keys work."""
        command = shlex.split(os.environ.get("PAGER") or "less")
        text = "\n".join(line.text for line in self._top.active_list.shown)
        self._run(command, text.encode(errors="replace"))

    async def edit(self) -> None:
        """Edit the configuration, which is then checked, and offer to apply it."""
        if self._top.deployment.config is None:
            raise UsageError("there is no configuration file: pyroctl init writes one")
        code = self._run(self._top.deployment.command("config", "edit"))
        if code == EXIT_OK:
            await self._top.action_do("reload")
        elif code is not None:
            text = "the file was kept, but its configuration can't be used: pyroctl config check"
            self._top.say(f"{text}\nrunning services are unchanged", "error")

    def _run(self, command: list[str], given: bytes | None = None) -> int | None:
        """Run a program on the terminal; return its exit code, or None if that was impossible."""
        try:
            with self._top.suspend():
                return subprocess.run(command, input=given, check=False).returncode
        except SuspendNotSupported:
            self._top.say("there is no terminal for another program", "warning")
        except OSError as error:
            self._top.say(f"{command[0]}: {error.strerror}", "error")
        return None
