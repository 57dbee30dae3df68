"""Decides whether and when the operations of commands run: conflicting ones one after the other."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pyroctl.errors import PyroctlError, ShuttingDown

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Iterator

    from pyroctl.control.protocol import Message

    Send = Callable[[Message], None]


@dataclass(eq=False)
class Scope:
    """The services that an operation concerns, `what` names it for people.

    It may change the state of some while nobody else does, and uses others, as other operations may
    at the same time; `everything` conflicts with all operations.
    """

    what: str
    changes: set[str] = field(default_factory=set)
    uses: set[str] = field(default_factory=set)
    everything: bool = False
    runs: bool = False
    """Whether it no longer waits for others."""
    done: asyncio.Event = field(default_factory=asyncio.Event)

    def conflicts(self, other: Scope) -> bool:
        """Return whether the two may not run at the same time."""
        return (
            self.everything
            or other.everything
            or not self.changes.isdisjoint(other.changes | other.uses)
            or not self.uses.isdisjoint(other.changes)
        )


class Gate:
    """Admits operations in the order of their arrival, until the manager closes it.

    Those that concern unrelated services run at the same time. Only the manager sets the flags.
    """

    def __init__(self) -> None:
        self.stopping = False
        """The manager is shutting down."""
        self.replaced = False
        """Another program is about to continue in this process."""
        self.nonce = ""
        """Identifies this program to the command that requested it."""
        self.observe: Callable[[], None] = lambda: None
        """Called when an operation begins to wait or to run, or ends."""
        self._scopes: list[Scope] = []
        """Those of the operations that run or wait, in the order of their arrival."""
        self._restarting: set[str] = set()

    @property
    def idle(self) -> bool:
        """Whether no operation runs or waits."""
        return not self._scopes

    async def admit(
        self, scope: Scope, send: Send, operation: Callable[[Send], Awaitable[Message]]
    ) -> Message:
        """Run an operation when nothing that came before conflicts with it.

        Raises ShuttingDown or another PyroctlError if the gate is closed.
        """
        earlier = [other for other in self._scopes if scope.conflicts(other)]
        self._scopes.append(scope)
        self.observe()
        try:
            if earlier:
                what = earlier[0].what
                send({"kind": "waiting", "text": f"waiting for another command: {what}"})
            for other in earlier:
                await other.done.wait()
            if self.stopping:
                raise ShuttingDown
            if self.replaced:
                raise PyroctlError("the manager is being replaced", hint="try again in a moment")
            scope.runs = True
            self.observe()
            return await operation(send)
        finally:
            self._scopes.remove(scope)
            scope.done.set()
            self.observe()

    def operations(self) -> list[dict[str, object]]:
        """Return the operations that run or wait, for people."""
        return [{"what": scope.what, "runs": scope.runs} for scope in self._scopes]

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
