"""Which events are acknowledged at once, and which together with later ones. Pure.

An acknowledgement of each single event would cost as much as the event. The event service says
after how many events it wants one at the latest; whoever waits for more sends what is owed after
`DELAY` seconds in which nothing has come.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pyro_events._client.receiving.pushes import MailboxView

DELAY: Final = 0.005


class LateAcknowledgements:
    """What is owed to the event service. Belongs to the thread that handles events."""

    def __init__(self) -> None:
        self.enabled = False
        """Whether some may wait."""
        self.owed: tuple[MailboxView, int] | None = None
        """The last event that was handled and is not acknowledged."""
        self._since = 0.0
        """When the first of them began to be handled."""
        self._acknowledged = 0
        """Up to where that was done."""
        self._most = 1

    def start(self, last: int, most: object) -> None:
        """Begin after the event with the number `last`, with at most `most` owed from now on."""
        self._acknowledged = last
        self._most = most if type(most) is int else 1

    def add(self, mailbox: MailboxView, number: int, began: float, now: float) -> bool:
        """Owe that event and all before it; return whether that is to be acknowledged at once.

        `began` is when the first event of its frame began to be handled.
        """
        if self.owed is None:
            self._since = began
        self.owed = mailbox, number
        few = number - self._acknowledged < self._most
        return not self.enabled or not few or now - self._since >= DELAY

    def settle(self) -> None:
        """Owe nothing any more."""
        if self.owed is not None:
            self._acknowledged = self.owed[1]
            self.owed = None
