"""What the page was asked to do: begun, followed to its end, and kept for a while."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from pyroctl.errors import PyroctlError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pyroctl.control.protocol import Message
    from pyroctl.web.live.link import ManagerLink
    from pyroctl.web.security.policy import Principal

MOST_KEPT = 100
MOST_MESSAGES = 200
"""Of one operation; the last ones are kept."""


class Operations:
    """Lives in the event loop's thread. `tell` gets an operation whenever it has changed."""

    def __init__(
        self, link: ManagerLink, tell: Callable[[dict[str, Any], Principal], None]
    ) -> None:
        self._link = link
        self._tell = tell
        self._known: OrderedDict[str, dict[str, Any]] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(
        self, do: str, services: Sequence[str], args: Message, principal: Principal
    ) -> dict[str, Any]:
        """Ask the manager for something; return the operation."""
        operation: dict[str, Any] = {
            "id": secrets.token_hex(6),
            "do": do,
            "services": list(services),
            "who": principal.name,
            "state": "running",
            "messages": [],
            "result": None,
            "errors": [],
            "time": time.time(),
        }
        self._known[operation["id"]] = operation
        while len(self._known) > MOST_KEPT:
            self._known.popitem(last=False)
        self._tell(operation, principal)
        task = asyncio.create_task(self._carry_out(operation, args, principal))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return operation

    def find(self, number: str) -> dict[str, Any] | None:
        """Return an operation that is kept."""
        return self._known.get(number)

    async def close(self) -> None:
        """Follow them no more; the manager carries them out all the same."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _carry_out(
        self, operation: dict[str, Any], args: Message, principal: Principal
    ) -> None:
        def report(event: Message) -> None:
            if event["kind"] in {"progress", "waiting"}:
                operation["messages"] = [*operation["messages"], _words(event)][-MOST_MESSAGES:]
                self._tell(operation, principal)

        try:
            reply = await self._link.ask(operation["do"], args, report)
            operation["errors"], operation["result"] = reply["errors"], reply["data"]
            failed = reply["exit_code"] != 0
        except PyroctlError as error:
            operation["errors"], failed = error.entries(), True
        operation["state"] = "failed" if failed else "done"
        self._tell(operation, principal)


def _words(event: Message) -> str:
    if "service" not in event:
        return str(event["text"])
    why = f": {event['reason']}" if event["reason"] and event["state"] != "running" else ""
    return f"{event['service']} {event['state']}{why}"
