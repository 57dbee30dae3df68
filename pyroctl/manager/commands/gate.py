"""Decides whether and when the operations of commands run: one after the other."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from pyroctl.errors import PyroctlError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Iterator

    from pyroctl.control.protocol import Message

    Send = Callable[[Message], None]


class Gate:
    """Admits one operation at a time, until the manager closes it.

    Only the manager sets the flags.
    """

    def __init__(self) -> None:
        self.stopping = False
        """The manager is shutting down."""
        self.replaced = False
        """Another program is about to continue in this process."""
        self.nonce = ""
        """Identifies this program to the command that requested it."""
        self.current = ""
        """The operation that was admitted last."""
        self._turn = asyncio.Lock()
        self._restarting: set[str] = set()

    async def admit(
        self, what: str, send: Send, operation: Callable[[Send], Awaitable[Message]]
    ) -> Message:
        """Run an operation after the current one; raise PyroctlError if the gate is closed."""
        if self._turn.locked():
            send({"kind": "waiting", "text": f"waiting for another command: {self.current}"})
        async with self._turn:
            self.current = what
            if self.stopping:
                raise PyroctlError("the manager is shutting down")
            if self.replaced:
                raise PyroctlError("the manager is being replaced", hint="try again in a moment")
            return await operation(send)

    @contextlib.contextmanager
    def restarting(self, names: Collection[str]) -> Iterator[None]:
        """Refuse to restart what is being restarted or queued for it; raise PyroctlError."""
        for name in names:
            if name in self._restarting:
                raise PyroctlError(
                    f"{name} is already being restarted by another command",
                    hint=f"wait until that is done: pyroctl status {name}",
                    service=name,
                )
        self._restarting.update(names)
        try:
            yield
        finally:
            self._restarting.difference_update(names)
