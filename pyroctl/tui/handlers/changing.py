"""Changes services; before clients lose something, it says who would lose what, and asks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyroctl.control.async_client import ask
from pyroctl.errors import ManagerNotRunning, PyroctlError, UsageError
from pyroctl.printable import log_text
from pyroctl.tui.deployment import envelope
from pyroctl.tui.dialogs import NO, Choice, Question
from pyroctl.view.costs import also_stopped, describe_cost, losers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pyroctl.control.protocol import Message
    from pyroctl.tui.app import Top

DONE = {"start": "started", "stop": "stopped", "restart": "restarted"}
HANDOVER = Choice("h", "Hand over instead: nothing is lost")


class Changing:
    """The actions that do more than look."""

    def __init__(self, top: Top) -> None:
        self._top = top

    async def start(self) -> None:
        """Start the chosen services."""
        names = self._chosen()
        try:
            await self._do("start", names)
        except ManagerNotRunning:
            self._top.say(f"starting a manager, and {', '.join(names)}")
            self._report(await envelope(self._top.deployment, "start", *names), "start", names)

    async def stop(self) -> None:
        """Stop the chosen services; ask first, with what it costs."""
        names = self._chosen()
        others = also_stopped(names, self._top.data["services"])
        said = [f"{', '.join(others)} will stop, too: needs {' or '.join(names)}"] if others else []
        answer = await self._may("stop", names, said=said)
        if answer == HANDOVER.key:
            await self._do("restart", names, how="handover")
        elif answer:
            await self._do("stop", names)

    async def restart(self) -> None:
        """Restart the chosen services; ask first, with what it costs."""
        names = self._chosen()
        answer = await self._may("restart", names)
        if answer:
            await self._do("restart", names, **({"how": "handover"} if answer == "h" else {}))

    async def handover(self) -> None:
        """Restart event services such that nobody notices."""
        names = self._chosen()
        if await self._may("restart", names, how="handover"):
            await self._do("restart", names, how="handover")

    async def reload(self) -> None:
        """Apply the configuration; ask first, with what it costs."""
        found = await self._ask("reload", [], dry_run=True)
        steps = [
            f"{step['action']} {step['service']}" for step in (found["data"] or {}).get("plan", ())
        ]
        if found["errors"]:
            self._top.say(_message(found["errors"][0]), "error")
        elif not steps:
            self._top.say("the configuration has not changed")
        elif await self._may("reload", [], said=steps):
            await self._do("reload", [])

    def publish(self) -> None:
        """Ask for a subject and a text, and publish it."""

        def begin(line: str) -> None:
            subject, _, text = line.strip().partition(" ")
            if subject:
                self._top.run_worker(self._publish(subject, text), group="actions")

        self._top.ask_for("publish: SUBJECT TEXT", "", begin)

    async def _publish(self, subject: str, text: str) -> None:
        service = self._top.event_service()
        words = ["--service", service] if service else []
        try:
            command = ["es", "publish", *words, "--", subject, text]
            errors = (await envelope(self._top.deployment, *command))["errors"]
        except PyroctlError as error:
            errors = error.entries()
        if errors:
            self._top.say(_message(errors[0]), "error")
        else:
            self._top.say(f"published about {subject}")

    def _chosen(self) -> list[str]:
        names = self._top.pane.services()
        if not names:
            raise UsageError("no service is chosen here: go to screen 1, 2 or 5")
        return names

    async def _may(
        self, command: str, names: Sequence[str], *, said: Sequence[str] = (), **how: str
    ) -> str:
        """Ask whether to proceed, and list what clients would lose; "h" is a handover, "" no."""
        reply = await self._ask("foresee", names, command=command, **how)
        if reply["data"] is None:
            self._top.say(_message(reply["errors"][0]), "error")
            return ""
        found = reply["data"]["consequences"]
        costs = any(map(losers, found))
        shown = [*said, *(log_text(line) for entry in found for line in describe_cost(entry))]
        if not costs:
            shown.append("No client loses anything.")
        choices = [Choice("y", command.capitalize()), NO]
        if costs and await self._can_hand_over(command, names, reply):
            choices.insert(1, HANDOVER)
        by = ", by handover" if how else ""
        title = f"{' '.join((command.capitalize(), *names))}{by}?"
        answer = await self._top.push_screen_wait(Question(title, shown, choices))
        return "" if answer == NO.key else answer

    async def _can_hand_over(self, command: str, names: Sequence[str], reply: Message) -> bool:
        """Return whether all the services can be restarted such that nobody loses anything."""
        if command == "stop":
            reply = await self._ask("foresee", names, command="restart")
        return bool(reply["data"] and reply["data"].get("handover"))

    async def _do(self, command: str, names: Sequence[str], **more: str) -> None:
        self._report(await self._ask(command, names, **more), command, names)

    async def _ask(self, do: str, names: Sequence[str], **more: Any) -> Message:
        """Send the manager a request; a manager that can't answer is an error reply.

        Raises ManagerNotRunning if there is none, for a start.
        """
        request = {"services": list(names), **self._top.deployment.request, **more}
        try:
            return await ask(self._top.deployment.paths, do, request)
        except ManagerNotRunning:
            if do == "start":
                raise
            return _failed("no manager is running")
        except PyroctlError as error:
            return _failed(error.message)

    def _report(self, reply: Mapping[str, Any], command: str, names: Sequence[str]) -> None:
        for entry in reply["errors"]:
            self._top.say(_message(entry), "error")
        if not reply["errors"]:
            self._top.say(f"{DONE.get(command, 'done')}: {', '.join(names) or command}")


def _failed(message: str) -> Message:
    return {"data": None, "errors": [{"message": message, "hint": None}]}


def _message(entry: Mapping[str, Any]) -> str:
    hint = f"\n{entry['hint']}" if entry.get("hint") else ""
    return log_text(entry["message"]) + hint
