"""Names of the manager's services, which no other program may change.

Stock Pyro5 programs need no change for that: the manager knows its own processes, and the kernel
knows whose socket is at the other end of a connection. Our own kinds of services are quicker: they
prove what they are when they connect, see `pyro_wire.names_key`.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from Pyro5.core import NAMESERVER_NAME
from Pyro5.errors import NamingError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from pyro_child import ControlChannel

ANSWER_TIMEOUT = 6.0
"""Seconds for the manager to say whether a client is one of its processes."""

Place = tuple[str, int]
"""An address and a port."""


class NameGuard:
    """Refuses changes of guarded names. May be used by several threads.

    `reserved` are names that are guarded even while they are not registered.
    """

    def __init__(self, reserved: Collection[str] = ()) -> None:
        self._reserved = frozenset(reserved)
        self._owned: set[str] = set()
        self._strange: set[str] = set()
        """Names that strangers may have registered: they aren't guarded, wherever they lead."""
        self._channel: ControlChannel | None = None
        self._complete = True
        """Whether the manager has told which names belong to services."""
        self._answered = threading.Condition()
        self._questions = 0
        self._answers: dict[int, bool | None] = {}
        """None until the manager has answered."""
        self.refused = 0
        """How many changes were refused."""

    def ask(self, channel: ControlChannel) -> None:
        """Ask the manager at the other end whose clients are.

        Until it has told which names belong to services, changes wait: any name may be one that a
        running service had before a restart.
        """
        self._channel = channel
        self._complete = False

    def leave(self) -> None:
        """Ask nobody any more: the manager is gone."""
        with self._answered:
            self._channel = None
            self._complete = True
            self._answered.notify_all()

    def protect(self, names: Collection[str]) -> None:
        """Guard names that services have registered, until they are removed."""
        self._owned.update(names)
        self._strange.difference_update(names)

    def expose(self, names: Iterable[str]) -> None:
        """Note that strangers may have registered names; what is guarded stays so."""
        self._strange.update(name for name in names if name not in self._owned)

    def trust(self, names: Iterable[str]) -> None:
        """Note that no stranger has registered names."""
        self._strange.difference_update(names)

    def is_strange(self, name: str) -> bool:
        """Return whether a stranger may have registered a name."""
        return name in self._strange

    def complete(self) -> None:
        """Note that the manager has told which names belong to services."""
        with self._answered:
            self._complete = True
            self._answered.notify_all()

    def release(self, names: Collection[str]) -> None:
        """Forget names that were removed."""
        self._owned.difference_update(names)
        self._strange.difference_update(names)

    def check(self, names: Collection[str], client: Place | None, server: Place | None) -> None:
        """Raise NamingError if the client at the other end of a connection may not change these.

        `server` is our own end.
        """
        if NAMESERVER_NAME in names:
            self.refused += 1
            raise NamingError(f"nobody may change the name {NAMESERVER_NAME}")
        with self._answered:
            known = self._answered.wait_for(lambda: self._complete, ANSWER_TIMEOUT)
        guarded = [
            name for name in names if not known or name in self._reserved or name in self._owned
        ]
        if guarded and not (ours := self._is_ours(client, server)):
            self.refused += 1
            reason = (
                "its manager doesn't say whether you are one of its services"
                if ours is None
                else "only services of that deployment may change it"
            )
            raise NamingError(
                f"the name {guarded[0]} belongs to a service that pyroctl manages; {reason}"
            )

    def answer(self, number: int, *, ours: bool) -> None:
        """Take the manager's answer to a question."""
        with self._answered:
            if number in self._answers:
                self._answers[number] = ours
                self._answered.notify_all()

    def _is_ours(self, client: Place | None, server: Place | None) -> bool | None:
        """Ask the manager whether the client is one of its processes; None without an answer."""
        channel = self._channel
        if channel is None or client is None or server is None:
            return None
        with self._answered:
            self._questions += 1
            number = self._questions
            self._answers[number] = None
            try:
                ends = {"client": client[:2], "server": server[:2]}
                if channel.report("caller", number=number, **ends):
                    self._answered.wait_for(
                        lambda: self._answers[number] is not None or self._channel is None,
                        ANSWER_TIMEOUT,
                    )
                return self._answers[number]
            finally:
                del self._answers[number]
