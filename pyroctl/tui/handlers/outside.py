"""What leaves the screen for other programs: clipboard, pager, editor."""

from __future__ import annotations

import os
import shlex
import subprocess
from typing import TYPE_CHECKING

from textual.app import SuspendNotSupported

from pyroctl.errors import PyroctlError, UsageError
from pyroctl.printable import log_text
from pyroctl.tui.deployment import envelope
from pyroctl.tui.dialogs import Choice, Question

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyroctl.tui.app import Top

CLOSE = Choice("c", "Close")
APPLY = Choice("y", "Reload: apply it")
EDIT = Choice("e", "Edit again")


class Outside:
    """The actions that another program completes."""

    def __init__(self, top: Top) -> None:
        self._top = top

    def copy(self) -> None:
        """Copy what the mouse has selected, or else the chosen lines, by OSC 52."""
        text = self._top.screen.get_selected_text()
        if not text:
            text = "\n".join(line.text for line in self._top.pane.list.chosen())
        if text:
            self._top.copy_to_clipboard(text)
            self._top.say(f"copied {len(text)} characters")

    def pager(self) -> None:
        """Show the lines in $PAGER, where all its keys work."""
        command = shlex.split(os.environ.get("PAGER") or "less")
        text = "\n".join(line.text for line in self._top.pane.list.shown)
        self._run(command, text.encode(errors="replace"))

    async def edit(self) -> None:
        """Edit the configuration in $EDITOR, check it, and offer to apply it."""
        file = self._top.deployment.config
        if file is None:
            raise UsageError(
                "there is no configuration file: the built-in deployment is in effect; pyroctl init"
                " writes one"
            )
        editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
        answer = EDIT.key
        while answer == EDIT.key:
            if not self._run([*shlex.split(editor), file]):
                return
            answer = await self._check(file)
        if answer == APPLY.key:
            await self._top.action_do("reload")

    async def _check(self, file: str) -> str:
        """Check the configuration, show what is wrong, and return what the user wants now."""
        try:
            found = await envelope(self._top.deployment, "config", "check")
        except PyroctlError as error:
            self._top.say(error.message, "error")
            return CLOSE.key
        faults = [_place(entry) for entry in found["errors"]]
        if faults:
            title = f"{file} has faults; nothing was changed"
            return await self._top.push_screen_wait(Question(title, faults, [EDIT, CLOSE]))
        asked = Question(f"{file} is valid", [], [APPLY, EDIT, CLOSE])
        return await self._top.push_screen_wait(asked)

    def _run(self, command: list[str], given: bytes | None = None) -> bool:
        """Run a program on the terminal; return whether that was possible."""
        try:
            with self._top.suspend():
                subprocess.run(command, input=given, check=False)
        except SuspendNotSupported:
            self._top.say("there is no terminal for another program", "warning")
        except OSError as error:
            self._top.say(f"{command[0]}: {error.strerror}", "error")
        else:
            return True
        return False


def _place(entry: Mapping[str, object]) -> str:
    places = (entry.get("file"), entry.get("line"), entry.get("column"))
    place = ":".join(str(part) for part in places if part is not None)
    hint = f" ({entry['hint']})" if entry.get("hint") else ""
    return log_text(f"{place}: {entry['message']}{hint}")
